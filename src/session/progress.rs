//! What a request has saved to the store so far, before its response or with it.

use std::sync::Arc;

use super::{
    draft::Draft,
    incoming::RowRef,
    journal::{Op, replay},
    outcome::Change,
    state::State,
};
use crate::{entries::Entries, error::Error, record::Head};

/// What the store was told in this request.
#[derive(Default)]
pub(super) struct Progress {
    /// The session as the store has it by this request.
    pub(super) saved: Option<Saved>,
    /// The change for which the response has to set a cookie.
    pub(super) unsent: Option<Change>,
    /// Whether the logout reached the store.
    pub(super) logged_out: bool,
    /// The error of a call without an answer: the call may have been applied or not.
    pub(super) failed: Option<Error>,
}

/// A saved session.
pub(super) struct Saved {
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
    /// A session of which only the head is known.
    pub(crate) fn from_head(head: Head) -> Self {
        Self { head, row: None }
    }
}

impl State {
    /// The session that a commit replaces: as it came in, or as this request saved it.
    pub(crate) fn previous(&self) -> Option<Previous> {
        let session = self.lock();
        let progress = session.changes.progress.as_deref();
        match progress.and_then(|progress| progress.saved.as_ref()) {
            Some(saved) => Some(Previous {
                head: saved.head,
                row: saved.row,
            }),
            None => self.incoming().map(|incoming| Previous {
                head: incoming.record.head,
                row: incoming.row(),
            }),
        }
    }

    /// The previous session, unless this request knows that the session is over.
    pub(crate) fn followed(&self) -> Option<Previous> {
        let previous = self.previous()?;
        let session = self.lock();
        (!session.changes.logged_out() && !session.changes.lost).then_some(previous)
    }

    /// The length of a cookie, name and value, that holds the session.
    pub(crate) fn cookie_len(&self, rules: &super::Rules) -> usize {
        let session = self.lock();
        let entries = session.entries().as_bytes().len();
        rules.limits.cookie_len(session.owner(), entries)
    }

    /// Notes that a draft was saved, and where. The response has to set a cookie for `unsent`.
    pub(crate) fn note_saved(&self, draft: Draft, row: Option<RowRef>, unsent: Option<Change>) {
        let replayed = draft.ops.len();
        let entries_after = |rest: &[Arc<Op>]| {
            rest.iter().fold(draft.entries.clone(), |bytes, op| {
                // a change that can no longer be applied is left out
                replay(std::slice::from_ref(op), Entries::trusted(&bytes)).unwrap_or(bytes)
            })
        };
        loop {
            // changes that other tasks made since; replayed outside the lock, since that runs code
            // of the user
            let rest = self.lock().changes.log[replayed..].to_vec();
            let entries = entries_after(&rest);
            let mut session = self.lock();
            let changes = &mut *session.changes;
            if changes.log.len() != replayed + rest.len() {
                continue;
            }
            changes.log = rest;
            if !changes.logged_out() {
                changes.entries = Some(entries);
            }
            if changes.times == draft.seen {
                changes.times = draft.head.times;
            }
            if changes.id == draft.seen_id {
                changes.id = Some(draft.head.id);
            }
            if !changes.logged_in || changes.owner == draft.owner {
                changes.logged_in = false;
                changes.owner.clone_from(&draft.owner);
            }
            let progress = changes.progress.get_or_insert_default();
            progress.unsent = match (progress.unsent, unsent) {
                (Some(Change::LoggedIn), _) => Some(Change::LoggedIn),
                (before, new) => new.or(before),
            };
            progress.saved = Some(Saved {
                head: draft.head,
                owner: draft.owner,
                entries: draft.entries,
                row,
            });
            return;
        }
    }

    /// Notes that the store did not answer.
    pub(crate) fn note_failed(&self, error: Error) {
        let mut session = self.lock();
        session.changes.lost = true;
        session.changes.progress.get_or_insert_default().failed = Some(error);
    }

    /// Notes that the logout reached the store.
    pub(crate) fn note_logged_out(&self) {
        let mut session = self.lock();
        session.changes.progress.get_or_insert_default().logged_out = true;
    }

    /// The error of a call without an answer.
    pub(crate) fn failed(&self) -> Option<Error> {
        self.lock().changes.progress.as_ref()?.failed.clone()
    }

    /// Whether the logout reached the store.
    pub(crate) fn is_logout_saved(&self) -> bool {
        let session = self.lock();
        let progress = session.changes.progress.as_ref();
        progress.is_some_and(|progress| progress.logged_out)
    }

    /// The change for which the response has to set a cookie.
    pub(crate) fn unsent(&self) -> Option<Change> {
        self.lock().changes.progress.as_ref()?.unsent
    }
}
