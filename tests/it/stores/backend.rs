//! The stores that every claim is held to, as several instances of one app open them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tower_sealed_session::{
    OffsetDateTime, SessionLayer, SessionLayerBuilder,
    store::{
        Creation, MemoryStore, Operate, OwnerTag, Saving, SqliteStore, Statistics, Store,
        StoreError, StoreKey, Stored, Version,
    },
};

#[cfg(feature = "redis")]
use super::redis_server::RedisServer;
use crate::processes::Folder;

/// One of the stores, as one instance has it.
#[derive(Clone)]
pub(super) enum Any {
    Memory(MemoryStore),
    Sqlite(SqliteStore),
    #[cfg(feature = "redis")]
    Redis(tower_sealed_session::store::RedisStore),
}

macro_rules! each {
    ($any:expr, $store:ident => $call:expr) => {
        match $any {
            Any::Memory($store) => $call,
            Any::Sqlite($store) => $call,
            #[cfg(feature = "redis")]
            Any::Redis($store) => $call,
        }
    };
}

impl Store for Any {
    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        each!(self, store => store.load(key).await)
    }

    async fn create(
        &self,
        key: StoreKey,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> Result<Creation, StoreError> {
        each!(self, store => store.create(key, bytes, expires, owner).await)
    }

    async fn save(
        &self,
        key: StoreKey,
        expected: Version,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        each!(self, store => store.save(key, expected, bytes, expires, owner).await)
    }

    async fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        each!(self, store => store.touch(key, expected, expires).await)
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        each!(self, store => store.delete(key).await)
    }

    async fn delete_owner(&self, owner: OwnerTag) -> Result<u64, StoreError> {
        each!(self, store => store.delete_owner(owner).await)
    }
}

impl Operate for Any {
    async fn prune(&self, now: OffsetDateTime) -> Result<u64, StoreError> {
        each!(self, store => store.prune(now).await)
    }

    async fn statistics(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        each!(self, store => store.statistics(now).await)
    }
}

/// A store that instances open, with what it needs to run.
pub(super) enum Backend {
    Memory(MemoryStore),
    Sqlite(Folder),
    #[cfg(feature = "redis")]
    Redis(RedisServer),
}

impl Backend {
    pub(super) async fn memory() -> Self {
        Self::Memory(MemoryStore::new())
    }

    pub(super) async fn sqlite() -> Self {
        let backend = Self::Sqlite(Folder::new());
        let Any::Sqlite(store) = backend.open().await else {
            unreachable!("it is SQLite")
        };
        store.create_schema().await.expect("a schema");
        backend
    }

    #[cfg(feature = "redis")]
    pub(super) async fn redis() -> Self {
        Self::Redis(RedisServer::start(&[]))
    }

    /// Where it is, for other processes; the memory of this one has no place.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Memory(_) => "memory:".to_owned(),
            Self::Sqlite(folder) => format!("sqlite:{}", folder.0.join("sessions.db").display()),
            #[cfg(feature = "redis")]
            Self::Redis(server) => server.url(),
        }
    }

    /// The store as another instance opens it.
    pub(super) async fn open(&self) -> Any {
        match self {
            Self::Memory(store) => Any::Memory(store.clone()),
            Self::Sqlite(_) => {
                Any::Sqlite(SqliteStore::connect(&self.url()).await.expect("a file"))
            }
            #[cfg(feature = "redis")]
            Self::Redis(_) => Any::Redis(
                tower_sealed_session::store::RedisStore::connect(&self.url())
                    .await
                    .expect("a server"),
            ),
        }
    }
}

/// What happens around each call to a store.
pub(super) trait Around: Clone + Send + Sync + 'static {
    fn around<T: Send>(
        &self,
        call: Call,
        key: Option<StoreKey>,
        made: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Load,
    Create,
    Save,
    Touch,
    Delete,
    DeleteOwner,
}

/// A store with something around it.
#[derive(Clone)]
pub(super) struct Wrapped<S, A>(pub(super) S, pub(super) A);

impl<S: Store, A: Around> Store for Wrapped<S, A> {
    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        self.1.around(Call::Load, Some(key), self.0.load(key)).await
    }

    async fn create(
        &self,
        key: StoreKey,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> Result<Creation, StoreError> {
        let made = self.0.create(key, bytes, expires, owner);
        self.1.around(Call::Create, Some(key), made).await
    }

    async fn save(
        &self,
        key: StoreKey,
        expected: Version,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        let made = self.0.save(key, expected, bytes, expires, owner);
        self.1.around(Call::Save, Some(key), made).await
    }

    async fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        self.1
            .around(Call::Touch, Some(key), self.0.touch(key, expected, expires))
            .await
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        self.1
            .around(Call::Delete, Some(key), self.0.delete(key))
            .await
    }

    async fn delete_owner(&self, owner: OwnerTag) -> Result<u64, StoreError> {
        self.1
            .around(Call::DeleteOwner, None, self.0.delete_owner(owner))
            .await
    }
}

/// Counts the calls.
#[derive(Clone, Default)]
pub(super) struct Counts(Arc<[AtomicU64; 6]>);

impl Counts {
    /// How often each was called since the last time: load, create, save, touch, delete, delete_owner.
    pub(super) fn take(&self) -> [u64; 6] {
        std::array::from_fn(|n| self.0[n].swap(0, Ordering::Relaxed))
    }
}

impl Around for Counts {
    async fn around<T: Send>(
        &self,
        call: Call,
        _: Option<StoreKey>,
        made: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.0[call as usize].fetch_add(1, Ordering::Relaxed);
        made.await
    }
}

/// A layer of the default settings over a store.
pub(super) fn layer(store: impl Store) -> SessionLayer {
    built(SessionLayer::builder(crate::support::keys())).store(store)
}

pub(super) fn built(builder: SessionLayerBuilder) -> SessionLayer {
    builder.build().expect("possible")
}

/// Each claim on each store.
macro_rules! on_every_store {
    ($($claim:ident;)*) => {$(
        mod $claim {
            use crate::stores::backend::Backend;

            #[tokio::test]
            async fn memory() {
                super::$claim(Backend::memory().await).await;
            }

            #[tokio::test]
            async fn sqlite() {
                super::$claim(Backend::sqlite().await).await;
            }

            #[cfg(feature = "redis")]
            #[tokio::test]
            async fn redis() {
                super::$claim(Backend::redis().await).await;
            }
        }
    )*};
}
pub(super) use on_every_store;
