//! Sessions that did not change: moving the end of their rows, and moving them into the store.

use super::{
    commit::{Saved, StoreCommit},
    needs::needs_ticket,
    rows::Found,
};
use crate::{
    error::Error,
    record::Head,
    session::{Change, Draft, Previous},
};

impl StoreCommit<'_> {
    /// Moves the end of a row if it is due. Moves a session from its cookie to the store.
    pub(super) async fn keep_alive(&self) -> Result<Saved, Error> {
        let (state, rules) = (self.state, self.rows.rules);
        let Some(Previous { head, row }) = state.previous() else {
            return Ok(Saved::Same);
        };
        if let Some(change) = state.unsent() {
            return Ok(Saved::Ticket(head, change));
        }
        let Some(incoming) = state.incoming() else {
            return Ok(Saved::Same);
        };
        let Some(row) = row else {
            return self.move_in(head).await;
        };
        if !state.is_passive() && rules.timeouts.touch_due(head.times, row.expires, self.now) {
            let mut times = head.times;
            times.issue(self.now);
            let end = rules.timeouts.end(times);
            self.rows.touch(head.id, row, end).await;
        }
        if !needs_ticket(incoming, row) || self.public {
            return Ok(Saved::Same);
        }
        // the ticket must not replace one that another request has set since
        match self.rows.find(head.id).await {
            Ok(Some(Found::Live(..))) => Ok(Saved::Ticket(head, Change::Content)),
            _ => Ok(Saved::Same),
        }
    }

    /// Moves an unchanged session from its cookie to the store. If that fails, the next request
    /// tries again.
    async fn move_in(&self, head: Head) -> Result<Saved, Error> {
        let rules = self.rows.rules;
        let mut draft = Draft::new(self.state, rules, self.now)?;
        draft.head.id = rules.draw_id()?;
        if self.state.is_passive() {
            draft.head.times = head.times;
        }
        let Ok(Some(version)) = self.rows.create(&draft).await else {
            return Ok(Saved::Same);
        };
        let pointer = self
            .rows
            .insert_pointer(head, draft.head, true, self.now)
            .await;
        match pointer {
            Ok(true) => {
                let (head, row) = (draft.head, self.row_ref(&draft, version, false));
                draft.note_saved(self.state, Some(row), None);
                Ok(Saved::Ticket(head, Change::Content))
            }
            Ok(false) => {
                self.rows.discard(draft.head.id).await;
                Ok(Saved::Same)
            }
            // the pointer may be there all the same
            Err(_) => Ok(Saved::Same),
        }
    }
}
