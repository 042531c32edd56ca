//! The sessions that this process ended in the last minute.
//!
//! A response to a request that bore one of them must not set it again. The memory is the process's, not a
//! layer's, so that an app that builds its layer twice has one; and it goes by the monotonic clock, so that no
//! step of the wall clock shortens it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::record::SessionId;

const MEMORY: Duration = Duration::from_secs(60);

static ENDED: LazyLock<Ended> = LazyLock::new(Ended::default);

/// Notes that a session ended; `false` if it had before.
pub(crate) fn end(id: SessionId) -> bool {
    ENDED.end(id, Instant::now())
}

/// Whether a session ended within the last minute.
pub(crate) fn is_ended(id: SessionId) -> bool {
    ENDED.contains(id, Instant::now)
}

#[derive(Default)]
struct Ended {
    /// Spares readers the lock while nothing has ended yet.
    any: AtomicBool,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    ids: HashMap<SessionId, Instant>,
    order: VecDeque<SessionId>,
}

impl Ended {
    fn end(&self, id: SessionId, now: Instant) -> bool {
        let mut log = self.lock();
        log.forget(now);
        let new = !log.ids.contains_key(&id);
        if new {
            log.ids.insert(id, now);
            log.order.push_back(id);
        }
        self.any.store(true, Ordering::Release);
        new
    }

    fn contains(&self, id: SessionId, now: impl FnOnce() -> Instant) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let log = self.lock();
        log.ids
            .get(&id)
            .is_some_and(|&at| now().saturating_duration_since(at) < MEMORY)
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn forget(&mut self, now: Instant) {
        while let Some(id) = self.order.front() {
            let old = self
                .ids
                .get(id)
                .is_none_or(|&at| now.saturating_duration_since(at) >= MEMORY);
            if !old {
                return;
            }
            self.ids.remove(id);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_remembered_for_a_minute_and_ends_once() {
        let (ended, start) = (Ended::default(), Instant::now());
        let id = SessionId::new([1; 16]);
        let contains = |after| ended.contains(id, || start + Duration::from_secs(after));
        assert!(!contains(0));
        assert!(ended.end(id, start));
        assert!(!ended.end(id, start + Duration::from_secs(59)));
        assert!(contains(59));
        assert!(!contains(60));
        assert!(ended.end(id, start + Duration::from_secs(60)));
    }

    #[test]
    fn memory_is_given_back() {
        let (ended, start) = (Ended::default(), Instant::now());
        for n in 0..200_u8 {
            ended.end(
                SessionId::new([n; 16]),
                start + Duration::from_secs(n.into()),
            );
        }
        let log = ended.lock();
        assert_eq!((log.ids.len(), log.order.len()), (60, 60));
    }
}
