//! Stores of any kind behind one type.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use time::OffsetDateTime;

use super::{
    contract::{Creation, OwnerTag, Row, Saving, Store, StoreKey, Stored, Version},
    error::StoreError,
    log::AnyLog,
    operate::{Cursor, Health, Operate, Pruned, Scanned, Statistics},
};

/// A store of any kind, for apps that choose the kind by a setting. [`connect`](super::connect)
/// returns it. Clones share one store.
///
/// ```
/// # #[cfg(feature = "memory")] {
/// use tower_sealed_session::store::{AnyStore, MemoryStore};
///
/// let store = AnyStore::new(MemoryStore::new());
/// # }
/// ```
#[derive(Clone)]
pub struct AnyStore(Arc<dyn DynOperate>);

impl AnyStore {
    /// A store of any kind.
    #[must_use]
    pub fn new(store: impl Operate + fmt::Debug) -> Self {
        Self(Arc::new(store))
    }

    /// Creates the tables that the store needs, if they do not exist, and adds missing columns.
    /// Call it at start-up. A store without a schema, such as Redis, does nothing.
    ///
    /// # Errors
    ///
    /// The same as for `create_schema` of the store.
    pub async fn create_schema(&self) -> Result<(), StoreError> {
        self.0.create_schema().await
    }
}

impl fmt::Debug for AnyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A [`Store`] of any type. Its futures are boxed.
pub(super) trait DynStore: Send + Sync {
    fn kind(&self) -> &'static str;
    fn load(&self, key: StoreKey) -> Answer<'_, Option<Stored>>;
    fn create<'a>(&'a self, key: StoreKey, row: &'a Row<'a>) -> Answer<'a, Creation>;
    fn save<'a>(
        &'a self,
        key: StoreKey,
        expected: Version,
        row: &'a Row<'a>,
        previous: Option<OwnerTag>,
    ) -> Answer<'a, Saving>;
    fn touch(&self, key: StoreKey, expected: Version, expires: OffsetDateTime) -> Answer<'_, bool>;
    fn delete(&self, key: StoreKey) -> Answer<'_, bool>;
    fn list_owner<'a>(&'a self, owner: &'a [OwnerTag]) -> Answer<'a, Vec<(StoreKey, Stored)>>;
    fn delete_owner<'a>(&'a self, owner: &'a [OwnerTag], except: &'a [StoreKey])
    -> Answer<'a, u64>;
}

impl<S: Store> DynStore for S {
    fn kind(&self) -> &'static str {
        Store::kind(self)
    }

    fn load(&self, key: StoreKey) -> Answer<'_, Option<Stored>> {
        Box::pin(Store::load(self, key))
    }

    fn create<'a>(&'a self, key: StoreKey, row: &'a Row<'a>) -> Answer<'a, Creation> {
        Box::pin(Store::create(self, key, row))
    }

    fn save<'a>(
        &'a self,
        key: StoreKey,
        expected: Version,
        row: &'a Row<'a>,
        previous: Option<OwnerTag>,
    ) -> Answer<'a, Saving> {
        Box::pin(Store::save(self, key, expected, row, previous))
    }

    fn touch(&self, key: StoreKey, expected: Version, expires: OffsetDateTime) -> Answer<'_, bool> {
        Box::pin(Store::touch(self, key, expected, expires))
    }

    fn delete(&self, key: StoreKey) -> Answer<'_, bool> {
        Box::pin(Store::delete(self, key))
    }

    fn list_owner<'a>(&'a self, owner: &'a [OwnerTag]) -> Answer<'a, Vec<(StoreKey, Stored)>> {
        Box::pin(Store::list_owner(self, owner))
    }

    fn delete_owner<'a>(
        &'a self,
        owner: &'a [OwnerTag],
        except: &'a [StoreKey],
    ) -> Answer<'a, u64> {
        Box::pin(Store::delete_owner(self, owner, except))
    }
}

