//! Changes of single entries that are not made yet. They are merged into the entries once, so that
//! many changes in one request cost what they add, not a copy of all entries each.

use std::collections::BTreeMap;

use crate::entries::{Entries, Index, Merge, entry_len};

/// With this many changes, an index of the entries pays off.
const INDEXED: usize = 16;

/// Changes of single entries, by key. `None` removes the entry.
#[derive(Default)]
pub(super) struct Pending {
    changes: BTreeMap<Box<str>, Option<Vec<u8>>>,
    /// The length of the entries after the changes.
    len: usize,
    /// The places of the entries that the changes apply to.
    index: Option<Index>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The value of an entry after the changes.
    pub(super) fn value<'a>(&'a self, entries: Entries<'a>, key: &str) -> Option<&'a [u8]> {
        if let Some(changed) = self.changes.get(key) {
            return changed.as_deref();
        }
        match &self.index {
            Some(index) => index.get(entries, key),
            None => entries.get(key),
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
        value: Option<Vec<u8>>,
        len: usize,
    ) {
        self.len = len;
        self.changes.insert(key.into(), value);
        if self.index.is_none() && self.changes.len() >= INDEXED {
            self.index = Some(Index::new(entries));
        }
    }

    /// Plans to make the changes, and one more.
    pub(super) fn merge<'a>(
        &'a self,
        entries: Entries<'a>,
        one_more: Option<(&'a str, Option<&'a [u8]>)>,
    ) -> Merge<'a> {
        let changes = self.changes.iter();
        let changes = changes.map(|(key, value)| (&**key, value.as_deref()));
        Merge::new(entries, changes.chain(one_more).collect())
    }
}

#[cfg(test)]
mod tests {
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
                pending.set(entries, &key(n), value.clone(), len);
                match value {
                    Some(value) => map.insert(key(n), value),
                    None => map.remove(&key(n)),
                };
                let merged = pending.merge(entries, None);
                assert_eq!(merged.apply(), as_entries(&map));
                assert_eq!(len, merged.len());
            }
            let more = ("k5", Some(&b"more"[..]));
            map.insert("k5".to_owned(), b"more".to_vec());
            assert_eq!(pending.merge(entries, Some(more)).apply(), as_entries(&map));
        }
    }
}
