use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::time::sleep;

use super::{
    error::StoreError,
    operate::{Cursor, Operate, Pruned},
};
use crate::event::Event;

/// The pause between two statements.
const PAUSE: Duration = Duration::from_millis(20);

/// The shortest and the longest pause after an error. It doubles each time.
const AFTER_ERROR: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(30)];

/// Deletes expired sessions at this interval and never returns. Spawn it as a task.
///
/// All instances of an app may do this. In SQL stores, one of them works in each interval. Each
/// statement is short, and there are pauses between them, so that requests do not have to wait.
/// After an error, which is an event, the work goes on a little later.
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
    let mut errors = Errors::default();
    loop {
        match store.begin_sweep(OffsetDateTime::now_utc(), interval).await {
            Ok(begins) => {
                if begins {
                    sweep(&store, interval, &mut errors).await;
                }
                sleep(interval).await;
            }
            Err(error) => errors.pause(&error, interval).await,
        }
    }
}

/// Prunes all parts of a store. Gives up after `most`, since another instance begins then.
async fn sweep(store: &impl Operate, most: Duration, errors: &mut Errors) {
    let (start, mut count, mut from) = (Instant::now(), 0, None::<Cursor>);
    loop {
        match store.prune(OffsetDateTime::now_utc(), from.clone()).await {
            Ok(Pruned { deleted, next }) => {
                errors.row = 0;
                count += deleted;
                from = next;
                if from.is_none() {
                    break;
                }
                sleep(PAUSE).await;
            }
            Err(_) if start.elapsed() > most => break,
            Err(error) => errors.pause(&error, most).await,
        }
    }
    if count > 0 {
        Event::Pruned { count }.emit();
    }
}

/// The errors without a success in between.
#[derive(Default)]
struct Errors {
    row: u32,
}

impl Errors {
    /// Waits before the next try, at most for `most`.
    async fn pause(&mut self, error: &StoreError, most: Duration) {
        Event::StoreFailed {
            call: "prune",
            kind: error.kind().name(),
            error,
        }
        .emit();
        let pause = AFTER_ERROR[0] * 2_u32.pow(self.row.min(6));
        self.row += 1;
        sleep(pause.min(AFTER_ERROR[1]).min(most)).await;
    }
}
