//! The sessions file: one JSON object of session ids and their entries, as Python's `json.dump`
//! writes it.
//!
//! ```json
//! {"wLx0": {"env_vars": {"LANG": "de"}, "user_id": 17}, "9fQe": {"env_vars": {}, "user_id": null}}
//! ```
//!
//! The file is read entry by entry, so that memory does not grow with the file. An entry that
//! cannot be used is a [`BadEntry`], and the next entry is read. A file that is broken as a whole
//! is a [`FileError`], and reading ends.
//!
//! ```text
//! for entry in Entries::new(file) {
//!     match entry? {
//!         Ok(entry) => import(entry),
//!         Err(bad) => report(bad),
//!     }
//! }
//! ```
//!
//! Where one entry ends and the next begins depends on quotes and brackets alone. If they are
//! damaged, parts of an entry can look like entries until the end of the file shows the damage. To
//! write nothing in that case, call [`survey()`] first: it fails with the same [`FileError`].

mod decode;
mod entries;
mod entry;
mod error;
mod json;
mod reason;
mod scan;
mod source;
mod split;
mod survey;

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    entries::Entries,
    entry::Entry,
    error::FileError,
    reason::BadEntry,
    survey::{Survey, survey},
};
