//! A store as requests use it: of any kind, with a deadline, and one writer of a session at a time.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
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
    fn touch(&self, key: StoreKey, expires: OffsetDateTime) -> Answer<'_, bool>;
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

    fn touch(&self, key: StoreKey, expires: OffsetDateTime) -> Answer<'_, bool> {
        Box::pin(Store::touch(self, key, expires))
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
    touched: Arc<Touched>,
}

/// The ends that this process gave to sessions last, so that requests at once do not all move the same one. It forgets when it is full:
/// a touch too many does no harm.
#[derive(Default)]
struct Touched(Mutex<HashMap<StoreKey, OffsetDateTime>>);

impl Touched {
    const MOST: usize = 4096;

    /// Whether the session still has the end that was `seen`, as far as this process knows; if so it is about to have another.
    fn is_due(&self, key: StoreKey, seen: OffsetDateTime, expires: OffsetDateTime) -> bool {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.get(&key).is_some_and(|&given| given > seen) {
            return false;
        }
        if ends.len() >= Self::MOST {
            ends.clear();
        }
        ends.insert(key, expires);
        true
    }

    fn forget(&self, key: StoreKey) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&key);
    }
}

impl Keeper {
    pub(crate) fn new(store: impl Store) -> Self {
        Self {
            store: Arc::new(store),
            timeout: TIMEOUT,
            turns: Arc::default(),
            touched: Arc::default(),
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
        let saving = self.call("save", || self.store.save(key, expected, row));
        Ok(match saving.await? {
            // by this very call, whose answer was lost: no two seals are equal
            Saving::Conflict(stored) if stored.bytes == row.bytes => Saving::Saved(stored.version),
            saving => saving,
        })
    }

    /// Moves the end of a session that was `seen` to have another. Where that fails nothing is lost.
    pub(crate) async fn touch(&self, key: StoreKey, seen: OffsetDateTime, expires: OffsetDateTime) {
        if !self.touched.is_due(key, seen, expires) {
            return;
        }
        let touched = self.call("touch", || self.store.touch(key, expires)).await;
        if touched.is_err() {
            self.touched.forget(key);
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
