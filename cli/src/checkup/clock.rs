//! The clocks of the store's servers, compared with that of this machine.

use std::{cmp::Ordering, time::Duration};

use tokio::time::timeout;
use tower_sealed_session::store::{AnyStore, ClockSkew, StoreError, StoreErrorKind, clock_skew};

use super::checks::Checks;
use crate::{exit::chain, stores::PATIENCE};

/// Machines that synchronize their clocks differ by less.
const USUAL: Duration = Duration::from_secs(1);

/// Instances tolerate such a difference between their clocks, see `guide::revoking`. The store does
/// not depend on its own clock. But if it differs from this one by more, one of the two is wrong,
/// and other instances may differ from this machine as much. From a minute on, they refuse its
/// sessions.
const TOLERATED: Duration = Duration::from_secs(30);

/// Compares the clock of each server of a store with that of this machine.
pub(crate) async fn compare_clocks(checks: &mut Checks, store: &AnyStore) {
    let late = |_| Err(StoreError::new(StoreErrorKind::TimedOut));
    let compared = timeout(PATIENCE, clock_skew(store)).await;
    let worst = match compared.unwrap_or_else(late) {
        Ok(worst) => worst,
        Err(error) if error.kind() == StoreErrorKind::Denied => {
            let text = "the user may not ask the server for its time: in Redis, grant +time";
            return checks.warn("clock", text);
        }
        Err(error) => return checks.fail("clock", chain(&error)),
    };
    let Some(worst) = worst else {
        return checks.ok(
            "clock",
            "the store has no server: its clock is that of this machine",
        );
    };
    let which = match worst.servers {
        1 => "that of the server".to_owned(),
        servers => format!("of the clocks of {servers} servers, the one that differs most"),
    };
    let text = format!("{which} is {}", difference(&worst));
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

fn difference(skew: &ClockSkew) -> String {
    let direction = match skew.ahead.cmp(&time::Duration::ZERO) {
        Ordering::Less => "behind",
        _ => "ahead of",
    };
    let [ahead, uncertainty] =
        [skew.ahead.unsigned_abs(), skew.uncertainty].map(|time| time.as_secs_f64());
    format!("{ahead:.3} s {direction} that of this machine (± {uncertainty:.3} s)")
}
