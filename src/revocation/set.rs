//! The revocations that an instance holds, for one look at each cookie.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use crate::{
    clock::Millis,
    store::log::{Entry, Name, Revoked, SHARD, Subject},
};

/// Readers of one shard do not wait for writers of others.
const SHARDS: usize = 1 + (SHARD >> 32) as usize;

/// The revocations that an instance holds.
pub(crate) struct Set {
    sessions: [RwLock<Sessions>; SHARDS],
    /// The number of entries in all shards.
    len: AtomicU64,
    owners: RwLock<Owners>,
    /// The latest time of all entries for owners and layers: sessions that were created then or
    /// later are not looked up.
    latest: AtomicU64,
    /// The number of entries for owners and layers that have been added.
    added: AtomicU64,
}

type Sessions = HashMap<Name, Mark, BuildHasherDefault<Prehashed>>;

type Owners = HashMap<Name, Owner, BuildHasherDefault<Prehashed>>;

/// A session or one of its ids was revoked.
#[derive(Clone, Copy)]
struct Mark {
    /// In seconds since 1970.
    at: u32,
    /// The seconds from `at` to the end of the mark, and in the two highest bits the reason.
    rest: u32,
}

/// The sessions of an owner or of a layer that were created before a time are revoked.
#[derive(Clone, Copy)]
struct Owner {
    before: Millis,
    at: u32,
    until: u32,
    /// What [`Set::added`] was when the entry was added.
    number: u64,
}

impl Default for Set {
    fn default() -> Self {
        let empty = || RwLock::new(HashMap::default());
        Self {
            sessions: std::array::from_fn(|_| empty()),
            len: AtomicU64::new(0),
            owners: RwLock::default(),
            latest: AtomicU64::new(0),
            added: AtomicU64::new(0),
        }
    }
}

impl Set {
    /// Adds an entry. Returns `false` if it is known.
    pub(crate) fn add(&self, entry: &Entry) -> bool {
        match entry.subject {
            Subject::Session(name, revoked) => self.mark(name, Mark::new(revoked, entry)),
            Subject::Before(name, before) => self.end_before(name, before, entry),
            Subject::Check(_) => false,
        }
    }

    fn mark(&self, name: Name, mark: Mark) -> bool {
        let mut sessions = write(self.shard(name));
        if let Some(known) = sessions.get_mut(&name) {
            if known.until() < mark.until() {
                *known = mark;
            }
            return false;
        }
        sessions.insert(name, mark);
        self.len.fetch_add(1, SeqCst);
        true
    }

    fn end_before(&self, name: Name, before: Millis, entry: &Entry) -> bool {
        let mut owners = write(&self.owners);
        if owners
            .get(&name)
            .is_some_and(|known| before <= known.before)
        {
            return false;
        }
        let owner = Owner {
            before,
            at: entry.at,
            until: entry.until,
            number: self.added.fetch_add(1, SeqCst) + 1,
        };
        owners.insert(name, owner);
        self.latest.fetch_max(before, SeqCst);
        true
    }

    /// Whether there is an entry for any session.
    #[inline]
    pub(crate) fn has_sessions(&self) -> bool {
        self.len.load(SeqCst) > 0
    }

    /// Whether a session or its id was revoked, and when, in milliseconds since 1970.
    #[inline]
    pub(crate) fn find(&self, session: Name, id: Name) -> Option<(Revoked, Millis)> {
        let marks = read(self.shard(session));
        let mark = *marks.get(&session).or_else(|| marks.get(&id))?;
        Some((mark.revoked(), Millis::from(mark.at) * 1000))
    }

    /// Whether an entry for owners or layers may concern a session that was created then.
    #[inline]
    pub(crate) fn concerns(&self, created: Millis) -> bool {
        created < self.latest()
    }

    /// The latest time of all entries for owners and layers, or 0.
    #[inline]
    pub(crate) fn latest(&self) -> Millis {
        self.latest.load(SeqCst)
    }

    /// The latest time of the entries with these names, and the number of the newest one.
    pub(crate) fn before(&self, names: impl IntoIterator<Item = Name>) -> Option<(Millis, u64)> {
        let owners = read(&self.owners);
        let found = names.into_iter().filter_map(|name| owners.get(&name));
        found.fold(None, |last, owner| {
            let (before, number) = last.unwrap_or_default();
            Some((before.max(owner.before), number.max(owner.number)))
        })
    }

    /// The number of entries for owners and layers that have been added so far.
    #[inline]
    pub(crate) fn added(&self) -> u64 {
        self.added.load(SeqCst)
    }

    /// All entries that are needed to revoke the same.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let owners = read(&self.owners);
        let owners = owners.iter().map(|(name, owner)| Entry {
            subject: Subject::Before(*name, owner.before),
            at: owner.at,
            until: owner.until,
        });
        let mut entries: Vec<_> = owners.collect();
        for shard in &self.sessions {
            let sessions = read(shard);
            entries.extend(sessions.iter().map(|(name, mark)| Entry {
                subject: Subject::Session(*name, mark.revoked()),
                at: mark.at,
                until: mark.until(),
            }));
        }
        entries
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> u64 {
        self.len.load(SeqCst) + read(&self.owners).len() as u64
    }

