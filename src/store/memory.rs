use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use time::OffsetDateTime;

use super::{
    contract::{Creation, OwnerTag, Row, Saving, Store, StoreKey, Stored, Version},
    error::{StoreError, StoreErrorKind},
    log::{AnyLog, memory::MemoryLog},
    operate::{Cursor, Operate, Pruned, Scanned, Statistics},
};

/// Keeps sessions in the memory of this process. For tests, or for a single process whose sessions
/// may end with it.
///
/// The memory has a limit. When it is reached, the store deletes ended sessions. If that is not
/// enough, it refuses new data. It never deletes a live session to gain space. Clones share one
/// store.
///
/// ```
/// use tower_sealed_session::{KeyRing, SessionLayer, store::MemoryStore};
///
/// let sessions = SessionLayer::new(KeyRing::ephemeral()?).store(MemoryStore::new());
/// # Ok::<(), tower_sealed_session::Error>(())
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    rows: Arc<Mutex<Rows>>,
    log: MemoryLog,
}

/// The rows, with two indexes, so that no call looks at all of them.
struct Rows {
    by_key: BTreeMap<StoreKey, Stored>,
    by_end: BTreeSet<(OffsetDateTime, StoreKey)>,
    /// Only rows that have an owner.
    by_owner: BTreeSet<(OwnerTag, StoreKey)>,
    /// The bytes of all rows, with the overhead of each.
    held: usize,
    limit: usize,
}

/// The approximate overhead of a row: its places in the table and in the indexes. It counts twice,
/// because tables grow by doubling and the nodes of the indexes are often half full.
const OVERHEAD: usize = 2
    * (size_of::<(StoreKey, Stored)>()
        + size_of::<(OffsetDateTime, StoreKey)>()
        + size_of::<(OwnerTag, StoreKey)>());

/// The maximum number of rows that one call prunes or scans.
const BATCH: usize = 500;
/// The maximum number of rows that one call lists or deletes for an owner.
const OWNER_BATCH: usize = 1000;

impl MemoryStore {
    /// A store with a limit of 256 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(256 * 1024 * 1024)
    }

    /// A store with a limit of about `bytes` bytes.
    #[must_use]
    pub fn with_limit(bytes: usize) -> Self {
        let rows = Rows {
            by_key: BTreeMap::new(),
            by_end: BTreeSet::new(),
            by_owner: BTreeSet::new(),
            held: 0,
            limit: bytes,
        };
        Self {
            rows: Arc::new(Mutex::new(rows)),
            log: MemoryLog::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    /// Makes space for so many more bytes. Deletes as many ended sessions as that needs.
    fn reserve(&mut self, bytes: usize) -> Result<(), StoreError> {
        while self.held + bytes > self.limit {
            if !self.prune_first(OffsetDateTime::now_utc()) {
                return Err(StoreError::new(StoreErrorKind::Full));
            }
        }
        Ok(())
    }

    /// Deletes the session that ended first. Returns `false` if none has ended.
    fn prune_first(&mut self, now: OffsetDateTime) -> bool {
        match self.by_end.first() {
            Some(&(end, key)) if end <= now => self.remove(&key).is_some(),
            _ => false,
        }
    }

    /// Inserts a row under a key that has none.
    fn insert(&mut self, key: StoreKey, stored: Stored) {
        self.held += cost(&stored);
        self.by_end.insert((stored.expires, key));
        if let Some(owner) = stored.owner {
            self.by_owner.insert((owner, key));
        }
        self.by_key.insert(key, stored);
    }

    fn remove(&mut self, key: &StoreKey) -> Option<Stored> {
        let stored = self.by_key.remove(key)?;
        self.held -= cost(&stored);
        self.by_end.remove(&(stored.expires, *key));
        if let Some(owner) = stored.owner {
            self.by_owner.remove(&(owner, *key));
        }
        Some(stored)
    }

    fn keys_of(&self, owner: &[OwnerTag]) -> impl Iterator<Item = StoreKey> {
        let [least, most] = [[0; 16], [255; 16]].map(StoreKey::new);
        owner.iter().flat_map(move |&tag| {
            let theirs = self.by_owner.range((tag, least)..=(tag, most));
            theirs.map(|&(_, key)| key)
        })
    }
}

fn cost(stored: &Stored) -> usize {
    OVERHEAD + stored.bytes.len()
}

impl Store for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        Ok(self.lock().by_key.get(&key).cloned())
    }

    async fn create(&self, key: StoreKey, row: &Row<'_>) -> Result<Creation, StoreError> {
        let mut rows = self.lock();
        if rows.by_key.contains_key(&key) {
            return Ok(Creation::Exists);
        }
        rows.reserve(OVERHEAD + row.bytes.len())?;
        rows.insert(key, row.into());
        Ok(Creation::Created)
    }

    async fn save(
        &self,
        key: StoreKey,
        expected: Version,
        row: &Row<'_>,
        _: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        let mut rows = self.lock();
        let before = match rows.by_key.get(&key) {
            None => return Ok(Saving::Gone),
            Some(stored) if stored.version != expected => {
                return Ok(Saving::Conflict(stored.clone()));
            }
            Some(stored) => stored.bytes.len(),
        };
        rows.reserve(row.bytes.len().saturating_sub(before))?;
        // `reserve` deletes this row too, if its session has ended
        if rows.remove(&key).is_none() {
            return Ok(Saving::Gone);
        }
        rows.insert(key, row.into());
        Ok(Saving::Saved)
    }

    async fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let rows = &mut *self.lock();
        let stored = rows.by_key.get_mut(&key);
        let Some(stored) = stored.filter(|stored| stored.version == expected) else {
            return Ok(false);
        };
        rows.by_end.remove(&(stored.expires, key));
        rows.by_end.insert((expires, key));
        stored.expires = expires;
        Ok(true)
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        Ok(self.lock().remove(&key).is_some())
    }

    async fn list_owner(&self, owner: &[OwnerTag]) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let rows = self.lock();
        let keys = rows.keys_of(owner).take(OWNER_BATCH);
        Ok(keys.map(|key| (key, rows.by_key[&key].clone())).collect())
    }

    async fn delete_owner(
        &self,
        owner: &[OwnerTag],
        except: &[StoreKey],
    ) -> Result<u64, StoreError> {
        let mut rows = self.lock();
        let keys = rows.keys_of(owner).filter(|key| !except.contains(key));
        let keys: Vec<_> = keys.take(OWNER_BATCH).collect();
        for key in &keys {
            rows.remove(key);
        }
        Ok(keys.len() as u64)
    }
}

