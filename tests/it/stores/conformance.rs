//! The public suite on our own stores, and that it finds what a store does wrong.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::{sync::Semaphore, task::yield_now, time::timeout};
use tower_sealed_session::{
    OffsetDateTime,
    store::{
        Creation, MemoryStore, Operate, OwnerTag, Saving, SqliteStore, Statistics, Store,
        StoreError, StoreErrorKind, StoreKey, Stored, Version, conformance,
    },
};

use super::backend::{Backend, on_every_store};
use crate::processes::Folder;

on_every_store! {
    keeps_its_promises;
}

async fn keeps_its_promises(backend: Backend) {
    conformance::check(async || backend.open().await).await;
    conformance::check_operate(async || backend.open().await).await;
}

#[tokio::test]
async fn sqlite_in_memory_and_in_a_pool_of_the_app_keeps_them_too() {
    let in_memory = SqliteStore::connect("sqlite::memory:")
        .await
        .expect("memory");
    in_memory.create_schema().await.expect("a schema");
    conformance::check(async || in_memory.clone()).await;
    conformance::check_operate(async || in_memory.clone()).await;

    let folder = Folder::new();
    let options = SqliteConnectOptions::new()
        .filename(folder.0.join("app.db"))
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .create_if_missing(true);
    let pool = SqlitePoolOptions::new().max_connections(2);
    let pool = pool.connect_with(options).await.expect("a file");
    let store = SqliteStore::from_pool(pool);
    store.create_schema().await.expect("a schema");
    conformance::check(async || store.clone()).await;
    conformance::check_operate(async || store.clone()).await;
}

/// What stores do that are in use.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    CreateReplaces,
    SaveInserts,
    SaveIgnoresTheVersion,
    VersionsStandStill,
    TouchRewrites,
    TouchInserts,
    TouchIgnoresTheVersion,
    DeleteSaysAlways,
    OwnersAreForgotten,
    OwnersAreKept,
    SecondsAlone,
    BytesAreText,
    CapitalsAreSmall,
    EachInstanceIsAnIsland,
    CreateLooksFirst,
    SaveLooksFirst,
    DroppedCallsKeepTheConnection,
    SavesInTwoSteps,
    OwnersAreListedFirst,
    PruneTakesAll,
    PruneTakesNothing,
}

#[derive(Clone)]
struct Faulty {
    rows: MemoryStore,
    fault: Fault,
    /// A pool of one.
    connection: Arc<Semaphore>,
    /// Whose sessions they were last.
    owners: Arc<Mutex<HashMap<StoreKey, Option<OwnerTag>>>>,
}

impl Faulty {
    fn new(fault: Fault) -> Self {
        Self {
            rows: MemoryStore::new(),
            fault,
            connection: Arc::new(Semaphore::new(1)),
            owners: Arc::default(),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// A connection, which only goes back to the pool if the call comes to its end.
    async fn connect(&self) -> Result<(), StoreError> {
        if !self.has(Fault::DroppedCallsKeepTheConnection) {
            return Ok(());
        }
        let waited = timeout(Duration::from_millis(500), self.connection.acquire()).await;
        let Ok(Ok(connection)) = waited else {
            return Err(StoreError::new(StoreErrorKind::TimedOut));
        };
        connection.forget();
        yield_now().await;
        self.connection.add_permits(1);
        Ok(())
    }

    fn list(&self, key: StoreKey, owner: Option<OwnerTag>) {
        let mut owners = self.owners.lock().expect("no panic");
        owners.insert(key, owner);
    }

    fn key(&self, key: StoreKey) -> StoreKey {
        match self.has(Fault::CapitalsAreSmall) {
            true => StoreKey::new(key.as_bytes().map(|byte| byte.to_ascii_lowercase())),
            false => key,
        }
    }

    fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        match self.has(Fault::BytesAreText) {
            true => String::from_utf8_lossy(bytes).into_owned().into_bytes(),
            false => bytes.to_vec(),
        }
    }

    fn end(&self, expires: OffsetDateTime) -> OffsetDateTime {
        match self.has(Fault::SecondsAlone) {
            true => expires.replace_millisecond(0).expect("in range"),
            false => expires,
        }
    }

    fn owner(&self, owner: Option<OwnerTag>) -> Option<OwnerTag> {
        owner.filter(|_| !self.has(Fault::OwnersAreForgotten))
    }
}

impl Store for Faulty {
    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        self.connect().await?;
        self.rows.load(self.key(key)).await
    }