    /// Drops the entries whose time is over, and gives memory back. One shard at a time, so that
    /// no reader waits for long.
    pub(crate) fn forget(&self, now: Millis) {
        let lives = |until| now < Millis::from(until) * 1000;
        for shard in &self.sessions {
            let mut sessions = write(shard);
            let count = sessions.len();
            sessions.retain(|_, mark| lives(mark.until()));
            self.len.fetch_sub((count - sessions.len()) as u64, SeqCst);
            if sessions.capacity() > 4 * sessions.len() {
                let room = 2 * sessions.len();
                sessions.shrink_to(room);
            }
        }
        let mut owners = write(&self.owners);
        owners.retain(|_, owner| lives(owner.until));
        if owners.capacity() > 4 * owners.len() {
            owners.shrink_to_fit();
        }
        let latest = owners.values().map(|owner| owner.before).max();
        self.latest.store(latest.unwrap_or(0), SeqCst);
    }

    fn shard(&self, name: Name) -> &RwLock<Sessions> {
        // the map uses the lowest and the highest bits
        &self.sessions[((name & SHARD) >> 32) as usize]
    }
}

impl Mark {
    const LONGEST: u32 = (1 << 30) - 1;

    fn new(revoked: Revoked, entry: &Entry) -> Self {
        let life = entry.until.saturating_sub(entry.at).min(Self::LONGEST);
        Self {
            at: entry.at,
            rest: life | (revoked as u32) << 30,
        }
    }

    fn revoked(self) -> Revoked {
        match self.rest >> 30 {
            0 => Revoked::LoggedOut,
            1 => Revoked::Continued,
            _ => Revoked::Renewed,
        }
    }

    fn until(self) -> u32 {
        self.at.saturating_add(self.rest & Self::LONGEST)
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// For keys that are parts of a hash.
#[derive(Default)]
struct Prehashed(u64);

impl Hasher for Prehashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        unreachable!("the keys are numbers, not {} bytes", bytes.len())
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(subject: Subject, until: u32) -> Entry {
        Entry {
            subject,
            at: 2,
            until,
        }
    }

    #[test]
    fn sessions_and_ids_are_found_until_their_time_is_over() {
        let set = Set::default();
        assert!(!set.has_sessions());
        let reasons = [Revoked::LoggedOut, Revoked::Continued, Revoked::Renewed];
        for (name, revoked) in (1..).zip(reasons) {
            let entry = entry(Subject::Session(name, revoked), 10 + name as u32);
            assert_eq!(set.find(name, 99), None);
            assert!(set.add(&entry) && !set.add(&entry));
            assert_eq!(set.find(name, 99), Some((revoked, 2000)), "of a session");
            assert_eq!(set.find(99, name), Some((revoked, 2000)), "of an id");
            assert!(set.entries().contains(&entry));
        }
        assert_eq!((set.len(), set.entries().len()), (3, 3));
        set.forget(10_999);
        assert_eq!(set.len(), 3);
        set.forget(11_000);
        assert_eq!((set.len(), set.find(1, 99)), (2, None));
        set.forget(13_000);
        assert!(set.len() == 0 && !set.has_sessions());
    }

    #[test]
    fn the_longer_of_two_entries_counts() {
        let set = Set::default();
        for until in [20, 30, 10] {
            set.add(&entry(Subject::Session(1, Revoked::LoggedOut), until));
        }
        set.forget(29_999);
        assert!(set.find(1, 2).is_some());
        set.forget(30_000);
        assert!(set.find(1, 2).is_none());
    }

    #[test]
    fn the_latest_time_of_an_owner_counts() {
        let set = Set::default();
        let (name, other) = (1, 2);
        assert!(!set.concerns(0) && set.before([name]).is_none());
        for (before, is_new) in [(500, true), (400, false), (600, true)] {
            let owner = Subject::Before(name, before);
            assert_eq!(set.add(&entry(owner, 9)), is_new, "{before}");
        }
        assert!(set.concerns(599) && !set.concerns(600));
        assert_eq!(set.before([other, name]), Some((600, 2)));
        assert_eq!(set.before([other]), None);
        assert_eq!(set.entries(), [entry(Subject::Before(name, 600), 9)]);
        set.forget(9000);
        assert!(!set.concerns(0) && set.before([name]).is_none());
        assert_eq!((set.len(), set.added()), (0, 2));
    }

    #[test]
    fn memory_is_given_back() {
        let set = Set::default();
        for n in 0..100_000_u64 {
            let name = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            set.add(&entry(Subject::Session(name, Revoked::LoggedOut), 9));
        }
        assert_eq!(set.len(), 100_000);
        set.forget(9000);
        let held = |shard: &RwLock<Sessions>| read(shard).capacity();
        assert_eq!(set.sessions.iter().map(held).sum::<usize>(), 0);
    }

    #[test]
    fn a_session_takes_16_bytes() {
        assert_eq!(size_of::<(Name, Mark)>(), 16);
    }
}
