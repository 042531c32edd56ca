//! A planned change of several entries.

use super::format::{Entries, append, entry_len};

/// A planned change of several entries, in one pass. Its size is known before it is applied.
pub(crate) struct Merge<'a> {
    /// Keys and values, sorted by key.
    entries: Vec<(&'a [u8], &'a [u8])>,
    len: usize,
}

impl<'a> Merge<'a> {
    /// Plans to set and remove entries. If `changes` has a key several times, the last one counts.
    pub(crate) fn new(entries: Entries<'a>, mut changes: Vec<(&'a str, Option<&'a [u8]>)>) -> Self {
        changes.sort_by_key(|(key, _)| *key);
        let next = changes.iter().skip(1).map(|(key, _)| Some(*key));
        let last = changes.iter().zip(next.chain([None]));
        let last = last.filter(|((key, _), next)| *next != Some(*key));
        let sorted = last.map(|((key, value), _)| (key.as_bytes(), *value));

        let mut kept = entries.walk().map(|(_, entry)| entry).peekable();
        let mut merged = Self {
            entries: Vec::with_capacity(changes.len()),
            len: 0,
        };
        for (key, value) in sorted {
            while let Some(entry) = kept.next_if(|entry| entry.key < key) {
                merged.push(entry.key, entry.value);
            }
            kept.next_if(|entry| entry.key == key);
            if let Some(value) = value {
                merged.push(key, value);
            }
        }
        kept.for_each(|entry| merged.push(entry.key, entry.value));
        merged
    }

    fn push(&mut self, key: &'a [u8], value: &'a [u8]) {
        self.entries.push((key, value));
        self.len += entry_len(key, value);
    }

    /// The length of the entries after the change.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Each key with the length of its value after the change.
    pub(crate) fn sizes(&self) -> Vec<(String, usize)> {
        let sizes = self.entries.iter().map(|(key, value)| {
            let key = String::from_utf8_lossy(key).into_owned();
            (key, value.len())
        });
        sizes.collect()
    }

    /// Returns the changed entries. Values must have at most [`MAX_VALUE_LEN`] bytes.
    pub(crate) fn apply(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len);
        for (key, value) in &self.entries {
            append(&mut out, key, value);
        }
        out
    }
}
