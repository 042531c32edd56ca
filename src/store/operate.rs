use std::future::Future;

use time::OffsetDateTime;

use super::{contract::Store, error::StoreError};

/// The operations of a store that operators use.
pub trait Operate: Store {
    /// Deletes up to a few hundred sessions that expired before `now`, in one short statement, and
    /// returns how many. If it returns 0, none are left. Stores that expire sessions themselves,
    /// such as Redis, return 0.
    fn prune(&self, now: OffsetDateTime) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Counts the sessions.
    fn statistics(
        &self,
        now: OffsetDateTime,
    ) -> impl Future<Output = Result<Statistics, StoreError>> + Send;
}

/// The contents of a store, for a chart or an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Sessions that can be used, and tombstones of sessions that ended recently.
    pub live: u64,
    /// Sessions that have expired and were not pruned yet.
    pub expired: u64,
}

impl Statistics {
    /// Statistics with these numbers, for implementations of stores.
    #[must_use]
    pub fn new(live: u64, expired: u64) -> Self {
        Self { live, expired }
    }
}
