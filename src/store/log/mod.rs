//! A log of revoked sessions, which all instances of an app read.
//!
//! Entries are only added, so the order in which they are read does not matter, and an entry can be
//! added again without harm. An entry goes when no cookie that it names can be valid any more.

#[cfg(feature = "store")]
mod any;
mod entry;
#[cfg(feature = "memory")]
pub(super) mod memory;

#[cfg(feature = "store")]
pub use self::any::AnyLog;
pub use self::entry::Entry;
pub(crate) use self::entry::{Key, Name, Revoked, SHARD, Subject, seconds};

use std::{future::Future, time::Duration};

use super::error::StoreError;
use crate::clock::Millis;

/// The number of entries that are read or added by one call.
pub(crate) const BATCH: usize = 500;

/// The place of an entry in a log. A later entry has a higher one, except that entries which are
/// added at the same time may appear in another order, see [`RevocationLog::OVERLAP`].
pub type Position = u128;

/// A log of revocations in a store.
pub trait RevocationLog: Send + Sync + 'static {
    /// The kind of store: the label `store` of the log's metrics.
    const KIND: &'static str = "custom";

    /// How long instances wait before they read again.
    const PAUSE: Duration;

    /// An entry may appear that much later than one with a higher position: longer than any
    /// statement takes that adds entries.
    const OVERLAP: Duration;

    /// Checks that the user has the rights that the log needs.
    fn check(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Creates what the log needs, if it does not exist. Called if a read fails because a table is
    /// missing.
    fn create(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Adds at most 500 entries, unless there are entries with their keys. Returns how many
    /// were added. When this returns, [`read`](Self::read) returns the entries.
    fn append(&self, entries: &[Entry]) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Adds entries that the log had and has lost, see [`append`](Self::append).
    fn restore(&self, entries: &[Entry]) -> impl Future<Output = Result<u64, StoreError>> + Send {
        self.append(entries)
    }

    /// Reads at most 500 entries in order, beginning with the one at `from` or else with the
    /// next one. What is none of our entries is `None`.
    fn read(
        &self,
        from: Position,
    ) -> impl Future<Output = Result<Vec<(Position, Option<Entry>)>, StoreError>> + Send;

    /// Deletes entries whose time is over, in one short step. Returns whether there may be more.
    fn trim(&self, now: Millis) -> impl Future<Output = Result<bool, StoreError>> + Send;
}
