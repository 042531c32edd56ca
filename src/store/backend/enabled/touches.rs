//! If several requests touch one session at once, only one of them calls the store.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use time::OffsetDateTime;

use crate::store::contract::StoreKey;

/// The touches of this process.
#[derive(Default)]
pub(super) struct Touches(Mutex<Log>);

#[derive(Default)]
struct Log {
    under_way: HashSet<StoreKey>,
    /// The ends that were set last. When there are many, they are forgotten. An unneeded touch does
    /// no harm.
    ends: HashMap<StoreKey, OffsetDateTime>,
}

/// A touch that is under way until this is dropped.
pub(super) struct Touch<'a> {
    all: &'a Touches,
    key: StoreKey,
}

impl Touches {
    const MOST: usize = 4096;

    /// Begins a touch of a session that this request saw with the end `seen`. `None` if another
    /// request touches it now, or has moved its end since.
    pub(super) fn begin(&self, key: StoreKey, seen: OffsetDateTime) -> Option<Touch<'_>> {
        let mut log = self.lock();
        let done = log.ends.get(&key).is_some_and(|&end| end > seen);
        // lazily: the drop of a `Touch` takes the lock, and ends the touch of the other request
        (!done && log.under_way.insert(key)).then(|| Touch { all: self, key })
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Touch<'_> {
    /// Notes that the store has set that end.
    pub(super) fn done(&self, expires: OffsetDateTime) {
        let ends = &mut self.all.lock().ends;
        if ends.len() >= Touches::MOST {
            ends.clear();
        }
        ends.insert(self.key, expires);
    }
}

impl Drop for Touch<'_> {
    fn drop(&mut self) {
        self.all.lock().under_way.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_request_touches_a_session_at_a_time() {
        let (touches, key) = (Touches::default(), StoreKey::new([1; 16]));
        let seen = OffsetDateTime::UNIX_EPOCH;
        let first = touches.begin(key, seen).expect("the first");
        for _ in 0..2 {
            assert!(touches.begin(key, seen).is_none(), "it is under way");
        }
        assert!(touches.begin(StoreKey::new([2; 16]), seen).is_some());
        first.done(seen + Duration::from_secs(60));
        drop(first);
        assert!(touches.begin(key, seen).is_none(), "it is done");
        assert!(touches.begin(key, seen + Duration::from_secs(60)).is_some());
    }
}
