//! The settings that keep sessions in a store: all of them, or those that do not fit in a cookie,
//! and those that move from one store to another.

use std::time::Duration;

use super::{builder::SessionLayerBuilder, error::ConfigError, session_layer::SessionLayer};
use crate::{
    store::{Backend, Store},
    stored::Mode,
};

/// # With a store
///
/// Needs the feature `store`, or one of `memory`, `mysql`, `postgres`, `redis` and `sqlite`, which
/// include it. Handlers do not change. Each mode reads the cookies of the others. So an app can change from one mode to
/// another, and back, instance by instance and without logging anyone out; see
/// [`guide::stores`](crate::guide::stores).
///
/// The [builder](SessionLayerBuilder) has the same methods, in any order. If a method panics here,
/// [`build`](SessionLayerBuilder::build) returns an error with the same text.
impl SessionLayer {
    /// Keeps all sessions in a store. A session can have up to 64 KiB, concurrent writes of
    /// different entries are all kept, and a logout is final. The cookie is a sealed ticket, which
    /// names the session and holds none of its entries.
    ///
    /// A session that comes in its cookie moves to the store. So does one that is found in the store
    /// of [`read_from`](Self::read_from).
    ///
    /// ```
    /// # #[cfg(feature = "memory")] {
    /// use tower_sealed_session::{KeyRing, SessionLayer, store::MemoryStore};
    ///
    /// let sessions = SessionLayer::new(KeyRing::ephemeral()?).store(MemoryStore::new());
    /// # }
    /// # Ok::<(), tower_sealed_session::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the layer has a store already, since it can have only one beside that of `read_from`. If
    /// it was built with `dual_write`: the legacy app writes its sessions into its cookie, so they
    /// cannot be in a store.
    #[must_use]
    #[track_caller]
    pub fn store(self, store: impl Store) -> Self {
        self.with(Mode::Store, store)
    }

    /// Keeps a session in its cookie while it fits, otherwise in a store.
    ///
    /// At a `login` or `renew`, a session moves back if it fits in half a cookie. Even while it is
    /// in the store, it has only the guarantees of a cookie: an older cookie with the whole session
    /// is still valid.
    ///
    /// # Panics
    ///
    /// The same as [`store`](Self::store), and together with `read_from`.
    #[must_use]
    #[track_caller]
    pub fn overflow(self, store: impl Store) -> Self {
        self.with(Mode::Overflow, store)
    }

    /// Reads sessions from a store. New sessions are in cookies, and a `login` or `renew` moves a
    /// session from the store into its cookie. A session that does not fit a cookie stays in the
    /// store. This is the first step towards [`store`](Self::store), and the step back from it.
    ///
    /// Together with [`store`](Self::store), in either order, it moves sessions from one store to
    /// another: a session that is found in this one moves to that of `store`, with its next
    /// response. Nobody is logged out. [`guide::stores`](crate::guide::stores) has the steps.
    ///
    /// ```
    /// # #[cfg(feature = "memory")] {
    /// use tower_sealed_session::{KeyRing, SessionLayer, store::MemoryStore};
    ///
    /// let (old, new) = (MemoryStore::new(), MemoryStore::new());
    /// let sessions = SessionLayer::new(KeyRing::ephemeral()?).read_from(old).store(new);
    /// # }
    /// # Ok::<(), tower_sealed_session::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the layer has a store to read from already, or one of `overflow`. If it was built with
    /// `dual_write`.
    #[must_use]
    #[track_caller]
    pub fn read_from(self, store: impl Store) -> Self {
        self.with(Mode::ReadFrom, store)
    }

    /// The maximum time of a call to the store. Default: 250 ms.
    ///
    /// If a call takes longer, the response is `503 Service Unavailable`. While the store answers,
    /// a commit that conflicts with others is retried for at most eight times as long. With
    /// `read_from` and `store` together, it is the time of a call to either. To find a session may
    /// then take one call to each.
    ///
    /// # Panics
    ///
    /// If the layer has no store yet. If the time is not between one millisecond and one minute.
    #[must_use]
    #[track_caller]
    pub fn store_timeout(self, timeout: Duration) -> Self {
        valid(self.with_store_timeout(timeout))
    }

    #[track_caller]
    fn with(self, mode: Mode, store: impl Store) -> Self {
        valid(self.with_store(mode, Backend::new(store)))
    }
}

#[track_caller]
fn valid(layer: Result<SessionLayer, ConfigError>) -> SessionLayer {
    match layer {
        Ok(layer) => layer,
        Err(error) => panic!("{error}"),
    }
}

/// # With a store
///
/// With the feature `store`. At most one of [`store`](Self::store), [`overflow`](Self::overflow)
/// and [`read_from`](Self::read_from) can be set, or `store` together with `read_from`.
impl SessionLayerBuilder {
    /// Keeps all sessions in a store; see [`SessionLayer::store`].
    pub fn store(self, store: impl Store) -> Self {
        self.with(Mode::Store, store)
    }

    /// Keeps a session in its cookie while it fits, otherwise in a store; see
    /// [`SessionLayer::overflow`].
    pub fn overflow(self, store: impl Store) -> Self {
        self.with(Mode::Overflow, store)
    }

    /// Reads sessions from a store, and writes them back into cookies or moves them to that of
    /// [`store`](Self::store); see [`SessionLayer::read_from`].
    pub fn read_from(self, store: impl Store) -> Self {
        self.with(Mode::ReadFrom, store)
    }

    /// The maximum time of a call to the store. Default: 250 ms; see
    /// [`SessionLayer::store_timeout`].
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = Some(timeout);
        self
    }

    fn with(mut self, mode: Mode, store: impl Store) -> Self {
        self.stores.push((mode, Backend::new(store)));
        self
    }
}
