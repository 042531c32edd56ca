//! A session's entries: keys with raw JSON values, sorted by key. Values are parsed when read.
//!
//! ```text
//! entries = ( klen u8 1..=255 ‖ key UTF-8
//!           ‖ vlen LEB128, minimal, at most 3 bytes ‖ JSON value, not empty )*
//! ```
//!
//! Keys are strictly ascending, so equal entries have equal bytes. A klen of 0, or the end of the
//! bytes, ends the entries.

mod edited;
mod format;
mod merge;

pub(crate) use self::{
    edited::Edited,
    format::{Entries, MAX_VALUE_LEN, Malformed},
    merge::Merge,
};
