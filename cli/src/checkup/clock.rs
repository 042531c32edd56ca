//! The clocks of the store's servers, compared with that of this machine.

use std::{
    cmp::Ordering,
    time::{Duration, Instant},
};

use time::OffsetDateTime;
use tower_sealed_session::store::{AnyStore, Operate as _, StoreError, StoreErrorKind};

use super::checks::Checks;
use crate::{exit::chain, stores::PATIENCE};

/// A server is asked so often. The fastest answer counts, since it tells the time best.
const TRIES: u32 = 5;

/// Machines that synchronize their clocks differ by less.
const USUAL: Duration = Duration::from_secs(1);

/// Instances tolerate such a difference between their clocks, see `guide::revoking`. The store does
/// not depend on its own clock. But if it differs from this one by more, one of the two is wrong,
/// and other instances may differ from this machine as much. From a minute on, they refuse its
/// sessions.
const TOLERATED: Duration = Duration::from_secs(30);

/// How far a server's clock is ahead.
#[derive(Clone, Copy)]
struct Ahead {
    by: time::Duration,
    /// It may be more or less by this time, for which the answer was on its way.
    trip: Duration,
}

/// Compares the clock of each server of a store with that of this machine.
pub(crate) async fn compare_clocks(checks: &mut Checks, store: &AnyStore) {
    let (mut servers, mut worst) = (0, None::<Ahead>);
    loop {
        match ahead(store, servers).await {
            Ok(Some(ahead)) => {
                servers += 1;
                worst = Some(match worst {
                    Some(worst) if worst.at_least() >= ahead.at_least() => worst,
                    _ => ahead,
                });
            }
            Ok(None) => break,
            Err(error) if error.kind() == StoreErrorKind::Denied => {
                let text = "the user may not ask the server for its time: in Redis, grant +time";
                return checks.warn("clock", text);
            }
            Err(error) => return checks.fail("clock", chain(&error)),
        }
    }
    let Some(worst) = worst else {
        return checks.ok(
            "clock",
            "the store has no server: its clock is that of this machine",
        );
    };
    let which = match servers {
        1 => "that of the server".to_owned(),
        _ => format!("of the clocks of {servers} servers, the one that differs most"),
    };
    let text = format!("{which} is {worst}");
    match worst.at_least() {
        difference if difference > TOLERATED => checks.fail(
            "clock",
            format!(
                "{text}. Instances tolerate 30 s: otherwise revocations miss sessions, and after a \
                 minute sessions are refused. Synchronize the clocks, such as with NTP"
            ),
        ),
        difference if difference > USUAL => checks.warn(
            "clock",
            format!("{text}: synchronize the clocks of both machines, such as with NTP"),
        ),
        _ => checks.ok("clock", text),
    }
}

async fn ahead(store: &AnyStore, server: usize) -> Result<Option<Ahead>, StoreError> {
    let mut best = None::<Ahead>;
    for _ in 0..TRIES {
        let (sent, start) = (OffsetDateTime::now_utc(), Instant::now());
        let asked = tokio::time::timeout(PATIENCE, store.server_time(server)).await;
        let late = |_| Err(StoreError::new(StoreErrorKind::TimedOut));
        let Some(time) = asked.unwrap_or_else(late)? else {
            return Ok(None);
        };
        let trip = start.elapsed() / 2;
        let found = Ahead {
            by: time - (sent + trip),
            trip,
        };
        if best.is_none_or(|best| trip < best.trip) {
            best = Some(found);
        }
    }
    Ok(best)
}

impl Ahead {
    /// The clocks differ by no less.
    fn at_least(self) -> Duration {
        self.by.unsigned_abs().saturating_sub(self.trip)
    }
}

impl std::fmt::Display for Ahead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let direction = match self.by.cmp(&time::Duration::ZERO) {
            Ordering::Less => "behind",
            _ => "ahead of",
        };
        let (by, trip) = (self.by.unsigned_abs(), self.trip);
        let [by, trip] = [by, trip].map(|time| time.as_secs_f64());
        write!(
            f,
            "{by:.3} s {direction} that of this machine (± {trip:.3} s)"
        )
    }
}
