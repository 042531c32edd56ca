use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::{sleep, timeout};

use super::{
    call::Call,
    clock_skew::clock_skew,
    error::{StoreError, StoreErrorKind},
    operate::{Cursor, Health, Operate},
};
use crate::{
    metrics::{Metric, Metrics},
    random,
};

/// How long one question may take. No request waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures a store at this interval and never returns: its rows, and for a server its memory and
/// its clock. Spawn it as a task. These are the metrics `session_rows`, `session_store_memory_bytes`
/// and so on; see [`guide::events`](crate::guide::events).
///
/// Each instance may do this. PostgreSQL counts a sample of about 500 pages, MariaDB counts only the
/// expired rows, SQLite counts an index, and Redis looks at about a thousand keys. A question that
/// fails is an event, and the next ones follow after the interval. What a user of the server may not
/// ask is left out.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use tower_sealed_session::store::{MemoryStore, measure_every};
///
/// let store = MemoryStore::new();
/// tokio::spawn(measure_every(Duration::from_secs(60), store.clone()));
/// # Ok(()) }
/// ```
pub async fn measure_every(interval: Duration, store: impl Operate) {
    let mut meter = Meter {
        metrics: Metrics::of_store(store.kind()),
        store,
        next: None,
        evicted: Growth::default(),
        expired: Growth::default(),
    };
    loop {
        // an error is an event already
        let _ = meter.measure().await;
        sleep(random::jitter(interval)).await;
    }
}

struct Meter<S> {
    store: S,
    metrics: Metrics,
    /// Where the next sample of keys begins.
    next: Option<Cursor>,
    evicted: Growth,
    expired: Growth,
}

/// The growth of a counter of a server.
#[derive(Default)]
struct Growth(Option<u64>);

impl<S: Operate> Meter<S> {
    async fn measure(&mut self) -> Result<(), StoreError> {
        let statistics = self.store.statistics(OffsetDateTime::now_utc());
        let rows = ask(&self.metrics, statistics).await?;
        self.set(Metric::Rows, &["live"], rows.live);
        self.set(Metric::Rows, &["expired"], rows.expired);
        let health = ask(&self.metrics, self.store.health(self.next.take())).await?;
        self.note(health);
        let skew = ask(&self.metrics, tolerant(clock_skew(&self.store))).await?;
        if let Some(skew) = skew.flatten() {
            let ahead = skew.ahead.as_seconds_f64();
            self.metrics.set(Metric::ClockSkew, &[], ahead);
        }
        Ok(())
    }

    fn note(&mut self, health: Health) {
        self.next = health.next;
        for (metric, value) in [
            (Metric::MemoryBytes, health.memory_bytes),
            (Metric::MemoryLimitBytes, health.memory_limit_bytes),
            (Metric::KeysWithoutExpiry, health.keys_without_expiry),
        ] {
            if let Some(value) = value {
                self.set(metric, &[], value);
            }
        }
        for (metric, growth, now) in [
            (Metric::EvictedKeys, &mut self.evicted, health.evicted_keys),
            (Metric::ExpiredKeys, &mut self.expired, health.expired_keys),
        ] {
            if let Some(now) = now {
                self.metrics.count(metric, &[], growth.until(now));
            }
        }
    }

    fn set(&self, metric: Metric, values: &[&'static str], value: u64) {
        self.metrics.set(metric, values, value as f64);
    }
}

impl Growth {
    /// The growth since the last call. A server that has restarted counts from 0 again.
    fn until(&mut self, now: u64) -> u64 {
        match self.0.replace(now) {
            None => 0,
            Some(before) if before <= now => now - before,
            Some(_) => now,
        }
    }
}

async fn ask<T>(
    metrics: &Metrics,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let call = Call::begin(metrics, "measure");
    let answer = timeout(PATIENCE, answer).await;
    call.end(answer.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::TimedOut))))
}

/// `None`: the user has no right to ask.
async fn tolerant<T>(
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<Option<T>, StoreError> {
    match answer.await {
        Err(error) if error.kind() == StoreErrorKind::Denied => Ok(None),
        answer => answer.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_that_since_the_first_look_also_over_a_restart() {
        let mut growth = Growth::default();
        let seen = [7, 7, 10, 2, 5];
        assert_eq!(seen.map(|now| growth.until(now)), [0, 0, 3, 2, 3]);
    }
}
