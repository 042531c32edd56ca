use std::{collections::BTreeMap, fmt};

use serde_json::value::RawValue;

/// A session in the file.
///
/// `Debug` shows its place in the file, but not the id, the owner or the fields.
pub(crate) struct Entry {
    /// Counted from 1.
    pub(crate) position: u64,
    /// The place of the first byte of the id, in bytes from the start of the file.
    pub(crate) offset: u64,
    pub(crate) id: Id,
    /// The `user_id`, if there is one and it is not null.
    pub(crate) owner: Option<Owner>,
    /// All fields except `user_id`, with their JSON text as it is in the file.
    ///
    /// If a name occurs twice, the last field counts, as in Python.
    pub(crate) fields: BTreeMap<String, Box<RawValue>>,
}

/// The session id in the file: 1 to 256 bytes. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(String);

/// The `user_id` in the file: 1 to 255 bytes, where a number is its decimal text. `Debug` does not
/// show it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Owner(String);

impl Id {
    pub(super) const MAX_LEN: usize = 256;

    pub(super) fn new(text: String) -> Option<Self> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len());
        fits.then_some(Self(text))
    }

    #[cfg(test)]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

impl Owner {
    pub(super) const MAX_LEN: usize = 255;

    pub(super) fn new(text: String) -> Option<Self> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len());
        fits.then_some(Self(text))
    }

    #[cfg(test)]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("position", &self.position)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Id(..)")
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owner(..)")
    }
}
