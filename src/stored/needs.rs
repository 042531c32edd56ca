//! Whether a commit needs the store.

use super::{rows::Rows, storage::Mode};
use crate::{
    cookie::MAX_PAIR,
    session::{Change, Draft, Outcome, Place, RowRef, State},
};

impl Rows<'_> {
    /// Whether the store has to be called for that outcome.
    pub(crate) fn has_to_save(&self, state: &State, outcome: Outcome, public: bool) -> bool {
        let row = state.previous().and_then(|previous| previous.row);
        let mode = self.storage.mode;
        if state.failed().is_some() || (state.logged_out() && !state.left().is_empty()) {
            return true;
        }
        match outcome {
            Outcome::NoChange => match (state.incoming(), state.opened(), row) {
                _ if state.logged_out() => false,
                (Some(_), Some(opened), Some(row)) => {
                    let sets_ticket = !row.ticket || self.has_to_move(row);
                    state.refresh_due(self.rules, opened)
                        || state.has_to_send()
                        || (sets_ticket && !public)
                }
                (Some(incoming), _, None) => {
                    mode == Mode::Store && !incoming.is_vacant() && !public
                }
                _ => false,
            },
            Outcome::Emptied => row.is_some() || mode == Mode::Store,
            Outcome::Write(_) => {
                mode == Mode::Store
                    || row.is_some()
                    || state.stale().is_some()
                    || (mode == Mode::Overflow && !fits(state.cookie_len(self.rules), false))
            }
        }
    }

    /// Whether a session in that row moves to the other store. A request that came to the row by a
    /// pointer leaves it there, and gets its ticket. So requests in flight do not move it again and
    /// again while instances disagree on which store is the old one.
    pub(super) fn has_to_move(&self, row: RowRef) -> bool {
        row.place == Place::Old && row.ticket
    }

    /// Whether a draft is to be in the store rather than in its cookie. A session leaves the store
    /// only when it gets another id: otherwise, requests in flight would still write to its row.
    pub(super) fn has_to_store(&self, draft: &Draft) -> bool {
        let in_store = draft.is_in_store();
        let stays = in_store && draft.outcome == Outcome::Write(Change::Content);
        stays
            || match self.storage.mode {
                Mode::Store => true,
                // nothing goes into the store, so nothing can move to and fro
                Mode::ReadFrom => in_store && !fits(draft.cookie_len(self.rules), false),
                Mode::Overflow => !fits(draft.cookie_len(self.rules), in_store),
            }
    }
}

/// Whether a session whose cookie would have that length goes into one. A session in the store
/// comes back at half the size, so that it does not move to and fro.
fn fits(cookie_len: usize, in_store: bool) -> bool {
    cookie_len <= if in_store { MAX_PAIR / 2 } else { MAX_PAIR }
}
