use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use time::OffsetDateTime;

use super::{
    contract::{Creation, OwnerTag, Saving, Store, StoreKey, Stored, Version},
    error::{StoreError, StoreErrorKind},
    operate::{Operate, Statistics},
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
}

struct Rows {
    by_key: HashMap<StoreKey, Row>,
    /// The bytes of all rows, with the overhead of each.
    held: usize,
    limit: usize,
}

struct Row {
    stored: Stored,
    owner: Option<OwnerTag>,
}

/// The approximate overhead of a row: its slot in the table, twice because tables grow by doubling.
const OVERHEAD: usize = 2 * size_of::<(StoreKey, Row)>();

impl Row {
    fn cost(&self) -> usize {
        OVERHEAD + self.stored.bytes.len()
    }
}

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
            by_key: HashMap::new(),
            held: 0,
            limit: bytes,
        };
        Self {
            rows: Arc::new(Mutex::new(rows)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    /// Checks that so many more bytes fit. Deletes ended sessions if they do not.
    fn reserve(&mut self, bytes: usize) -> Result<(), StoreError> {
        if self.held + bytes > self.limit {
            self.prune(OffsetDateTime::now_utc(), usize::MAX);
        }
        match self.held + bytes <= self.limit {
            true => Ok(()),
            false => Err(StoreError::new(StoreErrorKind::Full)),
        }
    }

    fn prune(&mut self, now: OffsetDateTime, most: usize) -> u64 {
        let over = |row: &Row| row.stored.expires <= now;
        let ended = self.by_key.iter().filter(|(_, row)| over(row));
        let ended: Vec<_> = ended.map(|(key, _)| *key).take(most).collect();
        self.remove(&ended)
    }

    fn remove(&mut self, keys: &[StoreKey]) -> u64 {
        let mut count = 0;
        for key in keys {
            if let Some(row) = self.by_key.remove(key) {
                self.held -= row.cost();
                count += 1;
            }
        }
        count
    }
}

impl Store for MemoryStore {
    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        Ok(self.lock().by_key.get(&key).map(|row| row.stored.clone()))
    }

    async fn create(
        &self,
        key: StoreKey,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> Result<Creation, StoreError> {
        let mut rows = self.lock();
        if rows.by_key.contains_key(&key) {
            return Ok(Creation::Exists);
        }
        let version = Version::new(1);
        let stored = Stored {
            version,
            bytes: bytes.to_vec(),
            expires,
        };
        let row = Row { stored, owner };
        rows.reserve(row.cost())?;
        rows.held += row.cost();
        rows.by_key.insert(key, row);
        Ok(Creation::Created(version))
    }

    async fn save(
        &self,
        key: StoreKey,
        expected: Version,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        let mut rows = self.lock();
        let before = match rows.by_key.get(&key) {
            None => return Ok(Saving::Gone),
            Some(row) if row.stored.version != expected => {
                return Ok(Saving::Conflict(row.stored.clone()));
            }
            Some(row) => row.stored.bytes.len(),
        };
        rows.reserve(bytes.len().saturating_sub(before))?;
        let version = expected.next();
        // `reserve` deletes this row too, if its session has ended
        let Entry::Occupied(mut row) = rows.by_key.entry(key) else {
            return Ok(Saving::Gone);
        };
        let stored = Stored {
            version,
            bytes: bytes.to_vec(),
            expires,
        };
        row.insert(Row { stored, owner });
        rows.held = rows.held + bytes.len() - before;
        Ok(Saving::Saved(version))
    }

    async fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let mut rows = self.lock();
        let row = rows.by_key.get_mut(&key);
        let row = row.filter(|row| row.stored.version == expected);
        Ok(row.is_some_and(|row| {
            row.stored.expires = expires;
            true
        }))
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        Ok(self.lock().remove(&[key]) == 1)
    }

    async fn delete_owner(&self, owner: OwnerTag) -> Result<u64, StoreError> {
        let mut rows = self.lock();
        let theirs = rows
            .by_key
            .iter()
            .filter(|(_, row)| row.owner == Some(owner));
        let theirs: Vec<_> = theirs.map(|(key, _)| *key).collect();
        Ok(rows.remove(&theirs))
    }
}

impl Operate for MemoryStore {
    async fn prune(&self, now: OffsetDateTime) -> Result<u64, StoreError> {
        Ok(self.lock().prune(now, 500))
    }

    async fn statistics(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        let rows = self.lock();
        let live = rows.by_key.values().filter(|row| row.stored.expires > now);
        let live = live.count() as u64;
        Ok(Statistics::new(live, rows.by_key.len() as u64 - live))
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