impl Operate for MemoryStore {
    async fn prune(&self, now: OffsetDateTime, _: Option<Cursor>) -> Result<Pruned, StoreError> {
        let mut rows = self.lock();
        let deleted = (0..BATCH).take_while(|_| rows.prune_first(now)).count();
        Ok(Pruned {
            deleted: deleted as u64,
            next: (deleted == BATCH).then(|| Cursor::new([])),
        })
    }

    async fn statistics(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        let rows = self.lock();
        let ended = rows.by_end.iter().take_while(|(end, _)| *end <= now);
        let ended = ended.count() as u64;
        Ok(Statistics::exact(rows.by_key.len() as u64 - ended, ended))
    }

    async fn count(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        self.statistics(now).await
    }

    async fn scan(&self, from: Option<Cursor>) -> Result<Scanned, StoreError> {
        let after = from.and_then(|from| from.as_bytes().try_into().ok());
        let after = after.map_or(Bound::Unbounded, |key| Bound::Excluded(StoreKey::new(key)));
        let rows = self.lock();
        let sessions = rows.by_key.range((after, Bound::Unbounded)).take(BATCH);
        let sessions: Vec<_> = sessions.map(|(key, row)| (*key, row.clone())).collect();
        let last = sessions.last().filter(|_| sessions.len() == BATCH);
        Ok(Scanned {
            next: last.map(|(key, _)| Cursor::new(*key.as_bytes())),
            sessions,
        })
    }

    fn revocation_log(&self) -> Option<AnyLog> {
        Some(AnyLog::new(self.log.clone()))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.lock();
        f.debug_struct("MemoryStore")
            .field("sessions", &rows.by_key.len())
            .field("bytes", &rows.held)
            .field("limit", &rows.limit)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const PAST: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    /// The result of a call, which never waits.
    fn now<T>(call: impl Future<Output = T>) -> T {
        call.now_or_never().expect("it does not wait")
    }

    fn later() -> OffsetDateTime {
        OffsetDateTime::now_utc() + Duration::from_secs(3600)
    }

    fn key(n: u32) -> StoreKey {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        StoreKey::new(bytes)
    }

    fn row(bytes: &[u8], expires: OffsetDateTime) -> Row<'_> {
        Row::new(Version::new(1), bytes, expires, None)
    }

