//! A store as requests use it: of any kind, with a deadline, and one writer of a session at a time.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use time::OffsetDateTime;
use tokio::time::timeout;

use super::{
    Creation, OwnerTag, Saving, Store, StoreError, StoreErrorKind, StoreKey, Stored, Version,
    turns::{Turn, Turns},
};
use crate::event::Event;

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// [`Store`] for any of them: its futures are boxed here, once.
trait AnyStore: Send + Sync {
    fn load(&self, key: StoreKey) -> Answer<'_, Option<Stored>>;
    fn create<'a>(&'a self, key: StoreKey, row: &'a Row<'a>) -> Answer<'a, Creation>;
    fn save<'a>(&'a self, key: StoreKey, expected: Version, row: &'a Row<'a>)
    -> Answer<'a, Saving>;
    fn touch(&self, key: StoreKey, expected: Version, expires: OffsetDateTime) -> Answer<'_, bool>;
    fn delete(&self, key: StoreKey) -> Answer<'_, bool>;
    fn delete_owner(&self, owner: OwnerTag) -> Answer<'_, u64>;
}

/// What is to be kept under a key.
pub(crate) struct Row<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) expires: OffsetDateTime,
    pub(crate) owner: Option<OwnerTag>,
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

/// How long a call may take, unless the application says otherwise.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(250);

/// A store, and how long a call to it may take.
#[derive(Clone)]
pub(crate) struct Keeper {
    store: Arc<dyn AnyStore>,
    timeout: Duration,
    turns: Arc<Turns>,
    touches: Arc<Touches>,
}

/// The touches of this process, so that of requests at once one touches their session.
#[derive(Default)]
struct Touches(Mutex<Touched>);

#[derive(Default)]
struct Touched {
    under_way: HashSet<StoreKey>,
    /// The ends that were given last; forgotten when they are many, since a touch too many does no harm.
    ends: HashMap<StoreKey, OffsetDateTime>,
}

impl Touches {
    const MOST: usize = 4096;

    fn lock(&self) -> MutexGuard<'_, Touched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: another request does it, or has since the session was `seen` to have that end.
    fn begin(&self, key: StoreKey, seen: OffsetDateTime) -> Option<Touch<'_>> {
        let mut touched = self.lock();
        let done = touched.ends.get(&key).is_some_and(|&end| end > seen);
        (!done && touched.under_way.insert(key)).then_some(Touch { all: self, key })
    }
}

impl Touch<'_> {
    fn done(&self, expires: OffsetDateTime) {
        let ends = &mut self.all.lock().ends;
        if ends.len() >= Touches::MOST {
            ends.clear();
        }
        ends.insert(self.key, expires);
    }
}

/// A touch, until it is dropped.
struct Touch<'a> {
    all: &'a Touches,
    key: StoreKey,
}

impl Drop for Touch<'_> {
    fn drop(&mut self) {
        self.all.lock().under_way.remove(&self.key);
    }
}

impl Keeper {
    pub(crate) fn new(store: impl Store) -> Self {
        Self {
            store: Arc::new(store),
            timeout: TIMEOUT,
            turns: Arc::default(),
            touches: Arc::default(),
        }
    }

    pub(crate) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How long all calls of one request's commit may take, tries included.
    pub(crate) fn patience(&self) -> Duration {
        8 * self.timeout
    }

    /// Waits for the turn of changing that session, of the requests that this process serves.
    pub(crate) async fn turn(&self, key: StoreKey) -> Result<Turn, StoreError> {
        let turn = timeout(self.patience(), self.turns.wait(key)).await;
        turn.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::Contended)))
    }

    pub(crate) async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        self.call("load", || self.store.load(key)).await
    }

    /// `None`: the key has another session.
    pub(crate) async fn create(
        &self,
        key: StoreKey,
        row: &Row<'_>,
    ) -> Result<Option<Version>, StoreError> {
        match self.call("create", || self.store.create(key, row)).await? {
            Creation::Created(version) => Ok(Some(version)),
            // maybe by this very call, whose answer was lost
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
            // by this very call, whose answer was lost: no two seals are equal
            Saving::Conflict(stored) if stored.bytes == row.bytes => {
                Ok(Saving::Saved(stored.version))
            }
            // maybe by this very call, and then by another: to make it again might make it twice
            Saving::Conflict(stored)
                if lost.load(Ordering::Relaxed) && stored.version != expected.next() =>
            {
                Err(StoreError::new(StoreErrorKind::Unreachable))
            }
            saving => Ok(saving),
        }
    }

    /// Moves the end of a session that was `seen` at that version and end. Where that fails nothing is lost.
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

    /// Makes a call, and once more if the connection broke: each of them may be repeated.
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
                Event::StoreFailed { call, kind }.emit();
            })
    }
}
