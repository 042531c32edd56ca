use std::time::Duration;

use time::OffsetDateTime;

use super::operate::Operate;
use crate::event::Event;

/// Prunes a store at this interval and never returns. Spawn it as a task.
///
/// Errors are events and do not stop it. It pauses between its short statements, so that requests
/// do not have to wait.
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
    /// The pause between two statements that each deleted something.
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
                        error: &error,
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
