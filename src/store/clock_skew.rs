//! The clocks of a store's servers, compared with that of this machine.

use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::{error::StoreError, operate::Operate};

/// The number of times that each server is asked. The fastest answer counts, since it tells the
/// time best.
const TRIES: u32 = 5;

/// The result of [`clock_skew`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClockSkew {
    /// The clock of the server minus that of this machine. Of several servers, the one that differs
    /// most.
    pub ahead: time::Duration,
    /// The difference may be more or less by this time, for which the answer was on its way.
    pub uncertainty: Duration,
    /// The number of servers that were asked.
    pub servers: usize,
}

impl ClockSkew {
    /// The clocks differ by no less than this.
    #[must_use]
    pub fn at_least(&self) -> Duration {
        let difference = self.ahead.unsigned_abs();
        difference.saturating_sub(self.uncertainty)
    }
}

/// Compares the clock of each server of a store with that of this machine, by
/// [`Operate::server_time`]. Each server is asked five times. `None`: the store has no server.
///
/// There is no time limit: use `tokio::time::timeout`.
///
/// # Errors
///
/// The same as for `server_time` of the store. In Redis, the user needs the right `+time`.
pub async fn clock_skew(store: &impl Operate) -> Result<Option<ClockSkew>, StoreError> {
    let mut found = Vec::new();
    while let Some(skew) = skew_of(store, found.len()).await? {
        found.push(skew);
    }
    let servers = found.len();
    let worst = found.into_iter().max_by_key(ClockSkew::at_least);
    Ok(worst.map(|worst| ClockSkew { servers, ..worst }))
}

async fn skew_of(store: &impl Operate, server: usize) -> Result<Option<ClockSkew>, StoreError> {
    let mut best = None::<ClockSkew>;
    for _ in 0..TRIES {
        let (sent, start) = (OffsetDateTime::now_utc(), Instant::now());
        let Some(time) = store.server_time(server).await? else {
            return Ok(None);
        };
        // the server read its clock in the middle of the call, or at most this much before or after
        let uncertainty = start.elapsed() / 2;
        if best.is_none_or(|best| uncertainty < best.uncertainty) {
            best = Some(ClockSkew {
                ahead: time - (sent + uncertainty),
                uncertainty,
                servers: 1,
            });
        }
    }
    Ok(best)
}
