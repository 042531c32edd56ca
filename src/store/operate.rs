use std::{future::Future, time::Duration};

use time::OffsetDateTime;

use super::{Store, StoreError};
use crate::event::Event;

/// What operators do with a store, beside what requests do.
pub trait Operate: Store {
    /// Forgets up to some hundreds of the sessions that ended before `now`, in one short statement, and says how many. 0: none
    /// are left. Stores that forget by themselves, such as Redis, have none.
    fn prune(&self, now: OffsetDateTime) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Counts.
    fn statistics(
        &self,
        now: OffsetDateTime,
    ) -> impl Future<Output = Result<Statistics, StoreError>> + Send;
}

/// What a store holds, for a chart or an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Sessions that can be used, and what is left of those that were ended lately.
    pub live: u64,
    /// Sessions that have ended and were not pruned yet.
    pub expired: u64,
}

impl Statistics {
    /// Of those numbers, for stores.
    #[must_use]
    pub fn new(live: u64, expired: u64) -> Self {
        Self { live, expired }
    }
}

/// Prunes a store now and then, for ever: a task to spawn. It survives errors, which are events; in between its short statements
/// requests have their turn.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use tower_sealed_session::store::{MemoryStore, prune_every};
///
/// let store = MemoryStore::new();
/// tokio::spawn(prune_every(Duration::from_secs(600), store.clone()));
/// # Ok(()) }
/// ```
pub async fn prune_every(interval: Duration, store: impl Operate) {
    /// Between two statements that each found something.
    const PAUSE: Duration = Duration::from_millis(20);
    loop {
        let mut pruned = 0;
        loop {
            match store.prune(OffsetDateTime::now_utc()).await {
                Ok(0) => break,
                Ok(count) => pruned += count,
                Err(error) => {
                    Event::StoreFailed {
                        call: "prune",
                        kind: error.kind().name(),
                    }
                    .emit();
                    break;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        if pruned > 0 {
            Event::Pruned { count: pruned }.emit();
        }
        tokio::time::sleep(interval).await;
    }
}