    /// Checks the indexes and the accounting against the rows.
    fn assert_consistent(store: &MemoryStore) {
        let rows = store.lock();
        let entries = || rows.by_key.iter();
        assert_eq!(
            rows.held,
            entries().map(|(_, row)| cost(row)).sum::<usize>()
        );
        assert!(rows.held <= rows.limit);
        let ends = entries().map(|(key, row)| (row.expires, *key)).collect();
        assert_eq!(rows.by_end, ends);
        let owners = entries().filter_map(|(key, row)| Some((row.owner?, *key)));
        assert_eq!(rows.by_owner, owners.collect());
    }

    #[test]
    fn a_full_store_refuses_and_keeps_live_sessions() {
        const ROWS: u32 = 100_000;
        const REFUSED: u32 = 100_000;
        let store = MemoryStore::with_limit(ROWS as usize * (OVERHEAD + 10));
        for n in 0..ROWS {
            let created = now(store.create(key(n), &row(&[0; 10], later())));
            assert_eq!(created.expect("space"), Creation::Created);
        }
        // with a scan of all rows, this loop would take minutes
        for n in 0..REFUSED {
            let refused = now(store.create(key(ROWS + n), &row(b"", later())));
            assert_eq!(refused.expect_err("full").kind(), StoreErrorKind::Full);
        }
        let longer = now(store.save(key(0), Version::new(1), &row(&[0; 11], later()), None));
        assert_eq!(longer.expect_err("full").kind(), StoreErrorKind::Full);
        let shorter = now(store.save(key(0), Version::new(1), &row(&[0; 9], later()), None));
        assert_eq!(shorter.expect("space"), Saving::Saved);
        assert_eq!(store.lock().by_key.len(), ROWS as usize);
        assert_consistent(&store);
    }

    #[test]
    fn space_is_taken_only_from_ended_sessions() {
        let store = MemoryStore::with_limit(3 * (OVERHEAD + 10));
        for (n, end) in [(0, PAST), (1, later()), (2, PAST + Duration::from_secs(1))] {
            now(store.create(key(n), &row(&[0; 10], end))).expect("space");
        }
        let create = |n| now(store.create(key(n), &row(&[0; 10], later())));
        assert_eq!(create(3).expect("space"), Creation::Created);
        let there = |n| store.lock().by_key.contains_key(&key(n));
        assert_eq!([0, 1, 2, 3].map(there), [false, true, true, true]);
        assert_eq!(create(4).expect("space"), Creation::Created);
        assert_eq!([1, 2, 3, 4].map(there), [true, false, true, true]);
        assert!(create(5).is_err());
        assert_consistent(&store);
    }

    #[test]
    fn saving_an_ended_session_in_a_full_store_does_not_insert_it_again() {
        let store = MemoryStore::with_limit(OVERHEAD + 10);
        now(store.create(key(0), &row(&[0; 10], PAST))).expect("space");
        let saved = now(store.save(key(0), Version::new(1), &row(&[0; 11], later()), None));
        assert_eq!(saved.expect("space"), Saving::Gone);
        assert_eq!(store.lock().by_key.len(), 0);
        assert_consistent(&store);
    }

    proptest! {
        #[test]
        fn indexes_agree_with_the_rows(
            calls in vec((0..7, 0..6_u32, 0..4_u64, 0..3_u8, 0..40_usize), 1..200),
        ) {
            let store = MemoryStore::with_limit(4 * (OVERHEAD + 20));
            let later = later();
            for (call, n, number, tag, len) in calls {
                let (bytes, version) = (vec![0; len], Version::new(number));
                // some sessions have ended, and many end at the same time
                let expires = if number < 2 { PAST } else { later };
                let tag = OwnerTag::new([tag; 16]);
                let owner = (tag.as_bytes()[0] > 0).then_some(tag);
                let row = Row::new(version, &bytes, expires, owner);
                match call {
                    0 | 1 => drop(now(store.create(key(n), &row))),
                    2 | 3 => drop(now(store.save(key(n), Version::new(number ^ 1), &row, None))),
                    4 => drop(now(store.touch(key(n), version, expires))),
                    5 => drop(now(store.delete(key(n)))),
                    _ if len < 8 => drop(now(store.prune(OffsetDateTime::now_utc(), None))),
                    _ => {
                        let is_other = |row: &&Stored| row.owner != Some(tag);
                        let others = store.lock().by_key.values().filter(is_other).count();
                        now(store.delete_owner(&[tag], &[])).expect("a store");
                        assert_eq!(store.lock().by_key.len(), others);
                    }
                }
                assert_consistent(&store);
            }
        }
    }
}
