mod touches;
mod turns;

use std::{future::Future, sync::Arc, time::Duration};

use time::OffsetDateTime;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep, timeout},
};

pub(crate) use self::turns::Turn;
use self::{touches::Touches, turns::Turns};
use crate::{
    metrics::{Metric, Metrics},
    store::{
        any::DynStore,
        call::Call,
        contract::{Creation, OwnerTag, Row, Saving, Store, StoreKey, Stored, Version},
        error::{StoreError, StoreErrorKind},
    },
};

/// How long a call may take by default.
const TIMEOUT: Duration = Duration::from_millis(250);

/// A store with a deadline for each call. In this process, each session has one writer at a time.
#[derive(Clone)]
pub(crate) struct Backend {
    store: Arc<dyn DynStore>,
    timeout: Duration,
    turns: Arc<Turns>,
    touches: Arc<Touches>,
    metrics: Metrics,
}

/// The time until which a commit is retried.
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn has_passed(&self) -> bool {
        Instant::now() >= self.0
    }
}

/// Orders the commits of one request.
#[derive(Default)]
pub(crate) struct Lane(Mutex<()>);

impl Backend {
    pub(crate) fn new(store: impl Store) -> Self {
        Self {
            metrics: Metrics::of_store(store.kind()),
            store: Arc::new(store),
            timeout: TIMEOUT,
            turns: Arc::default(),
            touches: Arc::default(),
        }
    }

