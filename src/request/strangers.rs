//! Warnings of cookies that the layer's secrets do not open. Each such cookie is an event of low
//! level, since anyone can send one. If an instance lacks a secret, there are many of them.

use std::sync::{Mutex, PoisonError};

use super::codec::Codec;
use crate::{
    clock::{self, Millis},
    event::Event,
    key::KeyId,
    metrics::Metrics,
};

/// The minimum time between two warnings.
const PAUSE: Millis = 60_000;

/// The maximum number of key ids that a warning names.
const NAMED: usize = 3;

/// Counts the requests with such cookies. Other requests take no lock.
#[derive(Default)]
pub(crate) struct Strangers {
    unknown: Mutex<Tally>,
    legacy: Mutex<Tally>,
}

/// The number of requests since the last warning.
#[derive(Default)]
struct Tally {
    count: u64,
    /// The most frequent key ids. Random ids of an attacker displace one another, and not a
    /// frequent one.
    keys: Vec<(KeyId, u64)>,
    warned: Option<Millis>,
}

impl Strangers {
    /// Counts the request if its events tell of such a cookie, and warns if a warning is due.
    pub(super) fn count(
        &self,
        events: &[Event<'static>],
        codec: &Codec,
        clock: &clock::Source,
        metrics: &Metrics,
    ) {
        let mut keys = events.iter().filter_map(Event::unknown_key);
        if let Some(key) = keys.next()
            && let Some(Tally { count, keys, .. }) = due(&self.unknown, Some(key), clock)
        {
            let keys: Vec<_> = keys.iter().map(|(key, _)| key.to_string()).collect();
            Event::UnknownKeys {
                count,
                keys: &keys.join(" "),
                ours: codec.current_key(),
            }
            .emit(metrics);
        }
        if events.iter().any(Event::is_forged_legacy)
            && let Some(Tally { count, .. }) = due(&self.legacy, None, clock)
        {
            Event::LegacyForged { count }.emit(metrics);
        }
    }
}

/// Counts a request, and returns the count if a warning is due. The lock is released before the
/// warning: a subscriber may send a request.
fn due(tally: &Mutex<Tally>, key: Option<KeyId>, clock: &clock::Source) -> Option<Tally> {
    let now = clock.now()?;
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    tally.add(key);
    tally.take(now)
}

impl Tally {
    fn add(&mut self, key: Option<KeyId>) {
        self.count += 1;
        let Some(key) = key else { return };
        if let Some((_, times)) = self.keys.iter_mut().find(|(known, _)| *known == key) {
            *times += 1;
        } else if self.keys.len() < NAMED {
            self.keys.push((key, 1));
        } else {
            self.keys.iter_mut().for_each(|(_, times)| *times -= 1);
            self.keys.retain(|(_, times)| *times > 0);
        }
    }

    fn take(&mut self, now: Millis) -> Option<Self> {
        // also due if the clock went back
        if self.warned.is_some_and(|at| now.abs_diff(at) < PAUSE) {
            return None;
        }
        let fresh = Self {
            warned: Some(now),
            ..Self::default()
        };
        Some(std::mem::replace(self, fresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_key_ids_neither_fill_memory_nor_hide_a_frequent_one() {
        let mut tally = Tally::default();
        for n in 0..100_000_u32 {
            tally.add(Some(KeyId(n.to_be_bytes())));
            if n % 2 == 0 {
                tally.add(Some(KeyId(*b"real")));
            }
            assert!(tally.keys.len() <= NAMED);
        }
        assert_eq!(tally.count, 150_000);
        assert!(tally.keys.iter().any(|(id, _)| id.0 == *b"real"));
    }

    #[test]
    fn a_warning_is_due_after_a_minute_and_if_the_clock_goes_back() {
        let mut tally = Tally::default();
        let mut warns = |now| {
            tally.add(None);
            tally.take(now).map(|taken| taken.count)
        };
        assert_eq!(warns(100_000), Some(1));
        assert_eq!(warns(100_000), None);
        assert_eq!(warns(159_999), None);
        assert_eq!(warns(160_000), Some(3));
        assert_eq!(warns(10_000), Some(1));
    }
}
