//! Our stores pass the public conformance suite, and the suite detects faulty stores.

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
    passes_the_conformance_suite;
}

async fn passes_the_conformance_suite(backend: Backend) {
    conformance::check(async || backend.open().await).await;
    conformance::check_operate(async || backend.open().await).await;
}

#[tokio::test]
async fn sqlite_in_memory_and_in_an_existing_pool_passes_too() {
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

/// Faults of real stores.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    CreateReplaces,
    SaveInserts,
    SaveIgnoresTheVersion,
    VersionsDoNotGrow,
    TouchRewrites,
    TouchInserts,
    TouchIgnoresTheVersion,
    DeleteAlwaysReportsSuccess,
    OwnersAreNotStored,
    SaveIgnoresTheOwner,
    ExpiryLosesMilliseconds,
    BytesAreStoredAsText,
    KeysIgnoreCase,
    InstancesShareNothing,
    CreateChecksThenWrites,
    SaveChecksThenWrites,
    DroppedCallsLeakTheConnection,
    SaveWritesTwice,
    DeleteOwnerListsFirst,
    PruneDeletesEverything,
    PruneDeletesNothing,
}

#[derive(Clone)]
struct Faulty {
    rows: MemoryStore,
    fault: Fault,
    /// A pool with one connection.
    connection: Arc<Semaphore>,
    /// The last owner of each session.
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

    /// Takes a connection, which returns to the pool only if the call is not dropped.
    async fn connect(&self) -> Result<(), StoreError> {
        if !self.has(Fault::DroppedCallsLeakTheConnection) {
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

    fn note_owner(&self, key: StoreKey, owner: Option<OwnerTag>) {
        let mut owners = self.owners.lock().expect("no panic");
        owners.insert(key, owner);
    }

    fn key(&self, key: StoreKey) -> StoreKey {
        match self.has(Fault::KeysIgnoreCase) {
            true => StoreKey::new(key.as_bytes().map(|byte| byte.to_ascii_lowercase())),
            false => key,
        }
    }

    fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        match self.has(Fault::BytesAreStoredAsText) {
            true => String::from_utf8_lossy(bytes).into_owned().into_bytes(),
            false => bytes.to_vec(),
        }
    }

    fn end(&self, expires: OffsetDateTime) -> OffsetDateTime {
        match self.has(Fault::ExpiryLosesMilliseconds) {
            true => expires.replace_millisecond(0).expect("in range"),
            false => expires,
        }
    }

    fn owner(&self, owner: Option<OwnerTag>) -> Option<OwnerTag> {
        owner.filter(|_| !self.has(Fault::OwnersAreNotStored))
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
        if self.has(Fault::CreateChecksThenWrites) && self.rows.load(key).await?.is_none() {
            yield_now().await;
            self.rows.delete(key).await?;
        }
        self.note_owner(key, owner);
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
        let found = self.rows.load(key).await?;
        if let (true, Some(found)) = (self.has(Fault::SaveChecksThenWrites), &found)
            && found.version == expected
        {
            yield_now().await;
            let now = self.rows.load(key).await?;
            expected = now.map_or(expected, |now| now.version);
        }
        if let (true, Some(found)) = (self.has(Fault::SaveWritesTwice), &found)
            && found.version == expected
        {
            let first = self.rows.save(key, expected, &found.bytes, expires, owner);
            first.await?;
            yield_now().await;
            expected = expected.next();
        }
        self.note_owner(key, owner);
        if self.has(Fault::SaveInserts) && found.is_none() {
            self.rows.create(key, bytes, expires, owner).await?;
            return Ok(Saving::Saved(expected.next()));
        }
        if let (true, Some(found)) = (self.has(Fault::SaveIgnoresTheVersion), &found) {
            expected = found.version;
        }
        if let (true, Some(found)) = (self.has(Fault::VersionsDoNotGrow), &found)
            && found.version == expected
        {
            self.rows.delete(key).await?;
            self.rows.create(key, bytes, expires, owner).await?;
            return Ok(Saving::Saved(expected));
        }
        let owner = match self.has(Fault::SaveIgnoresTheOwner) {
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
            Some(found) if self.has(Fault::TouchRewrites) => {
                self.rows
                    .save(key, found.version, &found.bytes, expires, None)
                    .await?;
                Ok(true)
            }
            Some(found) if self.has(Fault::TouchIgnoresTheVersion) => {
                self.rows.touch(key, found.version, expires).await
            }
            _ => self.rows.touch(key, expected, self.end(expires)).await,
        }
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        let key = self.key(key);
        Ok(self.rows.delete(key).await? || self.has(Fault::DeleteAlwaysReportsSuccess))
    }

    async fn delete_owner(&self, owner: OwnerTag) -> Result<u64, StoreError> {
        if !self.has(Fault::DeleteOwnerListsFirst) {
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
            Fault::PruneDeletesEverything => self.rows.prune(now + year).await,
            Fault::PruneDeletesNothing => Ok(0),
            _ => self.rows.prune(now).await,
        }
    }

    async fn statistics(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        self.rows.statistics(now).await
    }
}

/// For each fault the suite panics with the violated promise.
#[test]
fn suite_detects_each_fault() {
    for (fault, promise) in [
        (Fault::CreateReplaces, "`create` never replaces"),
        (Fault::SaveInserts, "`save` never inserts"),
        (
            Fault::SaveIgnoresTheVersion,
            "`save` replaces only the expected version",
        ),
        (
            Fault::VersionsDoNotGrow,
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
            Fault::DeleteAlwaysReportsSuccess,
            "`delete` returns `false` if there was no session",
        ),
        (
            Fault::OwnersAreNotStored,
            "`delete_owner` counts the sessions of that owner",
        ),
        (
            Fault::SaveIgnoresTheOwner,
            "`delete_owner` counts the sessions of that owner",
        ),
        (Fault::ExpiryLosesMilliseconds, "the exact bytes and end"),
        (Fault::BytesAreStoredAsText, "the exact bytes and end"),
        (
            Fault::KeysIgnoreCase,
            "keys that differ in one bit are distinct",
        ),
        (Fault::InstancesShareNothing, "on every instance"),
        (
            Fault::CreateChecksThenWrites,
            "exactly one of several concurrent `create`s succeeds",
        ),
        (
            Fault::SaveChecksThenWrites,
            "no `save` that returns `Saved` is lost",
        ),
        (
            Fault::DroppedCallsLeakTheConnection,
            "a call after a dropped call works",
        ),
        (
            Fault::SaveWritesTwice,
            "a dropped `save` takes effect once or not at all",
        ),
        (
            Fault::DeleteOwnerListsFirst,
            "`delete_owner` also deletes and counts a session that moves",
        ),
        (Fault::PruneDeletesNothing, "ended sessions are deleted"),
        (
            Fault::PruneDeletesEverything,
            "`prune` deletes only sessions that have ended",
        ),
    ] {
        let shared = Faulty::new(fault);
        let checked = std::thread::spawn(move || {
            let suite = async {
                let open = async || match fault {
                    Fault::InstancesShareNothing => Faulty::new(fault),
                    _ => shared.clone(),
                };
                match fault {
                    Fault::PruneDeletesEverything | Fault::PruneDeletesNothing => {
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
        let panic = checked.join().expect_err("the fault is detected");
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = text.expect("a text");
        assert!(text.contains(promise), "{fault:?}: {text}");
    }
}
