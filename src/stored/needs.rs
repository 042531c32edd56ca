//! Whether a commit needs the store.

use super::{rows::Rows, storage::Mode};
use crate::{
    cookie::MAX_PAIR,
    key::Age,
    session::{Draft, Incoming, Outcome, RowRef, State},
};

impl Rows<'_> {
    /// Whether the store has to be called for that outcome.
    pub(crate) fn has_to_save(&self, state: &State, outcome: Outcome, public: bool) -> bool {
        let previous = state.previous();
        let row = previous.and_then(|previous| previous.row);
        let mode = self.storage.mode;
        match outcome {
            Outcome::NoChange => match (state.incoming(), state.opened(), row) {
                (Some(incoming), Some(opened), Some(row)) => {
                    state.refresh_due(self.rules, opened)
                        || (needs_ticket(incoming, row) && !public)
                }
                (Some(incoming), _, None) => {
                    mode == Mode::Store && !incoming.is_vacant() && !public
                }
                _ => false,
            },
            Outcome::LOGGED_OUT => {
                !state.is_logout_saved() && (previous.is_some() || state.tombstone().is_some())
            }
            Outcome::Remove { .. } => row.is_some() || mode == Mode::Store,
            Outcome::Write(_) => {
                mode == Mode::Store
                    || row.is_some()
                    || state.tombstone().is_some()
                    || (mode == Mode::Overflow && !fits(state.cookie_len(self.rules), false))
            }
        }
    }

    /// Whether a draft is to be in the store rather than in its cookie.
    pub(super) fn has_to_store(&self, draft: &Draft) -> bool {
        match self.storage.mode {
            Mode::Store => true,
            Mode::ReadFrom => false,
            Mode::Overflow => {
                let in_store = draft
                    .previous
                    .is_some_and(|previous| previous.row.is_some());
                !fits(draft.cookie_len(self.rules), in_store)
            }
        }
    }
}

/// Whether the browser's cookie has to be replaced by a ticket, or by one with the current key.
pub(super) fn needs_ticket(incoming: &Incoming, row: RowRef) -> bool {
    !row.ticket || incoming.age == Age::Fallback
}

/// Whether a session whose cookie would have that length goes into one. A session in the store
/// comes back at half the size, so that it does not move to and fro.
fn fits(cookie_len: usize, in_store: bool) -> bool {
    cookie_len <= if in_store { MAX_PAIR / 2 } else { MAX_PAIR }
}
