use std::{fmt, future::Future, time::Duration};

use time::OffsetDateTime;

#[cfg(feature = "store")]
use super::log::AnyLog;
use super::{
    contract::{Store, StoreKey, Stored},
    error::StoreError,
};

/// The operations of a store that operators use.
pub trait Operate: Store {
    /// Creates the tables that the store needs, if they do not exist, and adds missing columns. Call
    /// it at start-up. Several instances may call it at the same time.
    ///
    /// A store without a schema, such as Redis, does nothing.
    fn create_schema(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Deletes sessions that expired before `now` from one part of the store, in one short
    /// statement. Begin with no cursor, and go on with that of [`Pruned::next`] until it is `None`.
    ///
    /// Several instances may do this at the same time. Stores that delete expired sessions
    /// themselves, such as Redis, do nothing.
    fn prune(
        &self,
        now: OffsetDateTime,
        from: Option<Cursor>,
    ) -> impl Future<Output = Result<Pruned, StoreError>> + Send;

    /// Whether this instance is to prune the store now. All instances may ask at this interval:
    /// in each interval, one of them is told `true`.
    ///
    /// [`prune_every`](super::prune_every) asks. By default, each instance is told `true`.
    fn begin_sweep(
        &self,
        now: OffsetDateTime,
        interval: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        let _ = (now, interval);
        async { Ok(true) }
    }

    /// The number of sessions as far as the store knows it without reading all of them.
    fn statistics(
        &self,
        now: OffsetDateTime,
    ) -> impl Future<Output = Result<Statistics, StoreError>> + Send;

    /// Counts the sessions. This can take seconds on a large store.
    fn count(
        &self,
        now: OffsetDateTime,
    ) -> impl Future<Output = Result<Statistics, StoreError>> + Send;

    /// Returns some hundred sessions, and where to go on. Begin with no cursor, and go on with that
    /// of [`Scanned::next`] until it is `None`.
    ///
    /// A session that exists from the first call to the last is returned. One that is created,
    /// changed or deleted in the meantime may be returned or not. In Redis, a session may be
    /// returned twice.
    fn scan(
        &self,
        from: Option<Cursor>,
    ) -> impl Future<Output = Result<Scanned, StoreError>> + Send;

    /// The time by the clock of a server of the store, to compare it with that of this machine.
    /// Servers count from 0. `None`: the store has no such server.
    ///
    /// By default, a store has no server, such as SQLite: its clock is that of this machine.
    fn server_time(
        &self,
        server: usize,
    ) -> impl Future<Output = Result<Option<OffsetDateTime>, StoreError>> + Send {
        let _ = server;
        async { Ok(None) }
    }

    /// What the server of the store tells of its own state, for a chart or an alert.
    ///
    /// Some of it is from a sample of the keys. Begin with no cursor, and pass that of
    /// [`Health::next`] to the next call, such as a minute later. So all keys are looked at over
    /// time. A cursor of a server that is gone is not an error.
    ///
    /// By default, nothing is known, as in SQL databases and in memory.
    fn health(
        &self,
        from: Option<Cursor>,
    ) -> impl Future<Output = Result<Health, StoreError>> + Send {
        let _ = from;
        async { Ok(Health::default()) }
    }

    /// The log of revocations in this store, for `Revocations::sharing`. Only the stores of this
    /// crate have one.
    #[doc(hidden)]
    #[cfg(feature = "store")]
    fn revocation_log(&self) -> Option<AnyLog> {
        None
    }
}

/// A position in a store. Its bytes have a meaning only to the store that returned it.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    /// A cursor with these bytes, for implementations of stores.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursor(..)")
    }
}

/// The result of [`Operate::prune`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The number of deleted sessions.
    pub deleted: u64,
    /// Where to go on. `None`: there is no other part.
    pub next: Option<Cursor>,
}

/// The result of [`Operate::scan`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// The sessions with their keys, also those that have expired.
    pub sessions: Vec<(StoreKey, Stored)>,
    /// Where to go on. `None`: there are no more.
    pub next: Option<Cursor>,
}

/// The contents of a store, for a chart or an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Sessions that can be used, and tombstones of sessions that ended recently.
    pub live: u64,
    /// Sessions that have expired and were not pruned yet.
    pub expired: u64,
    /// Whether these are counts. Otherwise they are estimates.
    pub exact: bool,
}

impl Statistics {
    /// Statistics with these counts, for implementations of stores.
    #[must_use]
    pub fn exact(live: u64, expired: u64) -> Self {
        Self {
            live,
            expired,
            exact: true,
        }
    }

    /// Statistics with these estimates, for implementations of stores.
    #[must_use]
    pub fn estimated(live: u64, expired: u64) -> Self {
        Self {
            exact: false,
            ..Self::exact(live, expired)
        }
    }
}

/// The result of [`Operate::health`]. Of the stores of this crate, only that in Redis has it. Of a
/// cluster, the memory is that of the node that is fullest, since that one evicts first. The numbers
/// of keys are the sums of its nodes.
///
/// `None`: not known. For your own store, begin with `Health::default()`, and set what it knows.
///
/// ```
/// # #[cfg(feature = "store")] {
/// use tower_sealed_session::store::Health;
///
/// let mut health = Health::default();
/// health.memory_bytes = Some(1_048_576);
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The memory that the server uses, in bytes, for the data of all apps.
    pub memory_bytes: Option<u64>,
    /// The limit of this memory, in bytes. Also `None` if there is no limit.
    pub memory_limit_bytes: Option<u64>,
    /// The number of keys that the server deleted because its memory was full, since its start.
    /// They can be of other apps.
    pub evicted_keys: Option<u64>,
    /// The number of keys that the server deleted because they had expired, since its start. They
    /// can be of other apps.
    pub expired_keys: Option<u64>,
    /// The number of sessions in the sample whose keys have no time to live, so that the server
    /// never deletes them. The store makes no such keys: another program has changed them.
    pub keys_without_expiry: Option<u64>,
    /// Where the sample of the next call begins. `None`: with the first key again.
    pub next: Option<Cursor>,
}
