//! The ids of the sessions that this process ended in the last minute.
//!
//! A response to a request that came with one of these ids must not set its cookie again. By
//! default, all layers of a process share one list, so that an app can build its layer twice. The
//! minute is measured with the monotonic clock, so that a change of the wall clock has no effect.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::record::SessionId;

const MEMORY: Duration = Duration::from_secs(60);

static OF_PROCESS: LazyLock<Arc<EndedIds>> = LazyLock::new(Arc::default);

/// The ids of sessions that ended within the last minute.
#[derive(Default)]
pub(crate) struct EndedIds {
    /// Whether a session has ever ended. If not, readers do not take the lock.
    any: AtomicBool,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    ids: HashMap<SessionId, Instant>,
    order: VecDeque<SessionId>,
}

impl EndedIds {
    /// The list that all layers of this process share.
    pub(crate) fn of_process() -> Arc<Self> {
        OF_PROCESS.clone()
    }

    /// Adds the id of a session that ended now. Returns `false` if it was there already.
    pub(crate) fn end(&self, id: SessionId) -> bool {
        self.end_at(id, Instant::now())
    }

    /// Whether the session with that id ended within the last minute.
    pub(crate) fn contains(&self, id: SessionId) -> bool {
        self.contains_at(id, Instant::now)
    }

    fn end_at(&self, id: SessionId, now: Instant) -> bool {
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

    fn contains_at(&self, id: SessionId, now: impl FnOnce() -> Instant) -> bool {
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
    fn an_ended_id_is_known_for_a_minute() {
        let (ended, start) = (EndedIds::default(), Instant::now());
        let id = SessionId::new([1; 16]);
        let contains = |after| ended.contains_at(id, || start + Duration::from_secs(after));
        assert!(!contains(0));
        assert!(ended.end_at(id, start));
        assert!(!ended.end_at(id, start + Duration::from_secs(59)));
        assert!(contains(59));
        assert!(!contains(60));
        assert!(ended.end_at(id, start + Duration::from_secs(60)));
    }

    #[test]
    fn old_ids_are_forgotten() {
        let (ended, start) = (EndedIds::default(), Instant::now());
        for n in 0..200_u8 {
            ended.end_at(
                SessionId::new([n; 16]),
                start + Duration::from_secs(n.into()),
            );
        }
        let log = ended.lock();
        assert_eq!((log.ids.len(), log.order.len()), (60, 60));
    }
}
