//! What a request has saved to the store so far, and what it has to save.

use super::{incoming::RowRef, journal::Journal, outcome::Change};
use crate::{error::Error, record::Head};

/// What this request has saved to the store so far, and what it has to save.
#[derive(Default)]
pub(super) struct Progress {
    /// The changes of entries to replay on what another request saved: those since the session was
    /// opened, or last saved, or since the last draft was made.
    pub(super) journal: Journal,
    /// The earlier ones, which are in a draft that was not saved yet.
    pub(super) drafted: Journal,
    /// The session that this request saved last.
    pub(super) saved: Option<SavedSession>,
    /// The change for which the response has to set a cookie.
    pub(super) unsent: Option<Change>,
    /// Whether the logout reached the store.
    pub(super) logged_out: bool,
    /// The error of a call without an answer: the call may have been applied or not.
    pub(super) failed: Option<Error>,
}

/// A saved session.
pub(super) struct SavedSession {
    pub(super) head: Head,
    pub(super) owner: Option<Box<str>>,
    pub(super) entries: Vec<u8>,
    /// Its row. `None` if it is to be in the cookie.
    pub(super) row: Option<RowRef>,
}

/// The session that a commit replaces.
#[derive(Clone, Copy)]
pub(crate) struct Previous {
    pub(crate) head: Head,
    /// Its row. `None` if the session is in its cookie.
    pub(crate) row: Option<RowRef>,
}

impl Previous {
    /// Makes a previous session of which only the head is known.
    pub(crate) fn from_head(head: Head) -> Self {
        Self { head, row: None }
    }
}
