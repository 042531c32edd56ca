//! What a request has saved to the store so far, and what it still has to end there.

use super::{
    incoming::Origin,
    outcome::Change,
    progress::{Left, Previous},
    rules::Rules,
    state::State,
};
use crate::error::Error;

impl State {
    /// The session that a commit replaces: as it came in, or as this request saved it.
    pub(crate) fn previous(&self) -> Option<Previous> {
        let session = self.lock();
        match session.saved() {
            Some(saved) => Some(Previous {
                head: saved.head,
                row: saved.row,
            }),
            None => session.incoming.and_then(Previous::of),
        }
    }

    /// The sessions that a logout of this request ended, and that still have to be ended in the
    /// store.
    pub(crate) fn left(&self) -> Vec<Left> {
        let session = self.lock();
        let changes = &*session.changes;
        let progress = changes.progress.as_deref();
        let saved = progress.map(|progress| &progress.left[..]);
        let saved = saved.unwrap_or_default().iter().copied();
        let mut left: Vec<_> = saved.map(Left::Session).collect();
        if changes.logged_out() && !progress.is_some_and(|progress| progress.incoming_ended) {
            left.extend(match self.incoming() {
                Some(incoming) => Previous::of(incoming).map(Left::Session),
                None => self.stale_arrival().map(Left::Stale),
            });
        }
        left
    }

    /// The previous session, unless this request knows that the session is over.
    pub(crate) fn followed(&self) -> Option<Previous> {
        let previous = self.previous()?;
        let session = self.lock();
        (!session.changes.logged_out() && !session.changes.lost).then_some(previous)
    }

    /// The length of a cookie, name and value, that holds the session.
    pub(crate) fn cookie_len(&self, rules: &Rules) -> usize {
        let mut session = self.lock();
        let (owner, entries) = session.content();
        rules
            .limits
            .cookie_len(owner.map(str::len), entries.as_bytes().len())
    }

    /// Whether the browser loses the session if this response does not set its ticket.
    pub(crate) fn has_to_send(&self) -> bool {
        let incoming = self.incoming();
        incoming.is_some_and(|incoming| incoming.origin == Origin::Adopted)
    }

    /// Notes that a commit begins before the response is ready. If the handler drops it, it counts
    /// as not answered.
    pub(crate) fn begin_commit(&self) {
        self.lock().progress().under_way = true;
    }

    /// Notes that a commit came to its end.
    pub(crate) fn end_commit(&self) {
        self.lock().progress().under_way = false;
    }

    /// Notes that the store did not answer.
    pub(crate) fn note_failed(&self, error: Error) {
        let mut session = self.lock();
        session.changes.lost = true;
        session.progress().failed = Some(error);
    }

    /// Notes that a session which this request left has ended in the store.
    pub(crate) fn note_ended(&self, left: Left) {
        let mut session = self.lock();
        let progress = session.progress();
        let count = progress.left.len();
        if let Left::Session(ended) = left {
            let family = ended.head.family();
            progress.left.retain(|left| left.head.family() != family);
        }
        if progress.left.len() == count {
            progress.incoming_ended = true;
        }
    }

    /// The error of a call without an answer, or of a commit that the handler dropped.
    pub(crate) fn failed(&self) -> Option<Error> {
        let session = self.lock();
        let progress = session.changes.progress.as_ref()?;
        match progress.under_way {
            true => Some(Error::dropped_commit()),
            false => progress.failed.clone(),
        }
    }

    /// The change for which the response has to set a cookie.
    pub(crate) fn unsent(&self) -> Option<Change> {
        self.lock().changes.progress.as_ref()?.unsent
    }
}
