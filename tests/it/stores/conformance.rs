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
        Creation, Cursor, MemoryStore, Operate, OwnerTag, Pruned, Row, Saving, Scanned,
        SqliteStore, Statistics, Store, StoreError, StoreErrorKind, StoreKey, Stored, Version,
        conformance,
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
    SaveKeepsTheVersion,
    CountsVersionsItself,
    VersionsHave32Bits,
    TouchRewrites,
    TouchInserts,
    TouchIgnoresTheVersion,
    DeleteAlwaysReportsSuccess,
    OwnersAreNotStored,
    SaveIgnoresTheOwner,
    LoadForgetsTheOwner,
    ConflictForgetsTheOwner,
    ExpiryLosesMilliseconds,
    BytesAreStoredAsText,
    KeysIgnoreCase,
    InstancesShareNothing,
    CreateChecksThenWrites,
    SaveChecksThenWrites,
    DroppedCallsLeakTheConnection,
    SaveWritesTwice,
    DeleteOwnerListsFirst,
    DeleteOwnerGoesTagByTag,
    DeleteOwnerIgnoresOtherTags,
    DeleteOwnerReportsAFullBatchAsNone,
    DeleteOwnerSparesNothing,
    ListOwnerIgnoresOtherTags,
    PruneDeletesEverything,
    PruneDeletesNothing,
    NobodyPrunes,
    ScanEndsEarly,
}

#[derive(Clone)]
struct Faulty {
    rows: MemoryStore,
    fault: Fault,
    /// A pool with one connection.
    connection: Arc<Semaphore>,
    /// The last row of each session.
    last: Arc<Mutex<HashMap<StoreKey, Stored>>>,
}

