mod touches;
mod turns;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use time::OffsetDateTime;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep, timeout},
};

pub(crate) use self::turns::Turn;
use self::{touches::Touches, turns::Turns};
use crate::{
    event::Event,
    store::{
        contract::{Creation, OwnerTag, Row, Saving, Store, StoreKey, Stored, Version},
        error::{StoreError, StoreErrorKind},
    },
};

/// How long a call may take by default.
const TIMEOUT: Duration = Duration::from_millis(250);

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A [`Store`] of any type. Its futures are boxed here, and nowhere else.
trait AnyStore: Send + Sync {
    fn load(&self, key: StoreKey) -> Answer<'_, Option<Stored>>;
    fn create<'a>(&'a self, key: StoreKey, row: &'a Row<'a>) -> Answer<'a, Creation>;
    fn save<'a>(&'a self, key: StoreKey, expected: Version, row: &'a Row<'a>)
    -> Answer<'a, Saving>;
    fn touch(&self, key: StoreKey, expected: Version, expires: OffsetDateTime) -> Answer<'_, bool>;
    fn delete(&self, key: StoreKey) -> Answer<'_, bool>;
    fn delete_owner(&self, owner: OwnerTag) -> Answer<'_, u64>;
}

impl<S: Store> AnyStore for S {
    fn load(&self, key: StoreKey) -> Answer<'_, Option<Stored>> {
        Box::pin(Store::load(self, key))
    }

    fn create<'a>(&'a self, key: StoreKey, row: &'a Row<'a>) -> Answer<'a, Creation> {
        Box::pin(Store::create(self, key, row.bytes, row.expires, row.owner))
    }

    fn save<'a>(
        &'a self,
        key: StoreKey,
        expected: Version,
        row: &'a Row<'a>,
    ) -> Answer<'a, Saving> {
        Box::pin(Store::save(
            self,
            key,
            expected,
            row.bytes,
            row.expires,
            row.owner,
        ))
    }

    fn touch(&self, key: StoreKey, expected: Version, expires: OffsetDateTime) -> Answer<'_, bool> {
        Box::pin(Store::touch(self, key, expected, expires))
    }

    fn delete(&self, key: StoreKey) -> Answer<'_, bool> {
        Box::pin(Store::delete(self, key))
    }

    fn delete_owner(&self, owner: OwnerTag) -> Answer<'_, u64> {
        Box::pin(Store::delete_owner(self, owner))
    }
}

/// A store with a deadline for each call. In this process, each session has one writer at a time.
#[derive(Clone)]
pub(crate) struct Backend {
    store: Arc<dyn AnyStore>,
    timeout: Duration,
    turns: Arc<Turns>,
    touches: Arc<Touches>,
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
            store: Arc::new(store),
            timeout: TIMEOUT,
            turns: Arc::default(),
            touches: Arc::default(),
        }
    }

    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
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
        let turn = timeout(self.patience(), self.turns.wait(key)).await;
        turn.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::Contended)))
    }

    /// Waits until no other commit of the same request is under way.
    pub(crate) async fn enter<'a>(&self, lane: &'a Lane) -> Result<MutexGuard<'a, ()>, StoreError> {
        let waited = timeout(2 * self.patience(), lane.0.lock()).await;
        waited.map_err(|_| StoreError::new(StoreErrorKind::Contended))
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        sleep(duration).await;
    }

    pub(crate) async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        self.call("load", || self.store.load(key)).await
    }

    /// Inserts a row. Returns `None` if the key has another row.
    pub(crate) async fn create(
        &self,
        key: StoreKey,
        row: &Row<'_>,
    ) -> Result<Option<Version>, StoreError> {
        match self.call("create", || self.store.create(key, row)).await? {
            Creation::Created(version) => Ok(Some(version)),
            // this call may have created it, if an answer was lost
            Creation::Exists => match self.load(key).await? {
                Some(stored) if stored.bytes == row.bytes => Ok(Some(stored.version)),
                _ => Ok(None),
            },
        }
    }

    pub(crate) async fn save(
        &self,
        key: StoreKey,
        expected: Version,
        row: &Row<'_>,
    ) -> Result<Saving, StoreError> {
        let lost = AtomicBool::new(false);
        let saving = self.call("save", || {
            let save = self.store.save(key, expected, row);
            let lost = &lost;
            Box::pin(async move {
                save.await
                    .inspect_err(|error| lost.store(error.is_lost(), Ordering::Relaxed))
            })
        });
        match saving.await? {
            // no two seals are equal, so this call saved it and its answer was lost
            Saving::Conflict(stored) if stored.bytes == row.bytes => {
                Ok(Saving::Saved(stored.version))
            }
            // this call may have saved it before another one did; a replay could then apply it
            // twice
            Saving::Conflict(stored)
                if lost.load(Ordering::Relaxed) && stored.version != expected.next() =>
            {
                Err(StoreError::new(StoreErrorKind::Unreachable))
            }
            saving => Ok(saving),
        }
    }

    /// Moves the end of a session that this request saw at that version and with that end. If the
    /// call fails, nothing is lost.
    pub(crate) async fn touch(
        &self,
        key: StoreKey,
        seen: (Version, OffsetDateTime),
        expires: OffsetDateTime,
    ) {
        let Some(touch) = self.touches.begin(key, seen.1) else {
            return;
        };
        let touched = self
            .call("touch", || self.store.touch(key, seen.0, expires))
            .await;
        if let Ok(true) = touched {
            touch.done(expires);
        }
    }

    pub(crate) async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        self.call("delete", || self.store.delete(key)).await
    }

    pub(crate) async fn delete_owner(&self, owner: OwnerTag) -> Result<u64, StoreError> {
        self.call("delete_owner", || self.store.delete_owner(owner))
            .await
    }

    /// Makes a call within the deadline, and repeats it once if the connection broke.
    async fn call<'a, T>(
        &'a self,
        call: &'static str,
        make: impl Fn() -> Answer<'a, T>,
    ) -> Result<T, StoreError> {
        let twice = async {
            match make().await {
                Err(error) if error.kind() == StoreErrorKind::Unreachable => make().await,
                answer => answer,
            }
        };
        let answer = timeout(self.timeout, twice).await;
        answer
            .unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::TimedOut)))
            .inspect_err(|error| {
                let kind = error.kind().name();
                Event::StoreFailed { call, kind, error }.emit();
            })
    }
}
