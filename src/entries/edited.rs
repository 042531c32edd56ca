//! Entries that change one by one. Many changes cost what they add, not a copy of all entries each.

use std::{cmp::Ordering, ops::Range};

use super::format::{Entries, Entry, append, entry_at, entry_len};

/// After this many bytes of walks through the entries, an index pays off.
const WALKED: usize = 2048;

/// The number of bytes of replaced entries that are kept in any case.
const REPLACED: usize = 4096;

/// The number of bytes for which there is room from the start.
const ROOM: usize = 256;

/// Entries that change one by one.
///
/// The first changes are made in place, after a walk through the entries. When that has cost enough,
/// the entries get an index, and from then on each new entry is appended, until
/// [`sort`](Self::sort).
pub(crate) struct Edited {
    /// Encoded entries. Unless they are `tidy`, they are not sorted, and some are replaced.
    bytes: Vec<u8>,
    /// Whether `bytes` are the canonical encoding.
    tidy: bool,
    /// The length of all entries, without replaced ones.
    len: usize,
    /// The number of bytes that were walked through, or moved.
    walked: usize,
    /// Where the last entry starts, if it was appended. Keys often come in order, and then no walk
    /// is needed.
    last: Option<usize>,
    /// The index: where each entry starts in `bytes`, sorted by key. Empty if there is none.
    starts: Vec<u32>,
}

/// A planned change of one entry. No other entry may be read or changed before it is made.
pub(crate) struct Plan {
    place: Place,
    replaced: Range<usize>,
    added: usize,
    /// The length of all entries after the change.
    pub(crate) len: usize,
}

/// Where the entry of a key is, or where it would be.
enum Place {
    /// In the bytes. If there is no entry, the empty range where it would be inserted.
    Bytes(Range<usize>),
    /// In the index.
    Start(Result<usize, usize>),
}

impl Edited {
    /// Copies the entries, to change them.
    pub(crate) fn copy(entries: Entries<'_>) -> Self {
        let entries = entries.as_bytes();
        let mut bytes = Vec::with_capacity(entries.len() + ROOM);
        bytes.extend_from_slice(entries);
        Self::new(bytes)
    }