impl Faulty {
    fn new(fault: Fault) -> Self {
        Self {
            rows: MemoryStore::new(),
            fault,
            connection: Arc::new(Semaphore::new(1)),
            last: Arc::default(),
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

    fn note(&self, key: StoreKey, row: &Row<'_>) {
        let mut last = self.last.lock().expect("no panic");
        last.insert(key, row.into());
    }

    fn version(&self, version: Version) -> Version {
        match self.has(Fault::VersionsHave32Bits) {
            true => Version::new(version.get() & u64::from(u32::MAX)),
            false => version,
        }
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

    /// The row as this store keeps it, with these bytes.
    fn row<'a>(&self, row: &Row<'_>, bytes: &'a [u8]) -> Row<'a> {
        let owner = row.owner.filter(|_| !self.has(Fault::OwnersAreNotStored));
        let (version, expires) = (self.version(row.version), self.end(row.expires));
        Row::new(version, bytes, expires, owner)
    }
}

impl Store for Faulty {
    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        self.connect().await?;
        let mut found = self.rows.load(self.key(key)).await?;
        if let (true, Some(found)) = (self.has(Fault::LoadForgetsTheOwner), &mut found) {
            found.owner = None;
        }
        Ok(found)
    }

    async fn create(&self, key: StoreKey, row: &Row<'_>) -> Result<Creation, StoreError> {
        let key = self.key(key);
        if self.has(Fault::CreateReplaces) {
            self.rows.delete(key).await?;
        }
        if self.has(Fault::CreateChecksThenWrites) && self.rows.load(key).await?.is_none() {
            yield_now().await;
            self.rows.delete(key).await?;
        }
        self.note(key, row);
        let bytes = self.bytes(row.bytes);
        let mut made = self.row(row, &bytes);
        if self.has(Fault::CountsVersionsItself) {
            made.version = Version::new(1);
        }
        self.rows.create(key, &made).await
    }

    async fn save(
        &self,
        key: StoreKey,
        expected: Version,
        row: &Row<'_>,
        previous: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        let (key, mut expected) = (self.key(key), self.version(expected));
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
            let half = Row::new(row.version, &found.bytes, row.expires, row.owner);
            self.rows.save(key, expected, &half, previous).await?;
            yield_now().await;
            expected = row.version;
        }
        self.note(key, row);
        if self.has(Fault::SaveInserts) && found.is_none() {
            self.rows.create(key, row).await?;
            return Ok(Saving::Saved);
        }
        if let (true, Some(found)) = (self.has(Fault::SaveIgnoresTheVersion), &found) {
            expected = found.version;
        }
        let bytes = self.bytes(row.bytes);
        let mut saved = self.row(row, &bytes);
        if self.has(Fault::SaveKeepsTheVersion) {
            saved.version = expected;
        }
        if self.has(Fault::CountsVersionsItself) {
            saved.version = Version::new(expected.get() + 1);
        }
        if self.has(Fault::SaveIgnoresTheOwner) {
            saved.owner = Some(OwnerTag::new([1; 16]));
        }
        let mut saving = self.rows.save(key, expected, &saved, previous).await?;
        if let (true, Saving::Conflict(found)) =
            (self.has(Fault::ConflictForgetsTheOwner), &mut saving)
        {
            found.owner = None;
        }
        Ok(saving)
    }

    async fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let (key, expected) = (self.key(key), self.version(expected));
        match self.rows.load(key).await? {
            None if self.has(Fault::TouchInserts) => {
                let row = Row::new(expected, b"", expires, None);
                self.rows.create(key, &row).await?;
                Ok(true)
            }
            Some(found) if self.has(Fault::TouchRewrites) => {
                let next = Version::new(found.version.get() + 1);
                let row = Row::new(next, &found.bytes, expires, found.owner);
                self.rows
                    .save(key, found.version, &row, found.owner)
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

    async fn list_owner(&self, owner: &[OwnerTag]) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        match self.fault {
            Fault::ListOwnerIgnoresOtherTags => {
                self.rows.list_owner(&owner[..owner.len().min(1)]).await
            }
            _ => self.rows.list_owner(owner).await,
        }
    }

    async fn delete_owner(
        &self,
        owner: &[OwnerTag],
        except: &[StoreKey],
    ) -> Result<u64, StoreError> {
        match self.fault {
            Fault::DeleteOwnerListsFirst => {
                let mut listed = self.last.lock().expect("no panic").clone();
                listed.retain(|key, row| {
                    row.owner.is_some_and(|tag| owner.contains(&tag)) && !except.contains(key)
                });
                let mut count = 0;
                for (key, row) in listed {
                    yield_now().await;
                    let found = self.rows.load(key).await?;
                    if found.is_some_and(|found| found.version == row.version) {
                        count += u64::from(self.rows.delete(key).await?);
                    }
                }
                Ok(count)
            }
            Fault::DeleteOwnerGoesTagByTag => {
                let mut count = 0;
                for &tag in owner {
                    count += self.rows.delete_owner(&[tag], except).await?;
                    yield_now().await;
                }
                Ok(count)
            }
            Fault::DeleteOwnerIgnoresOtherTags => {
                let first = &owner[..owner.len().min(1)];
                self.rows.delete_owner(first, except).await
            }
            Fault::DeleteOwnerSparesNothing => self.rows.delete_owner(owner, &[]).await,
            Fault::DeleteOwnerReportsAFullBatchAsNone => {
                let count = self.rows.delete_owner(owner, except).await?;
                Ok(if count == 1000 { 0 } else { count })
            }
            _ => self.rows.delete_owner(owner, except).await,
        }
    }
}

impl Operate for Faulty {
    async fn prune(&self, now: OffsetDateTime, from: Option<Cursor>) -> Result<Pruned, StoreError> {
        let year = Duration::from_secs(9_999_999);
        match self.fault {
            Fault::PruneDeletesEverything => self.rows.prune(now + year, from).await,
            Fault::PruneDeletesNothing => Ok(Pruned::default()),
            _ => self.rows.prune(now, from).await,
        }
    }

    async fn begin_sweep(&self, _: OffsetDateTime, _: Duration) -> Result<bool, StoreError> {
        Ok(!self.has(Fault::NobodyPrunes))
    }

    async fn statistics(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        self.rows.statistics(now).await
    }

    async fn count(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        self.rows.count(now).await
    }

    async fn scan(&self, from: Option<Cursor>) -> Result<Scanned, StoreError> {
        let mut scanned = self.rows.scan(from).await?;
        if self.has(Fault::ScanEndsEarly) {
            scanned.next = None;
        }
        Ok(scanned)
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
            Fault::SaveKeepsTheVersion,
            "the exact version, bytes, end and owner of `save`",
        ),
        (
            Fault::CountsVersionsItself,
            "the exact version, bytes, end and owner of `create`",
        ),
        (
            Fault::VersionsHave32Bits,
            "the exact version, bytes, end and owner of `create`",
        ),
        (
            Fault::TouchRewrites,
            "`touch` changes neither version nor bytes nor owner",
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
        (Fault::OwnersAreNotStored, "`load` returns the owner"),
        (
            Fault::SaveIgnoresTheOwner,
            "the exact version, bytes, end and owner of `save`",
        ),
        (Fault::LoadForgetsTheOwner, "`load` returns the owner"),
        (
            Fault::ConflictForgetsTheOwner,
            "`Conflict` returns the owner",
        ),
        (
            Fault::ExpiryLosesMilliseconds,
            "the exact version, bytes, end and owner",
        ),
        (
            Fault::BytesAreStoredAsText,
            "the exact version, bytes, end and owner",
        ),
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
            "`delete_owner` also deletes and counts a session that changes",
        ),
        (
            Fault::DeleteOwnerGoesTagByTag,
            "`delete_owner` also deletes and counts a session that changes",
        ),
        (
            Fault::DeleteOwnerIgnoresOtherTags,
            "`delete_owner` counts the sessions with any of the tags",
        ),
        (
            Fault::DeleteOwnerReportsAFullBatchAsNone,
            "`delete_owner` returns 0 only if no session of this owner is left",
        ),
        (
            Fault::DeleteOwnerSparesNothing,
            "does not delete the sessions under the keys `except`",
        ),
        (
            Fault::ListOwnerIgnoresOtherTags,
            "`list_owner` returns the sessions with any of the tags",
        ),
        (Fault::PruneDeletesNothing, "ended sessions are deleted"),
        (Fault::NobodyPrunes, "one instance prunes in each interval"),
        (Fault::ScanEndsEarly, "`scan` returns all sessions"),
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
                    Fault::PruneDeletesEverything
                    | Fault::PruneDeletesNothing
                    | Fault::NobodyPrunes
                    | Fault::ScanEndsEarly => conformance::check_operate(open).await,
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
