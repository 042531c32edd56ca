//! Within this process, requests change a session one after the other.
//!
//! Otherwise many requests that change one session at once would all retry, since only one of them
//! wins at a time.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::OwnedMutexGuard;

use crate::store::{contract::StoreKey, error::StoreError};

/// The sessions that are being changed.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<StoreKey, Arc<Queue>>>);

#[derive(Default)]
struct Queue {
    line: Arc<tokio::sync::Mutex<()>>,
    /// The time and the error of the last failed call of a request that had the turn. Requests that
    /// waited at that time fail with the same error.
    failed: Mutex<Option<(Instant, StoreError)>>,
}

/// The right to change a session, until it is dropped.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    key: StoreKey,
    queue: Arc<Queue>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Takes the turn if no other request has it.
    pub(super) fn take(self: &Arc<Self>, key: StoreKey) -> Option<Turn> {
        let mut queues = self.lock();
        let Entry::Vacant(free) = queues.entry(key) else {
            return None;
        };
        let queue = Arc::new(Queue::default());
        let guard = queue.line.clone().try_lock_owned().ok();
        free.insert(queue.clone());
        Some(Turn {
            turns: self.clone(),
            key,
            queue,
            guard,
        })
    }

    /// Waits for the turn. Fails with the error of a request that had the turn in the meantime.
    pub(super) async fn wait(self: &Arc<Self>, key: StoreKey) -> Result<Turn, StoreError> {
        let since = Instant::now();
        let queue = self.lock().entry(key).or_default().clone();
        let mut turn = Turn {
            turns: self.clone(),
            key,
            queue,
            guard: None,
        };
        turn.guard = Some(turn.queue.line.clone().lock_owned().await);
        match &*turn.queue.failed() {
            Some((at, error)) if *at >= since => return Err(error.clone()),
            _ => {}
        }
        Ok(turn)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StoreKey, Arc<Queue>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn failed(&self) -> MutexGuard<'_, Option<(Instant, StoreError)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Fails the waiting requests with `error`.
    pub(crate) fn fail(&self, error: &StoreError) {
        *self.queue.failed() = Some((Instant::now(), error.clone()));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut queues = self.turns.lock();
        // one reference is in the table and one is here, so no other request waits
        if Arc::strong_count(&self.queue) == 2 {
            queues.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::error::StoreErrorKind;

    #[tokio::test]
    async fn one_request_has_the_turn_and_empty_queues_are_removed() {
        let turns = Arc::new(Turns::default());
        let key = StoreKey::new([1; 16]);
        let first = turns.wait(key).await.expect("free");
        let second = tokio::spawn({
            let turns = turns.clone();
            async move { turns.wait(key).await.map(|_| ()) }
        });
        let _other = turns.wait(StoreKey::new([2; 16])).await.expect("free");
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.expect("no panic").is_ok());
        assert_eq!(turns.lock().len(), 1);
    }

    #[tokio::test]
    async fn a_failure_of_the_store_reaches_all_waiting_requests() {
        let turns = Arc::new(Turns::default());
        let key = StoreKey::new([1; 16]);
        let first = turns.wait(key).await.expect("free");
        let waits =
            |turns: Arc<Turns>| tokio::spawn(async move { turns.wait(key).await.map(|_| ()) });
        let waiting = [waits(turns.clone()), waits(turns.clone())];
        tokio::task::yield_now().await;
        first.fail(&StoreError::new(StoreErrorKind::TimedOut));
        drop(first);
        for waiting in waiting {
            let error = waiting.await.expect("no panic").expect_err("told");
            assert_eq!(error.kind(), StoreErrorKind::TimedOut);
        }
        assert!(turns.wait(key).await.is_ok(), "a later request tries again");
    }
}
