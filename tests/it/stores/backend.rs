//! The stores under test. Several instances of an app can open each of them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use tower_sealed_session::{
    OffsetDateTime, SessionLayer, SessionLayerBuilder,
    store::{
        self, AnyStore, Creation, MemoryStore, OwnerTag, Row, Saving, Store, StoreError, StoreKey,
        Stored, Version,
    },
};

use super::redis_cluster::Lent;
use super::redis_server::RedisServer;
use super::sql_server::{self, Engine, SqlServer};
use crate::processes::Folder;

/// The resources of a store that instances can open.
pub(super) enum Backend {
    Memory(MemoryStore),
    Sqlite(Folder),
    Redis(RedisServer),
    Cluster(Lent),
    /// A database of the server that the tests share.
    Sql(Engine, String),
    /// The first database of a server.
    Server(SqlServer),
}

impl Backend {
    pub(super) async fn memory() -> Self {
        Self::Memory(MemoryStore::new())
    }

    pub(super) async fn sqlite() -> Self {
        Self::Sqlite(Folder::new()).with_schema().await
    }

    pub(super) async fn redis() -> Self {
        Self::Redis(RedisServer::start(&[]))
    }

    pub(super) async fn cluster() -> Self {
        Self::Cluster(Lent::new().await)
    }

    pub(super) async fn postgres() -> Self {
        Self::sql(Engine::Postgres).await
    }

    pub(super) async fn mariadb() -> Self {
        Self::sql(Engine::MariaDb).await
    }

    pub(super) async fn sql(engine: Engine) -> Self {
        let database = sql_server::shared(engine).database().await;
        Self::Sql(engine, database).with_schema().await
    }

    pub(super) async fn with_schema(self) -> Self {
        self.open().await.create_schema().await.expect("a schema");
        self
    }

    /// The URL for other processes. They cannot share the memory store of this process.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Memory(_) => "memory:".to_owned(),
            Self::Sqlite(folder) => format!("sqlite:{}", folder.0.join("sessions.db").display()),
            Self::Redis(server) => server.url(),
            Self::Cluster(cluster) => cluster.url(),
            Self::Sql(engine, database) => sql_server::shared(*engine).url(database),
            Self::Server(server) => server.url(server.first_database()),
        }
    }

    /// Opens the store for one more instance.
    pub(super) async fn open(&self) -> AnyStore {
        match self {
            Self::Memory(store) => AnyStore::new(store.clone()),
            _ => store::connect(&self.url()).await.expect("a store"),
        }
    }
}

/// Code that runs around each call of a store.
pub(super) trait Intercept: Clone + Send + Sync + 'static {
    fn intercept<T: Send>(
        &self,
        call: Call,
        key: Option<StoreKey>,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
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
    ListOwner,
}

/// A store with an interceptor.
#[derive(Clone)]
pub(super) struct Wrapped<S, A>(pub(super) S, pub(super) A);

impl<S: Store, A: Intercept> Store for Wrapped<S, A> {
    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        self.1
            .intercept(Call::Load, Some(key), self.0.load(key))
            .await
    }

    async fn create(&self, key: StoreKey, row: &Row<'_>) -> Result<Creation, StoreError> {
        let operation = self.0.create(key, row);
        self.1.intercept(Call::Create, Some(key), operation).await
    }

    async fn save(
        &self,
        key: StoreKey,
        expected: Version,
        row: &Row<'_>,
        previous: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        let operation = self.0.save(key, expected, row, previous);
        self.1.intercept(Call::Save, Some(key), operation).await
    }

    async fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        self.1
            .intercept(Call::Touch, Some(key), self.0.touch(key, expected, expires))
            .await
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        self.1
            .intercept(Call::Delete, Some(key), self.0.delete(key))
            .await
    }

    async fn list_owner(&self, owner: &[OwnerTag]) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        self.1
            .intercept(Call::ListOwner, None, self.0.list_owner(owner))
            .await
    }

    async fn delete_owner(
        &self,
        owner: &[OwnerTag],
        except: &[StoreKey],
    ) -> Result<u64, StoreError> {
        self.1
            .intercept(Call::DeleteOwner, None, self.0.delete_owner(owner, except))
            .await
    }
}

/// Counts the calls of each method.
#[derive(Clone, Default)]
pub(super) struct Counts(Arc<[AtomicU64; 7]>);

impl Counts {
    /// Returns and resets the counts of load, create, save, touch, delete and delete_owner.
    pub(super) fn take(&self) -> [u64; 6] {
        std::array::from_fn(|n| self.0[n].swap(0, Ordering::Relaxed))
    }
}

impl Intercept for Counts {
    async fn intercept<T: Send>(
        &self,
        call: Call,
        _: Option<StoreKey>,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.0[call as usize].fetch_add(1, Ordering::Relaxed);
        operation.await
    }
}

/// Records the keys of created rows.
#[derive(Clone, Default)]
pub(super) struct CreatedKeys(pub(super) Arc<Mutex<Vec<StoreKey>>>);

impl Intercept for CreatedKeys {
    async fn intercept<T: Send>(
        &self,
        call: Call,
        key: Option<StoreKey>,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if call == Call::Create {
            self.0.lock().expect("no panic").extend(key);
        }
        operation.await
    }
}

/// A layer with default settings and a store.
pub(super) fn layer(store: impl Store) -> SessionLayer {
    built(SessionLayer::builder(crate::support::keys())).store(store)
}

pub(super) fn built(builder: SessionLayerBuilder) -> SessionLayer {
    builder.build().expect("valid settings")
}

/// Runs each test with each store.
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

            #[tokio::test]
            async fn redis() {
                super::$claim(Backend::redis().await).await;
            }

            #[tokio::test]
            async fn redis_cluster() {
                super::$claim(Backend::cluster().await).await;
            }

            #[tokio::test]
            async fn postgres() {
                super::$claim(Backend::postgres().await).await;
            }

            #[tokio::test]
            async fn mariadb() {
                super::$claim(Backend::mariadb().await).await;
            }
        }
    )*};
}
pub(super) use on_every_store;
