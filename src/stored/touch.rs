//! Sessions that did not change: moving the end of their rows.

use super::{
    commit::{Saved, StoreCommit},
    found::Found,
};
use crate::{
    error::Error,
    expiry::Timeouts,
    record::Head,
    session::{Change, Previous},
};

impl StoreCommit<'_> {
    /// Moves the end of a row if it is due. Moves a session from its cookie or from the old store to
    /// the store.
    pub(super) async fn keep_alive(&self) -> Result<Saved, Error> {
        let (state, rules) = (self.state, self.rows.rules);
        let Some(Previous { head, row }) = state.previous() else {
            return match state.incoming() {
                Some(incoming) if !state.logged_out() => {
                    Box::pin(self.move_unchanged(incoming.record.head)).await
                }
                _ => Ok(Saved::Same),
            };
        };
        if let Some(change) = state.unsent() {
            return Ok(Saved::Ticket(head, change));
        }
        let Some(row) = row else {
            return Box::pin(self.move_unchanged(head)).await;
        };
        if self.rows.has_to_move(row)
            && !self.public
            && let ticket @ Saved::Ticket(..) = Box::pin(self.move_unchanged(head)).await?
        {
            return Ok(ticket);
        }
        if !state.is_passive() && rules.timeouts.touch_due(head.times, row.expires, self.now) {
            let mut times = head.times;
            times.issue(self.now);
            let end = rules.timeouts.end(times);
            // if that fails, nothing is lost
            let _ = self.rows.touch(head.family(), row, end).await;
        }
        let may_send = !self.public || state.has_to_send();
        if row.ticket || !may_send {
            return Ok(Saved::Same);
        }
        Box::pin(self.ticket_of_pointer(head)).await
    }

    /// The ticket for a browser that still has the cookie of a session which moved to this row. It
    /// must not replace one that another request has set since.
    async fn ticket_of_pointer(&self, head: Head) -> Result<Saved, Error> {
        let opened = self.state.opened().unwrap_or(0);
        let has_to_send = self.state.has_to_send();
        if Timeouts::is_slow(opened, self.now) && !has_to_send {
            return Ok(Saved::Same);
        }
        Ok(match self.rows.find(head.family()).await {
            Ok(Found::Live(record, _)) if record.head.id == head.id => {
                Saved::Ticket(head, Change::Content)
            }
            Err(_) if has_to_send => Saved::Ticket(head, Change::Content),
            _ => Saved::Same,
        })
    }
}
