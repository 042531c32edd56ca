use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::time::sleep;

use super::{
    error::StoreError,
    operate::{Cursor, Operate, Pruned},
};
use crate::{
    event::Event,
    metrics::{Metric, Metrics, Timer},
};

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
    let mut pruner = Pruner {
        metrics: Metrics::of_store(store.kind()),
        store,
        errors: 0,
    };
    loop {
        let began = pruner
            .store
            .begin_sweep(OffsetDateTime::now_utc(), interval);
        match began.await {
            Ok(begins) => {
                if begins {
                    pruner.sweep(interval).await;
                }
                sleep(interval).await;
            }
            Err(error) => pruner.pause(&error, interval).await,
        }
    }
}

struct Pruner<S> {
    store: S,
    metrics: Metrics,
    /// The number of errors without a success in between.
    errors: u32,
}

impl<S: Operate> Pruner<S> {
    /// Prunes all parts of the store. Gives up after `most`, since another instance begins then.
    async fn sweep(&mut self, most: Duration) {
        let (start, timer) = (Instant::now(), Timer::start());
        let (mut count, mut from) = (0, None::<Cursor>);
        let is_done = loop {
            match self.step(from.clone()).await {
                Ok(Pruned { deleted, next }) => {
                    self.errors = 0;
                    count += deleted;
                    from = next;
                    if from.is_none() {
                        break true;
                    }
                    sleep(PAUSE).await;
                }
                Err(_) if start.elapsed() > most => break false,
                Err(error) => self.pause(&error, most).await,
            }
        };
        if count > 0 {
            Event::Pruned { count }.emit(&self.metrics);
        }
        if is_done {
            self.metrics.time(Metric::PruneDuration, &[], timer);
            self.metrics.set_past(Metric::PruneLastSuccess, 0.0);
        }
    }

    async fn step(&self, from: Option<Cursor>) -> Result<Pruned, StoreError> {
        let timer = Timer::start();
        let pruned = self.store.prune(OffsetDateTime::now_utc(), from).await;
        self.metrics.time(Metric::StoreDuration, &["prune"], timer);
        pruned
    }

    /// Waits before the next try, at most for `most`.
    async fn pause(&mut self, error: &StoreError, most: Duration) {
        let kind = error.kind().name();
        let call = "prune";
        Event::StoreFailed { call, kind, error }.emit(&self.metrics);
        let pause = AFTER_ERROR[0] * 2_u32.pow(self.errors.min(6));
        self.errors += 1;
        sleep(pause.min(AFTER_ERROR[1]).min(most)).await;
    }
}
