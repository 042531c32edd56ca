//! Logging out: ending a session and the ones that continue it.

use super::{
    commit::{StoreCommit, TRIES, contended, fail, unreadable},
    rows::{Found, Replaced},
    storage::Mode,
};
use crate::{error::Error, session::Previous};

/// The maximum number of successors.
const MAX_SUCCESSORS: usize = 16;

impl StoreCommit<'_> {
    /// Ends the session of the request, and all sessions that continue it.
    pub(super) async fn log_out(&self) -> Result<(), Error> {
        if self.state.is_logout_saved() {
            return Ok(());
        }
        let previous = self.state.previous().or_else(|| {
            let ended = self.state.tombstone()?;
            (ended.successor.id != ended.id).then_some(Previous::from_head(ended.successor))
        });
        if let Some(previous) = previous {
            if previous.row.is_none() && self.rows.storage.mode != Mode::Store {
                // as without a store
                self.rows.rules.ended.end(previous.head.id);
            }
            self.end_all(previous).await?;
        }
        self.state.note_logged_out();
        Ok(())
    }

    /// Ends a session and its successors.
    pub(super) async fn end_all(&self, first: Previous) -> Result<(), Error> {
        let mut next = first;
        for _ in 0..MAX_SUCCESSORS {
            let turn = match next.row {
                Some(_) => Some(self.rows.turn(next.head.id).await?),
                None => None,
            };
            let ended = self.end_for_good(next).await;
            if let (Err(error), Some(turn)) = (&ended, turn) {
                fail(&turn, error);
            }
            match ended? {
                Some(successor) => next = successor,
                None => return Ok(()),
            }
        }
        Err(contended())
    }

    /// Ends one session. Returns the session that continues it, if another request renewed it
    /// before.
    async fn end_for_good(&self, previous: Previous) -> Result<Option<Previous>, Error> {
        let Previous { head, mut row } = previous;
        for tries in 0..TRIES {
            self.pause(tries).await?;
            let found = match row {
                Some(row) => {
                    match self.rows.end(head.id, row.version, head, self.now).await {
                        Ok(Replaced::Done(_) | Replaced::Gone) => return Ok(None),
                        Ok(Replaced::Conflict(found)) => Some(found),
                        // no space for a tombstone: a live row is deleted, a successor is followed
                        Err(error) if error.is_full() => match self.rows.find(head.id).await? {
                            Some(Found::Live(..)) => {
                                self.rows.delete(head.id).await?;
                                return Ok(None);
                            }
                            found => found,
                        },
                        Err(error) => return Err(error),
                    }
                }
                None => match self
                    .rows
                    .insert_pointer(head, head, false, self.now)
                    .await?
                {
                    true => return Ok(None),
                    false => self.rows.find(head.id).await?,
                },
            };
            match found {
                Some(Found::Live(_, now_row)) => row = Some(now_row),
                Some(Found::Ended(next) | Found::Moved(next)) if next.id != head.id => {
                    return Ok(Some(Previous::from_head(next)));
                }
                Some(Found::Ended(_) | Found::Moved(_)) => return Ok(None),
                Some(Found::Unreadable) => return Err(unreadable()),
                None => row = None,
            }
        }
        Err(contended())
    }
}
