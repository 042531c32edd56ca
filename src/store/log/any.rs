use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use super::{Entry, Position, RevocationLog};
use crate::{clock::Millis, store::error::StoreError};

/// A log of revocations in a store of any kind. [`Revocations`](crate::Revocations) uses it.
#[derive(Clone)]
pub struct AnyLog {
    log: Arc<dyn DynLog>,
    pub(crate) pause: Duration,
    pub(crate) overlap: Duration,
    pub(crate) kind: &'static str,
}

impl AnyLog {
    /// A log of any type.
    pub fn new<L: RevocationLog>(log: L) -> Self {
        Self {
            log: Arc::new(log),
            pause: L::PAUSE,
            overlap: L::OVERLAP,
            kind: L::KIND,
        }
    }

    /// See [`RevocationLog::check`].
    pub async fn check(&self) -> Result<(), StoreError> {
        self.log.check().await
    }

    /// See [`RevocationLog::create`].
    pub async fn create(&self) -> Result<(), StoreError> {
        self.log.create().await
    }

    /// See [`RevocationLog::append`].
    pub async fn append(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        self.log.append(entries).await
    }

    /// See [`RevocationLog::restore`].
    pub async fn restore(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        self.log.restore(entries).await
    }

    /// See [`RevocationLog::read`].
    pub async fn read(&self, from: Position) -> Result<Vec<(Position, Option<Entry>)>, StoreError> {
        self.log.read(from).await
    }

    /// See [`RevocationLog::trim`].
    pub async fn trim(&self, now: Millis) -> Result<bool, StoreError> {
        self.log.trim(now).await
    }
}

impl fmt::Debug for AnyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyLog").finish_non_exhaustive()
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A [`RevocationLog`] of any type. Its futures are boxed.
trait DynLog: Send + Sync {
    fn check(&self) -> Answer<'_, ()>;
    fn create(&self) -> Answer<'_, ()>;
    fn append<'a>(&'a self, entries: &'a [Entry]) -> Answer<'a, u64>;
    fn restore<'a>(&'a self, entries: &'a [Entry]) -> Answer<'a, u64>;
    fn read(&self, from: Position) -> Answer<'_, Vec<(Position, Option<Entry>)>>;
    fn trim(&self, now: Millis) -> Answer<'_, bool>;
}

impl<L: RevocationLog> DynLog for L {
    fn check(&self) -> Answer<'_, ()> {
        Box::pin(RevocationLog::check(self))
    }

    fn create(&self) -> Answer<'_, ()> {
        Box::pin(RevocationLog::create(self))
    }

    fn append<'a>(&'a self, entries: &'a [Entry]) -> Answer<'a, u64> {
        Box::pin(RevocationLog::append(self, entries))
    }

    fn restore<'a>(&'a self, entries: &'a [Entry]) -> Answer<'a, u64> {
        Box::pin(RevocationLog::restore(self, entries))
    }

    fn read(&self, from: Position) -> Answer<'_, Vec<(Position, Option<Entry>)>> {
        Box::pin(RevocationLog::read(self, from))
    }

    fn trim(&self, now: Millis) -> Answer<'_, bool> {
        Box::pin(RevocationLog::trim(self, now))
    }
}
