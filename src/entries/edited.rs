//! Entries that change one by one. Many changes cost what they add, not a copy of all entries each.

use std::ops::Range;

use super::format::{Entries, append, entry_at, entry_len};

/// The number of bytes of replaced entries that are kept in any case.
const REPLACED: usize = 4096;

/// Entries that change one by one.
///
/// A new entry is appended, whatever its key, until [`sort`](Self::sort).
pub(crate) struct Edited {
    /// Encoded entries. Unless they are `tidy`, they are not sorted, and some are replaced.
    bytes: Vec<u8>,
    /// Where each entry starts in `bytes`, sorted by key. Empty until the first change.
    starts: Vec<u32>,
    /// The length of all entries, without replaced ones.
    len: usize,
    /// Whether `bytes` are the canonical encoding.
    tidy: bool,
}

/// Where a key's entry is in the list of all entries, or where it would be.
pub(crate) struct Place(Result<usize, usize>);

impl Edited {
    /// Takes bytes that [`Splice`](super::Splice) or [`Merge`](super::Merge) returned.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self {
            len: bytes.len(),
            bytes,
            starts: Vec::new(),
            tidy: true,
        }
    }

    /// Sorts the entries, and frees replaced ones.
    pub(crate) fn sort(&mut self) {
        if self.tidy {
            return;
        }
        let mut bytes = Vec::with_capacity(self.len);
        for at in 0..self.starts.len() {
            let range = self.range(at);
            self.starts[at] = offset(bytes.len());
            bytes.extend_from_slice(&self.bytes[range]);
        }
        self.bytes = bytes;
        self.tidy = true;
    }

    /// The entries. [`sort`](Self::sort) has to be called before.
    pub(crate) fn sorted(&self) -> Entries<'_> {
        debug_assert!(self.tidy);
        Entries::trusted(&self.bytes)
    }

    /// The value of an entry.
    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        if self.starts.is_empty() {
            return Entries::trusted(&self.bytes).get(key);
        }
        let found = self.search(key).ok()?;
        Some(self.entry(found).1)
    }

    /// Finds the place of a key, for a change. It is valid until the next change.
    pub(crate) fn place(&mut self, key: &str) -> Place {
        if self.starts.is_empty() {
            let starts = Entries::trusted(&self.bytes).walk();
            self.starts.extend(starts.map(|(start, _)| offset(start)));
            self.starts.reserve(16);
        }
        Place(self.search(key))
    }

    /// The length of the entries after a change.
    pub(crate) fn len_with(&self, Place(at): &Place, key: &str, value: Option<&[u8]>) -> usize {
        let replaced = at.map_or(0, |at| self.range(at).len());
        self.len - replaced + value.map_or(0, |value| entry_len(key, value))
    }

    /// Each key with the length of its value after a change.
    pub(crate) fn sizes_with(
        &self,
        Place(at): &Place,
        key: &str,
        value: Option<&[u8]>,
    ) -> Vec<(String, usize)> {
        let others = (0..self.starts.len()).filter(|n| *at != Ok(*n));
        let others = others.map(|n| self.entry(n));
        let changed = value.map(|value| (key.as_bytes(), value));
        others
            .chain(changed)
            .map(|(key, value)| (String::from_utf8_lossy(key).into_owned(), value.len()))
            .collect()
    }

    /// Sets or removes an entry. The value must have at most [`MAX_VALUE_LEN`] bytes.
    ///
    /// [`MAX_VALUE_LEN`]: super::MAX_VALUE_LEN
    pub(crate) fn set(&mut self, Place(at): Place, key: &str, value: Option<&[u8]>) {
        self.len = self.len_with(&Place(at), key, value);
        let start = offset(self.bytes.len());
        if let Some(value) = value {
            append(&mut self.bytes, key.as_bytes(), value);
        }
        match (at, value) {
            (Ok(at), Some(_)) => self.starts[at] = start,
            (Ok(at), None) => drop(self.starts.remove(at)),
            (Err(at), Some(_)) => {
                self.tidy &= at == self.starts.len();
                self.starts.insert(at, start);
            }
            (Err(_), None) => {}
        }
        if at.is_ok() {
            self.tidy = false;
            if self.bytes.len() > 2 * self.len + REPLACED {
                self.sort();
            }
        }
    }

    /// Searches a key. Keys often come in order, so the last one is compared first.
    fn search(&self, key: &str) -> Result<usize, usize> {
        let key = key.as_bytes();
        match self.starts.len().checked_sub(1) {
            Some(last) if self.entry(last).0 >= key => self.starts.binary_search_by(|&start| {
                let (found, _) = self.entry_from(start);
                found.cmp(key)
            }),
            _ => Err(self.starts.len()),
        }
    }

    /// The key and the value of an entry.
    fn entry(&self, at: usize) -> (&[u8], &[u8]) {
        self.entry_from(self.starts[at])
    }

    fn entry_from(&self, start: u32) -> (&[u8], &[u8]) {
        let entry = entry_at(&self.bytes, start as usize).ok().flatten();
        let entry = entry.expect("an entry starts there");
        (entry.key, entry.value)
    }

    fn range(&self, at: usize) -> Range<usize> {
        let (key, value) = self.entry(at);
        let start = self.starts[at] as usize;
        start..start + entry_len(key, value)
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("no session is that long")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::entries::Merge;

    fn canonical(map: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
        let pairs = map.iter().map(|(key, value)| (&**key, Some(&**value)));
        Merge::new(Entries::default(), pairs.collect()).apply()
    }

    fn sorted(edited: &mut Edited) -> Entries<'_> {
        edited.sort();
        edited.sorted()
    }

    fn set(edited: &mut Edited, key: &str, value: Option<&[u8]>) {
        let place = edited.place(key);
        let len = edited.len_with(&place, key, value);
        edited.set(place, key, value);
        assert_eq!(edited.len, len);
    }

    /// Makes many changes in an order that repeats keys, to no entries, one, and many.
    #[test]
    fn changes_are_made_as_a_map_would_make_them() {
        for before in [0, 1, 300] {
            let key = |n: usize| format!("k{}", n * 37 % 101);
            let text = |n: usize| n.to_string().into_bytes();
            let mut map: BTreeMap<String, Vec<u8>> =
                (0..before).map(|n| (format!("k{n}"), text(n))).collect();
            for sorted_each_time in [true, false] {
                let mut edited = Edited::new(canonical(&map));
                for n in 0..200 {
                    let value = (n % 3 != 0).then(|| text(n * n));
                    assert_eq!(edited.get(&key(n)), map.get(&key(n)).map(Vec::as_slice));
                    set(&mut edited, &key(n), value.as_deref());
                    match value {
                        Some(value) => map.insert(key(n), value),
                        None => map.remove(&key(n)),
                    };
                    let expected = canonical(&map);
                    assert_eq!(edited.len, expected.len());
                    if sorted_each_time {
                        assert_eq!(sorted(&mut edited).as_bytes(), expected);
                    }
                }
                assert_eq!(sorted(&mut edited).as_bytes(), canonical(&map));
            }
        }
    }

    #[test]
    fn entries_that_come_in_order_are_not_sorted_again() {
        let mut edited = Edited::new(Vec::new());
        for n in 0..100 {
            set(&mut edited, &format!("k{n:02}"), Some(b"1"));
        }
        let place = edited.bytes.as_ptr();
        assert_eq!(sorted(&mut edited).as_bytes().as_ptr(), place);
        set(&mut edited, "k50", Some(b"2"));
        assert_eq!(sorted(&mut edited).get("k50"), Some(&b"2"[..]));
    }

    #[test]
    fn replaced_entries_are_freed() {
        let mut edited = Edited::new(Vec::new());
        for n in 0..100_000 {
            set(
                &mut edited,
                ["a", "b", "c"][n % 3],
                Some(n.to_string().as_bytes()),
            );
            assert!(edited.bytes.len() <= 2 * edited.len + REPLACED);
        }
        assert_eq!(
            sorted(&mut edited).as_bytes(),
            b"\x01a\x0599999\x01b\x0599997\x01c\x0599998"
        );
    }

    /// The error for a session that does not fit shows these sizes.
    #[test]
    fn sizes_are_measured_after_the_change() {
        let mut edited = Edited::new(Vec::new());
        set(&mut edited, "b", Some(b"22"));
        set(&mut edited, "a", Some(b"1"));
        let mut sizes = |key: &str, value: Option<&[u8]>| {
            let place = edited.place(key);
            let sizes = edited.sizes_with(&place, key, value);
            sizes
                .into_iter()
                .map(|(key, len)| format!("{key}{len}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes("b", Some(b"4444")), ["a1", "b4"]);
        assert_eq!(sizes("c", Some(b"333")), ["a1", "b2", "c3"]);
        assert_eq!(sizes("a", None), ["b2"]);
    }
}