    /// The kind of the store, in metrics.
    pub(crate) fn kind(&self) -> &'static str {
        self.store.kind()
    }

    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The deadline of a commit that begins now.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline(Instant::now() + self.patience())
    }

    /// How long all calls of one commit may take, including retries.
    fn patience(&self) -> Duration {
        8 * self.timeout
    }

    /// Waits until no other request of this process changes that session.
    pub(crate) async fn turn(&self, key: StoreKey) -> Result<Turn, StoreError> {
        if let Some(turn) = self.turns.take(key) {
            return Ok(turn);
        }
        let turn = timeout(self.patience(), self.turns.wait(key)).await;
        turn.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::Contended)))
    }

    /// Waits until no other commit of the same request is under way.
    pub(crate) async fn enter<'a>(&self, lane: &'a Lane) -> Result<MutexGuard<'a, ()>, StoreError> {
        if let Ok(guard) = lane.0.try_lock() {
            return Ok(guard);
        }
        let waited = timeout(2 * self.patience(), lane.0.lock()).await;
        waited.map_err(|_| StoreError::new(StoreErrorKind::Contended))
    }

    /// Runs a task that no request waits for. Without a runtime, as when the process ends, it is
    /// dropped.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(task);
        }
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        sleep(duration).await;
    }

    /// Loads a row. The call is repeated once if the connection broke, since it changes nothing.
    pub(crate) async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        let twice = async {
            match self.store.load(key).await {
                Err(error) if error.is_lost() => self.store.load(key).await,
                answer => answer,
            }
        };
        self.call("load", self.timeout, twice).await
    }

    /// Inserts a row. If there was no answer, it may have been inserted.
    pub(crate) async fn create(
        &self,
        key: StoreKey,
        row: &Row<'_>,
    ) -> Result<Creation, StoreError> {
        let create = self.store.create(key, row);
        self.call("create", self.timeout, create).await
    }

    /// Replaces a row. If there was no answer, it may have been replaced.
    pub(crate) async fn save(
        &self,
        key: StoreKey,
        expected: Version,
        row: &Row<'_>,
        previous: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        let save = self.store.save(key, expected, row, previous);
        self.call("save", self.timeout, save).await
    }

    /// Moves the end of a session that this request saw at that version and with that end. Returns
    /// whether it still has that version, as far as is known: if another request of this process
    /// touches it, there is no second call.
    pub(crate) async fn touch(
        &self,
        key: StoreKey,
        seen: (Version, OffsetDateTime),
        expires: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let note = |result| self.metrics.count(Metric::Touches, &[result], 1);
        let Some(touch) = self.touches.begin(key, seen.1) else {
            note("skipped");
            return Ok(true);
        };
        let touched = self.store.touch(key, seen.0, expires);
        let touched = self.call("touch", self.timeout, touched).await;
        match touched {
            Ok(true) => {
                touch.done(expires);
                note("done");
            }
            Ok(false) => note("gone"),
            Err(_) => note("error"),
        }
        touched
    }

    /// Moves the end of a session in a task that no request waits for.
    pub(crate) fn touch_later(
        &self,
        key: StoreKey,
        seen: (Version, OffsetDateTime),
        expires: OffsetDateTime,
    ) {
        let backend = self.clone();
        self.spawn(async move {
            // if that fails, the next request of the session touches it
            let _ = backend.touch(key, seen, expires).await;
        });
    }

    pub(crate) async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        self.call("delete", self.timeout, self.store.delete(key))
            .await
    }

    /// The rows of an owner, at most 1000. It may take as long as a commit.
    pub(crate) async fn list_owner(
        &self,
        owner: &[OwnerTag],
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let listed = self.store.list_owner(owner);
        self.call("list_owner", self.patience(), listed).await
    }

    /// Deletes the rows of an owner, except those under some keys, batch by batch, and returns how
    /// many. Each batch may take as long as a commit.
    pub(crate) async fn delete_owner(
        &self,
        owner: &[OwnerTag],
        except: &[StoreKey],
    ) -> Result<u64, StoreError> {
        let mut count = 0;
        loop {
            let batch = self.store.delete_owner(owner, except);
            match self.call("delete_owner", self.patience(), batch).await? {
                0 => return Ok(count),
                deleted => count += deleted,
            }
        }
    }

    /// Waits for an answer until the deadline. An error is also an event.
    async fn call<T>(
        &self,
        call: &'static str,
        most: Duration,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let measured = Call::begin(&self.metrics, call);
        let answer = timeout(most, answer).await;
        let answer = answer.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::TimedOut)));
        measured.end(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const KEY: StoreKey = StoreKey::new([1; 16]);
    const ROW: Row<'_> = Row::new(Version::new(1), b"", OffsetDateTime::UNIX_EPOCH, None);

    /// A store whose connection breaks in every call but `delete_owner`. That one is slow if it
    /// gets no tag.
    #[derive(Clone, Default)]
    struct Broken {
        calls: Arc<AtomicU64>,
        batches: Arc<AtomicU64>,
    }

    impl Broken {
        async fn fail<T>(&self) -> Result<T, StoreError> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            Err(StoreError::new(StoreErrorKind::Unreachable))
        }
    }

    impl Store for Broken {
        async fn load(&self, _: StoreKey) -> Result<Option<Stored>, StoreError> {
            self.fail().await
        }

        async fn create(&self, _: StoreKey, _: &Row<'_>) -> Result<Creation, StoreError> {
            self.fail().await
        }

        async fn save(
            &self,
            _: StoreKey,
            _: Version,
            _: &Row<'_>,
            _: Option<OwnerTag>,
        ) -> Result<Saving, StoreError> {
            self.fail().await
        }

        async fn touch(
            &self,
            _: StoreKey,
            _: Version,
            _: OffsetDateTime,
        ) -> Result<bool, StoreError> {
            self.fail().await
        }

        async fn delete(&self, _: StoreKey) -> Result<bool, StoreError> {
            self.fail().await
        }

        async fn list_owner(&self, _: &[OwnerTag]) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
            self.fail().await
        }

        async fn delete_owner(
            &self,
            owner: &[OwnerTag],
            _: &[StoreKey],
        ) -> Result<u64, StoreError> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if owner.is_empty() {
                sleep(Duration::from_millis(150)).await;
            }
            let left = self.batches.load(Ordering::Relaxed);
            self.batches
                .store(left.saturating_sub(1), Ordering::Relaxed);
            Ok(left.min(1) * 500)
        }
    }

    #[tokio::test]
    async fn only_a_load_is_repeated_when_the_connection_breaks() {
        let store = Broken::default();
        let backend = Backend::new(store.clone());
        let calls = || store.calls.swap(0, Ordering::Relaxed);
        assert!(backend.load(KEY).await.is_err());
        assert_eq!(calls(), 2);
        assert!(backend.create(KEY, &ROW).await.is_err());
        assert_eq!(calls(), 1);
        let saved = backend.save(KEY, ROW.version, &ROW, None).await;
        assert!(saved.is_err());
        assert_eq!(calls(), 1);
        let seen = (ROW.version, ROW.expires);
        let later = ROW.expires + Duration::from_secs(1);
        assert!(backend.touch(KEY, seen, later).await.is_err());
        assert_eq!(calls(), 1);
        assert!(backend.delete(KEY).await.is_err());
        assert_eq!(calls(), 1);
    }

    #[tokio::test]
    async fn owners_are_deleted_batch_by_batch_even_if_a_batch_is_slow() {
        let store = Broken::default();
        let mut backend = Backend::new(store.clone());
        backend.set_timeout(Duration::from_millis(100));
        store.batches.store(3, Ordering::Relaxed);
        let tags = [OwnerTag::new([1; 16])];
        let deleted = backend.delete_owner(&tags, &[]).await;
        assert_eq!(deleted.expect("a store"), 1500);
        assert_eq!(store.calls.load(Ordering::Relaxed), 4);
        let slow = backend.delete_owner(&[], &[]).await;
        assert_eq!(slow.expect("within eight time-outs"), 0);
    }
}
