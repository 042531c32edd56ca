//! Changes of single entries that are not made yet. They are merged into the entries once, so that
//! many changes in one request cost what they add, not a copy of all entries each.

use std::ops::Range;

use crate::entries::{Entries, Index, Merge, entry_len};

/// With this many changes, an index of the entries pays off.
const INDEXED: usize = 16;

/// The number of bytes of replaced changes that are kept in any case.
const REPLACED: usize = 4096;

/// Changes of single entries.
#[derive(Default)]
pub(super) struct Pending {
    /// Keys and values, in the order of the changes.
    bytes: Vec<u8>,
    /// The last change of each key, sorted by key.
    changes: Vec<Change>,
    /// The bytes that `changes` refer to.
    used: usize,
    /// The length of the entries after the changes.
    len: usize,
    /// The places of the entries that the changes apply to.
    index: Option<Index>,
}

/// A key and its value in [`Pending::bytes`]. An empty value removes the entry, since JSON is never
/// empty.
struct Change {
    start: usize,
    key_len: usize,
    end: usize,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The value of an entry after the changes.
    pub(super) fn value<'a>(&'a self, entries: Entries<'a>, key: &str) -> Option<&'a [u8]> {
        match self.find(key) {
            Ok(at) => self.change(&self.changes[at]).1,
            Err(_) => match &self.index {
                Some(index) => index.get(entries, key),
                None => entries.get(key),
            },
        }
    }

    /// The length of the entries after the changes and one more.
    pub(super) fn len_with(&self, entries: Entries<'_>, key: &str, value: Option<&[u8]>) -> usize {
        let before = match self.is_empty() {
            true => entries.as_bytes().len(),
            false => self.len,
        };
        let len = |value: Option<&[u8]>| value.map_or(0, |value| entry_len(key, value));
        before - len(self.value(entries, key)) + len(value)
    }

    /// Sets or removes one entry. `len` is what [`len_with`](Self::len_with) returned.
    pub(super) fn set(
        &mut self,
        entries: Entries<'_>,
        key: &str,
        value: Option<&[u8]>,
        len: usize,
    ) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let change = Change {
            start,
            key_len: key.len(),
            end: self.bytes.len(),
        };
        self.used += change.range().len();
        match self.find(key) {
            Ok(at) => {
                let replaced = std::mem::replace(&mut self.changes[at], change);
                self.used -= replaced.range().len();
                self.drop_replaced();
            }
            Err(at) => self.changes.insert(at, change),
        }
        self.len = len;
        if self.index.is_none() && self.changes.len() >= INDEXED {
            self.index = Some(Index::new(entries));
        }
    }

    /// Plans to make the changes.
    pub(super) fn merge<'a>(&'a self, entries: Entries<'a>) -> Merge<'a> {
        let changes = self.changes.iter().map(|change| self.change(change));
        Merge::of_sorted(entries, changes)
    }

    /// The key and the value of a change.
    fn change(&self, change: &Change) -> (&[u8], Option<&[u8]>) {
        let (key, value) = self.bytes[change.range()].split_at(change.key_len);
        (key, Some(value).filter(|value| !value.is_empty()))
    }

    /// The change of a key, or the place for it. Keys often come in order.
    fn find(&self, key: &str) -> Result<usize, usize> {
        let key_of = |change: &Change| self.change(change).0;
        match self.changes.last() {
            Some(last) if key_of(last) >= key.as_bytes() => self
                .changes
                .binary_search_by(|change| key_of(change).cmp(key.as_bytes())),
            _ => Err(self.changes.len()),
        }
    }

    /// Frees the bytes of replaced changes, when they are more than the others.
    fn drop_replaced(&mut self) {
        if self.bytes.len() <= 2 * self.used + REPLACED {
            return;
        }
        let mut bytes = Vec::with_capacity(self.used);
        for change in &mut self.changes {
            let range = change.range();
            (change.start, change.end) = (bytes.len(), bytes.len() + range.len());
            bytes.extend_from_slice(&self.bytes[range]);
        }
        self.bytes = bytes;
    }
}

impl Change {
    fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Makes many changes, in an order that repeats keys, on no entries and on many.
    #[test]
    fn changes_are_merged_as_a_map_would_merge_them() {
        for before in [0, 1, 300] {
            let key = |n: usize| format!("k{}", n * 37 % 101);
            let text = |n: usize| n.to_string().into_bytes();
            let mut map: BTreeMap<String, Vec<u8>> =
                (0..before).map(|n| (format!("k{n}"), text(n))).collect();
            let as_entries = |map: &BTreeMap<String, Vec<u8>>| {
                let pairs = map.iter().map(|(key, value)| (&**key, Some(&**value)));
                Merge::new(Entries::default(), pairs.collect()).apply()
            };
            let bytes = as_entries(&map);
            let (entries, mut pending) = (Entries::trusted(&bytes), Pending::default());
            for n in 0..200 {
                let value = (n % 3 != 0).then(|| text(n * n));
                let before = pending.value(entries, &key(n)).map(<[u8]>::to_vec);
                assert_eq!(before.as_ref(), map.get(&key(n)));
                let len = pending.len_with(entries, &key(n), value.as_deref());
                pending.set(entries, &key(n), value.as_deref(), len);
                match value {
                    Some(value) => map.insert(key(n), value),
                    None => map.remove(&key(n)),
                };
                let merged = pending.merge(entries);
                assert_eq!(merged.apply(), as_entries(&map));
                assert_eq!(len, merged.len());
            }
        }
    }

    #[test]
    fn replaced_changes_are_freed() {
        let (entries, mut pending) = (Entries::default(), Pending::default());
        for n in 0..100_000 {
            let (key, value) = (["a", "b", "c"][n % 3], n.to_string());
            let len = pending.len_with(entries, key, Some(value.as_bytes()));
            pending.set(entries, key, Some(value.as_bytes()), len);
            assert!(pending.bytes.len() <= 3 * REPLACED);
        }
        let values = ["99999", "99997", "99998"].map(|value| Some(value.as_bytes()));
        assert_eq!(
            ["a", "b", "c"].map(|key| pending.value(entries, key)),
            values
        );
        assert_eq!(
            pending.merge(entries).apply(),
            b"\x01a\x0599999\x01b\x0599997\x01c\x0599998"
        );
    }
}
