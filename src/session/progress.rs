//! What a request has saved to the store so far, and what it has to save.

use std::sync::Arc;

use super::{
    incoming::{Incoming, Origin, RowRef, Stale},
    journal::Journal,
    outcome::Change,
};
use crate::{error::Error, id::Family, record::Head};

/// What this request has saved to the store so far, and what it has to save.
#[derive(Default)]
pub(super) struct Progress {
    /// The changes of entries to replay on what another request saved: those since the session was
    /// opened, or last saved, or since the last draft was made.
    pub(super) journal: Journal,
    /// The earlier ones, which are in a draft that was not saved yet.
    pub(super) drafted: Arc<Journal>,
    /// The session that this request saved last.
    pub(super) saved: Option<SavedSession>,
    /// The change for which the response has to set a cookie.
    pub(super) unsent: Option<Change>,
    /// The sessions that this request saved and then logged out, and that still have to be ended.
    pub(super) left: Vec<Previous>,
    /// Whether the session that came in has ended in the store.
    pub(super) incoming_ended: bool,
    /// Whether a commit is under way, or was dropped before its end.
    pub(super) under_way: bool,
    /// The error of a call without an answer: the call may have been applied or not.
    pub(super) failed: Option<Error>,
}

impl Progress {
    /// Leaves the session for a new one.
    pub(super) fn leave(&mut self) {
        self.journal = Journal::default();
        self.drafted = Arc::default();
        self.unsent = None;
        if let Some(SavedSession { head, row, .. }) = self.saved.take() {
            self.left.push(Previous { head, row });
            // it continued the session that came in
            self.incoming_ended = true;
        }
    }
}

/// A saved session.
pub(super) struct SavedSession {
    pub(super) head: Head,
    pub(super) owner: Option<Box<str>>,
    pub(super) entries: Vec<u8>,
    /// Its row. `None` if it is to be in the cookie.
    pub(super) row: Option<RowRef>,
}

/// A session that was left by a logout, and that has to be ended in the store.
#[derive(Clone, Copy)]
pub(crate) enum Left {
    Session(Previous),
    Stale(Stale),
}

/// The session that a commit replaces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Previous {
    pub(crate) head: Head,
    /// Its row. `None` if the session is in its cookie.
    pub(crate) row: Option<RowRef>,
}

impl Previous {
    /// Whether the row of that family guards the session's cookie.
    pub(crate) fn is_guarded_by(&self, family: Family) -> bool {
        self.row.is_none() && self.head.family() == family
    }

    /// `None`: no other request has that id, so there is nothing to end or to move.
    pub(super) fn of(incoming: &Incoming) -> Option<Self> {
        (incoming.origin != Origin::LegacyUnowned).then(|| Self {
            head: incoming.record.head,
            row: incoming.row(),
        })
    }
}
