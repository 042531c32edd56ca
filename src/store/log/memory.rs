use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{BATCH, Entry, Key, Position, RevocationLog};
use crate::{clock::Millis, store::error::StoreError};

/// A log in this process's memory. Clones share it.
#[derive(Clone, Default)]
pub(in crate::store) struct MemoryLog(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    /// The position of the last entry.
    last: Position,
    entries: BTreeMap<Position, Entry>,
    keys: HashSet<Key>,
}

impl MemoryLog {
    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RevocationLog for MemoryLog {
    const KIND: &'static str = "memory";
    const PAUSE: Duration = Duration::from_millis(25);
    const OVERLAP: Duration = Duration::ZERO;

    async fn append(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        let mut log = self.lock();
        let mut added = 0;
        for entry in entries {
            if log.keys.insert(entry.key()) {
                log.last += 1;
                let position = log.last;
                log.entries.insert(position, *entry);
                added += 1;
            }
        }
        Ok(added)
    }

    async fn read(&self, from: Position) -> Result<Vec<(Position, Option<Entry>)>, StoreError> {
        let log = self.lock();
        let entries = log.entries.range(from..).take(BATCH);
        Ok(entries.map(|(at, entry)| (*at, Some(*entry))).collect())
    }

    async fn trim(&self, now: Millis) -> Result<bool, StoreError> {
        let log = &mut *self.lock();
        let keys = &mut log.keys;
        log.entries.retain(|_, entry| {
            let lives = now < Millis::from(entry.until) * 1000;
            if !lives {
                keys.remove(&entry.key());
            }
            lives
        });
        log.keys.shrink_to(2 * log.keys.len());
        Ok(false)
    }
}
