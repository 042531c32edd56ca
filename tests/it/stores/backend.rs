//! The stores that every claim is held to, as several instances of one app open them.

use tower_sealed_session::{
    OffsetDateTime, SessionLayer, SessionLayerBuilder,
    store::{
        Creation, MemoryStore, OwnerTag, Saving, Store, StoreError, StoreKey, Stored, Version,
    },
};

/// One of the stores, as one instance has it.
#[derive(Clone)]
pub(super) enum Any {
    Memory(MemoryStore),
}

macro_rules! each {
    ($any:expr, $store:ident => $call:expr) => {
        match $any {
            Any::Memory($store) => $call,
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

    async fn touch(&self, key: StoreKey, expires: OffsetDateTime) -> Result<bool, StoreError> {
        each!(self, store => store.touch(key, expires).await)
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        each!(self, store => store.delete(key).await)
    }

    async fn delete_owner(&self, owner: OwnerTag) -> Result<u64, StoreError> {
        each!(self, store => store.delete_owner(owner).await)
    }
}

/// A store that instances open, with what it needs to run.
pub(super) enum Backend {
    Memory(MemoryStore),
}

impl Backend {
    pub(super) async fn memory() -> Self {
        Self::Memory(MemoryStore::new())
    }

    /// The store as another instance opens it.
    pub(super) async fn open(&self) -> Any {
        match self {
            Self::Memory(store) => Any::Memory(store.clone()),
        }
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
    ($($(#[$attribute:meta])* $claim:ident;)*) => {
        mod memory {
            $($(#[$attribute])* #[tokio::test]
            async fn $claim() {
                super::$claim(crate::stores::backend::Backend::memory().await).await;
            })*
        }
    };
}
pub(super) use on_every_store;