    /// Takes bytes that [`Merge`](super::Merge) returned.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self {
            tidy: true,
            len: bytes.len(),
            walked: 0,
            last: None,
            starts: Vec::new(),
            bytes,
        }
    }

    /// Sorts the entries, and frees replaced ones.
    pub(crate) fn sort(&mut self) {
        if self.tidy {
            return;
        }
        let mut bytes = Vec::with_capacity(self.len);
        for at in 0..self.starts.len() {
            let range = self.entry_range(self.starts[at] as usize);
            self.starts[at] = offset(bytes.len());
            bytes.extend_from_slice(&self.bytes[range]);
        }
        self.bytes = bytes;
        self.tidy = true;
        self.last = None;
    }

    /// The entries. [`sort`](Self::sort) has to be called before.
    pub(crate) fn sorted(&self) -> Entries<'_> {
        debug_assert!(self.tidy);
        Entries::trusted(&self.bytes)
    }

    /// The value of an entry.
    pub(crate) fn get(&mut self, key: &str) -> Option<&[u8]> {
        let place = self.place(key);
        let range = self.range(&place);
        (!range.is_empty()).then(|| self.entry(range.start).value)
    }

    /// Plans to set or remove an entry.
    #[inline]
    pub(crate) fn plan(&mut self, key: &str, value: Option<&[u8]>) -> Plan {
        let place = self.place(key);
        let replaced = self.range(&place);
        let added = value.map_or(0, |value| entry_len(key, value));
        Plan {
            len: self.len - replaced.len() + added,
            place,
            replaced,
            added,
        }
    }

    #[inline]
    fn place(&mut self, key: &str) -> Place {
        if self.starts.is_empty() {
            let end = self.bytes.len();
            if let Some(last) = self.last
                && self.key(last) < key.as_bytes()
            {
                return Place::Bytes(end..end);
            }
            if self.walked <= WALKED {
                self.walked += end;
                return Place::Bytes(self.walk_to(key));
            }
            let starts = Entries::trusted(&self.bytes).walk();
            self.starts.extend(starts.map(|(start, _)| offset(start)));
        }
        Place::Start(self.search(key))
    }

    /// Each key with the length of its value after a change.
    pub(crate) fn sizes_with(&mut self, key: &str, value: Option<&[u8]>) -> Vec<(String, usize)> {
        self.sort();
        let others = self.sorted().iter().filter(|(other, _)| *other != key);
        let changed = value.map(|value| (key, value));
        others
            .chain(changed)
            .map(|(key, value)| (key.to_owned(), value.len()))
            .collect()
    }

    /// Makes a planned change. The value must have at most [`MAX_VALUE_LEN`] bytes.
    ///
    /// [`MAX_VALUE_LEN`]: super::MAX_VALUE_LEN
    #[inline]
    pub(crate) fn make(&mut self, plan: Plan, key: &str, value: Option<&[u8]>) {
        let Plan {
            place,
            replaced,
            added,
            len,
        } = plan;
        self.len = len;
        let end = self.bytes.len();
        if let Some(value) = value {
            // entries of one key that have the same length have values of the same length
            if added == replaced.len() {
                self.bytes[replaced.end - value.len()..replaced.end].copy_from_slice(value);
                return;
            }
            append(&mut self.bytes, key.as_bytes(), value);
        }
        match (place, value) {
            (Place::Bytes(_), Some(_)) if replaced.start == end => self.last = Some(end),
            (Place::Bytes(_), _) => {
                self.last = None;
                // the new entry comes from the end to its place, and the old one goes
                self.bytes[replaced.start..].rotate_right(added);
                let old = replaced.start + added..replaced.end + added;
                self.bytes.drain(old);
            }
            (Place::Start(Err(at)), Some(_)) => {
                self.tidy &= at == self.starts.len();
                self.starts.insert(at, offset(end));
            }
            (Place::Start(Err(_)), None) => {}
            (Place::Start(Ok(at)), value) => {
                self.tidy = false;
                match value {
                    Some(_) => self.starts[at] = offset(end),
                    None => drop(self.starts.remove(at)),
                }
                if self.starts.is_empty() || self.bytes.len() > 2 * self.len + REPLACED {
                    self.sort();
                }
            }
        }
    }

    /// Sets or removes an entry without a limit. Returns the length of all entries.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn change(&mut self, key: &str, value: Option<&[u8]>) -> usize {
        let plan = self.plan(key, value);
        let len = plan.len;
        self.make(plan, key, value);
        len
    }

    /// The bytes of the entry at that place.
    #[inline]
    fn range(&self, place: &Place) -> Range<usize> {
        match place {
            Place::Bytes(range) => range.clone(),
            Place::Start(Ok(at)) => self.entry_range(self.starts[*at] as usize),
            Place::Start(Err(_)) => 0..0,
        }
    }

    /// The range of that key's entry, or where it would be inserted.
    fn walk_to(&self, key: &str) -> Range<usize> {
        let entries = Entries::trusted(&self.bytes);
        for (start, entry) in entries.walk() {
            match entry.key.cmp(key.as_bytes()) {
                Ordering::Less => {}
                Ordering::Equal => return start..entry.end,
                Ordering::Greater => return start..start,
            }
        }
        self.bytes.len()..self.bytes.len()
    }

    /// Searches a key. Keys often come in order, so the last one is compared first.
    #[inline]
    fn search(&self, key: &str) -> Result<usize, usize> {
        let key = key.as_bytes();
        match self.starts.len().checked_sub(1) {
            Some(last) if self.key(self.starts[last] as usize) >= key => self
                .starts
                .binary_search_by(|&start| self.key(start as usize).cmp(key)),
            _ => Err(self.starts.len()),
        }
    }

    /// The key of the entry that starts there.
    #[inline]
    fn key(&self, start: usize) -> &[u8] {
        let len = usize::from(self.bytes[start]);
        &self.bytes[start + 1..][..len]
    }

    #[inline]
    fn entry(&self, start: usize) -> Entry<'_> {
        let entry = entry_at(&self.bytes, start).ok().flatten();
        entry.expect("an entry starts there")
    }

    #[inline]
    fn entry_range(&self, start: usize) -> Range<usize> {
        start..self.entry(start).end
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

    /// Makes many changes in an order that repeats keys, to no entries, one, and many.
    #[test]
    fn changes_are_made_as_a_map_would_make_them() {
        for before in [0, 1, 20, 300] {
            let key = |n: usize| format!("k{}", n * 37 % 101);
            let text = |n: usize| n.to_string().into_bytes();
            let mut map: BTreeMap<String, Vec<u8>> =
                (0..before).map(|n| (format!("k{n}"), text(n))).collect();
            for sorted_each_time in [true, false] {
                let mut edited = Edited::new(canonical(&map));
                for n in 0..200 {
                    let value = (n % 3 != 0).then(|| text(n * n));
                    assert_eq!(edited.get(&key(n)), map.get(&key(n)).map(Vec::as_slice));
                    edited.change(&key(n), value.as_deref());
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
    fn entries_can_be_removed_and_set_again() {
        let mut edited = Edited::new(Vec::new());
        for round in 0..3 {
            for n in 0..200 {
                edited.change(&format!("k{n}"), Some(b"1"));
            }
            assert_eq!(edited.starts.len(), 200, "{round}");
            for n in 0..200 {
                assert_eq!(edited.get(&format!("k{n}")), Some(&b"1"[..]));
                edited.change(&format!("k{n}"), None);
                assert_eq!(edited.get(&format!("k{n}")), None);
            }
            assert_eq!(sorted(&mut edited).as_bytes(), b"");
            edited.change("k", Some(b"2"));
            assert_eq!(sorted(&mut edited).as_bytes(), b"\x01k\x012");
            edited.change("k", None);
        }
    }

    #[test]
    fn entries_that_come_in_order_are_neither_walked_through_nor_sorted() {
        let mut edited = Edited::new(Vec::new());
        for n in 0..200 {
            edited.change(&format!("k{n:03}"), Some(b"1"));
        }
        assert!(edited.walked < 10 && edited.starts.is_empty());
        let place = edited.bytes.as_ptr();
        assert_eq!(sorted(&mut edited).as_bytes().as_ptr(), place);
        // nor are those whose values keep their lengths
        edited.change("k050", Some(b"2"));
        assert_eq!(sorted(&mut edited).as_bytes().as_ptr(), place);
        assert_eq!(sorted(&mut edited).get("k050"), Some(&b"2"[..]));
    }

    #[test]
    fn replaced_entries_are_freed() {
        let mut edited = Edited::new(Vec::new());
        for n in 0..100_000 {
            edited.change(["a", "b", "c"][n % 3], Some(n.to_string().as_bytes()));
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
        edited.change("b", Some(b"22"));
        edited.change("a", Some(b"1"));
        let mut sizes = |key: &str, value: Option<&[u8]>| {
            let sizes = edited.sizes_with(key, value);
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
