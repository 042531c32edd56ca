use super::format::{Entries, entry_at};

/// The offsets of all entries, so that a key is found without a walk.
pub(crate) struct Index(Vec<u32>);

impl Index {
    pub(crate) fn new(entries: Entries<'_>) -> Self {
        let offset = |at| u32::try_from(at).expect("no cookie or row is that long");
        Self(entries.walk().map(|(at, _)| offset(at)).collect())
    }

    /// The value of a key in the entries that the index was made for.
    pub(crate) fn get<'a>(&self, entries: Entries<'a>, key: &str) -> Option<&'a [u8]> {
        let entry = |at: u32| {
            let entry = entry_at(entries.as_bytes(), at as usize).ok().flatten();
            entry.expect("an entry begins at each offset")
        };
        let found = self
            .0
            .binary_search_by(|&at| entry(at).key.cmp(key.as_bytes()));
        found.ok().map(|n| entry(self.0[n]).value)
    }
}