/// An [`Operate`] of any type.
trait DynOperate: DynStore + fmt::Debug {
    fn create_schema(&self) -> Answer<'_, ()>;
    fn prune(&self, now: OffsetDateTime, from: Option<Cursor>) -> Answer<'_, Pruned>;
    fn begin_sweep(&self, now: OffsetDateTime, interval: Duration) -> Answer<'_, bool>;
    fn statistics(&self, now: OffsetDateTime) -> Answer<'_, Statistics>;
    fn count(&self, now: OffsetDateTime) -> Answer<'_, Statistics>;
    fn scan(&self, from: Option<Cursor>) -> Answer<'_, Scanned>;
    fn server_time(&self, server: usize) -> Answer<'_, Option<OffsetDateTime>>;
    fn health(&self, from: Option<Cursor>) -> Answer<'_, Health>;
    fn revocation_log(&self) -> Option<AnyLog>;
}

impl<S: Operate + fmt::Debug> DynOperate for S {
    fn create_schema(&self) -> Answer<'_, ()> {
        Box::pin(Operate::create_schema(self))
    }

    fn prune(&self, now: OffsetDateTime, from: Option<Cursor>) -> Answer<'_, Pruned> {
        Box::pin(Operate::prune(self, now, from))
    }

    fn begin_sweep(&self, now: OffsetDateTime, interval: Duration) -> Answer<'_, bool> {
        Box::pin(Operate::begin_sweep(self, now, interval))
    }

    fn statistics(&self, now: OffsetDateTime) -> Answer<'_, Statistics> {
        Box::pin(Operate::statistics(self, now))
    }

    fn count(&self, now: OffsetDateTime) -> Answer<'_, Statistics> {
        Box::pin(Operate::count(self, now))
    }

    fn scan(&self, from: Option<Cursor>) -> Answer<'_, Scanned> {
        Box::pin(Operate::scan(self, from))
    }

    fn server_time(&self, server: usize) -> Answer<'_, Option<OffsetDateTime>> {
        Box::pin(Operate::server_time(self, server))
    }

    fn health(&self, from: Option<Cursor>) -> Answer<'_, Health> {
        Box::pin(Operate::health(self, from))
    }

    fn revocation_log(&self) -> Option<AnyLog> {
        Operate::revocation_log(self)
    }
}

impl Store for AnyStore {
    fn kind(&self) -> &'static str {
        DynStore::kind(&*self.0)
    }

    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        self.0.load(key).await
    }

    async fn create(&self, key: StoreKey, row: &Row<'_>) -> Result<Creation, StoreError> {
        self.0.create(key, row).await
    }

    async fn save(
        &self,
        key: StoreKey,
        expected: Version,
        row: &Row<'_>,
        previous: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        self.0.save(key, expected, row, previous).await
    }

    async fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        self.0.touch(key, expected, expires).await
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        self.0.delete(key).await
    }

    async fn list_owner(&self, owner: &[OwnerTag]) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        self.0.list_owner(owner).await
    }

    async fn delete_owner(
        &self,
        owner: &[OwnerTag],
        except: &[StoreKey],
    ) -> Result<u64, StoreError> {
        self.0.delete_owner(owner, except).await
    }
}

impl Operate for AnyStore {
    async fn create_schema(&self) -> Result<(), StoreError> {
        self.0.create_schema().await
    }

    async fn prune(&self, now: OffsetDateTime, from: Option<Cursor>) -> Result<Pruned, StoreError> {
        self.0.prune(now, from).await
    }

    async fn begin_sweep(
        &self,
        now: OffsetDateTime,
        interval: Duration,
    ) -> Result<bool, StoreError> {
        self.0.begin_sweep(now, interval).await
    }

    async fn statistics(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        self.0.statistics(now).await
    }

    async fn count(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        self.0.count(now).await
    }

    async fn scan(&self, from: Option<Cursor>) -> Result<Scanned, StoreError> {
        self.0.scan(from).await
    }

    async fn server_time(&self, server: usize) -> Result<Option<OffsetDateTime>, StoreError> {
        self.0.server_time(server).await
    }

    async fn health(&self, from: Option<Cursor>) -> Result<Health, StoreError> {
        self.0.health(from).await
    }

    fn revocation_log(&self) -> Option<AnyLog> {
        self.0.revocation_log()
    }
}