    async fn create(
        &self,
        key: StoreKey,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> Result<Creation, StoreError> {
        let key = self.key(key);
        if self.has(Fault::CreateReplaces) {
            self.rows.delete(key).await?;
        }
        if self.has(Fault::CreateLooksFirst) && self.rows.load(key).await?.is_none() {
            yield_now().await;
            self.rows.delete(key).await?;
        }
        self.list(key, owner);
        let (bytes, expires) = (self.bytes(bytes), self.end(expires));
        self.rows
            .create(key, &bytes, expires, self.owner(owner))
            .await
    }

    async fn save(
        &self,
        key: StoreKey,
        mut expected: Version,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        let key = self.key(key);
        let there = self.rows.load(key).await?;
        if let (true, Some(there)) = (self.has(Fault::SaveLooksFirst), &there)
            && there.version == expected
        {
            yield_now().await;
            let now = self.rows.load(key).await?;
            expected = now.map_or(expected, |now| now.version);
        }
        if let (true, Some(there)) = (self.has(Fault::SavesInTwoSteps), &there)
            && there.version == expected
        {
            let first = self.rows.save(key, expected, &there.bytes, expires, owner);
            first.await?;
            yield_now().await;
            expected = expected.next();
        }
        self.list(key, owner);
        if self.has(Fault::SaveInserts) && there.is_none() {
            self.rows.create(key, bytes, expires, owner).await?;
            return Ok(Saving::Saved(expected.next()));
        }
        if let (true, Some(there)) = (self.has(Fault::SaveIgnoresTheVersion), &there) {
            expected = there.version;
        }
        if let (true, Some(there)) = (self.has(Fault::VersionsStandStill), &there)
            && there.version == expected
        {
            self.rows.delete(key).await?;
            self.rows.create(key, bytes, expires, owner).await?;
            return Ok(Saving::Saved(expected));
        }
        let owner = match self.has(Fault::OwnersAreKept) {
            true => Some(OwnerTag::new([1; 16])),
            false => self.owner(owner),
        };
        let (bytes, expires) = (self.bytes(bytes), self.end(expires));
        self.rows.save(key, expected, &bytes, expires, owner).await
    }

    async fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let key = self.key(key);
        match self.rows.load(key).await? {
            None if self.has(Fault::TouchInserts) => {
                self.rows.create(key, b"", expires, None).await?;
                Ok(true)
            }
            Some(there) if self.has(Fault::TouchRewrites) => {
                self.rows
                    .save(key, there.version, &there.bytes, expires, None)
                    .await?;
                Ok(true)
            }
            Some(there) if self.has(Fault::TouchIgnoresTheVersion) => {
                self.rows.touch(key, there.version, expires).await
            }
            _ => self.rows.touch(key, expected, self.end(expires)).await,
        }
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        let key = self.key(key);
        Ok(self.rows.delete(key).await? || self.has(Fault::DeleteSaysAlways))
    }

    async fn delete_owner(&self, owner: OwnerTag) -> Result<u64, StoreError> {
        if !self.has(Fault::OwnersAreListedFirst) {
            return self.rows.delete_owner(owner).await;
        }
        let all = self.owners.lock().expect("no panic").clone();
        let mut count = 0;
        for (key, _) in all.into_iter().filter(|(_, of)| *of == Some(owner)) {
            yield_now().await;
            count += u64::from(self.rows.delete(key).await?);
        }
        Ok(count)
    }
}

impl Operate for Faulty {
    async fn prune(&self, now: OffsetDateTime) -> Result<u64, StoreError> {
        let year = Duration::from_secs(9_999_999);
        match self.fault {
            Fault::PruneTakesAll => self.rows.prune(now + year).await,
            Fault::PruneTakesNothing => Ok(0),
            _ => self.rows.prune(now).await,
        }
    }

    async fn statistics(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        self.rows.statistics(now).await
    }
}

/// Each fault makes the suite say what is promised.
#[test]
fn the_suite_finds_each_fault() {
    for (fault, promise) in [
        (Fault::CreateReplaces, "`create` never replaces"),
        (Fault::SaveInserts, "`save` never inserts"),
        (
            Fault::SaveIgnoresTheVersion,
            "`save` replaces only the expected version",
        ),
        (
            Fault::VersionsStandStill,
            "each `save` returns a greater version",
        ),
        (
            Fault::TouchRewrites,
            "`touch` changes neither version nor bytes",
        ),
        (Fault::TouchInserts, "`touch` never inserts"),
        (
            Fault::TouchIgnoresTheVersion,
            "`touch` with a replaced version",
        ),
        (
            Fault::DeleteSaysAlways,
            "`delete` returns `false` if there was no session",
        ),
        (
            Fault::OwnersAreForgotten,
            "`delete_owner` counts the sessions of that owner",
        ),
        (
            Fault::OwnersAreKept,
            "`delete_owner` counts the sessions of that owner",
        ),
        (Fault::SecondsAlone, "the exact bytes and end"),
        (Fault::BytesAreText, "the exact bytes and end"),
        (
            Fault::CapitalsAreSmall,
            "keys that differ in one bit are distinct",
        ),
        (Fault::EachInstanceIsAnIsland, "on every instance"),
        (
            Fault::CreateLooksFirst,
            "exactly one of several concurrent `create`s succeeds",
        ),
        (
            Fault::SaveLooksFirst,
            "no `save` that returns `Saved` is lost",
        ),
        (
            Fault::DroppedCallsKeepTheConnection,
            "a call after a dropped call works",
        ),
        (
            Fault::SavesInTwoSteps,
            "a dropped `save` takes effect once or not at all",
        ),
        (
            Fault::OwnersAreListedFirst,
            "`delete_owner` also deletes and counts a session that moves",
        ),
        (Fault::PruneTakesNothing, "ended sessions are deleted"),
        (
            Fault::PruneTakesAll,
            "`prune` deletes only sessions that have ended",
        ),
    ] {
        let shared = Faulty::new(fault);
        let held = std::thread::spawn(move || {
            let suite = async {
                let open = async || match fault {
                    Fault::EachInstanceIsAnIsland => Faulty::new(fault),
                    _ => shared.clone(),
                };
                match fault {
                    Fault::PruneTakesAll | Fault::PruneTakesNothing => {
                        conformance::check_operate(open).await
                    }
                    _ => conformance::check(open).await,
                }
            };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build();
            runtime.expect("a runtime").block_on(suite);
        });
        let panic = held.join().expect_err("it is found");
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = text.expect("a text");
        assert!(text.contains(promise), "{fault:?}: {text}");
    }
}
