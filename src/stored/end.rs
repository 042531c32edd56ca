//! Ending sessions in the store.

use super::{
    commit::{StoreCommit, TRIES, contended, fail, unreadable},
    content::{Ending, Tombstone},
    found::Found,
    rows::{Guard, Replacing, Rows},
    storage::Mode,
};
use crate::{
    clock::Millis,
    error::Error,
    record::Head,
    revocation::Why,
    session::{Left, Previous, RowRef, Stale},
    store::StoreError,
};

/// After so many conflicts, a session in tickets ends by the deletion of its row.
pub(super) const CONFLICTS: u32 = 2;

impl Rows<'_> {
    /// Ends a session, if no request has changed it since `previous` was read. Otherwise, returns
    /// what is there.
    pub(super) async fn try_end(
        &self,
        previous: Previous,
        tombstone: Tombstone,
    ) -> Result<Option<Found>, Error> {
        let Previous { head, row } = previous;
        if let Some(row) = row {
            return Ok(match self.end(head, row, tombstone).await? {
                Replacing::Done(_) => None,
                Replacing::Conflict(found) => Some(*found),
            });
        }
        if self.guard(head, Guard::Ended(tombstone)).await? {
            return Ok(None);
        }
        match self.follow(head.family()).await? {
            // the guard is gone again
            Found::Absent => Err(contended()),
            found => Ok(Some(found)),
        }
    }

    /// Ends a session of which a copied ticket came.
    pub(super) async fn end_copied(
        &self,
        head: Head,
        row: RowRef,
        now: Millis,
    ) -> Result<(), Error> {
        let previous = Previous {
            head,
            row: Some(row),
        };
        let tombstone = Tombstone::new(Ending::LoggedOut, now, None);
        match self.try_end(previous, tombstone).await? {
            Some(Found::Live(record, _)) => self.delete(record.head.family()).await,
            _ => Ok(()),
        }
    }
}

impl StoreCommit<'_> {
    /// Ends the sessions that the request logged out.
    pub(super) async fn end_left(&self) -> Result<(), Error> {
        for left in self.state.left() {
            match left {
                Left::Session(previous) => self.log_out(previous).await?,
                Left::Stale(stale) if stale.in_store => self.log_out_stale(stale).await?,
                Left::Stale(_) => {}
            }
            self.state.note_ended(left);
        }
        Ok(())
    }

    /// Ends the session of the request, whatever serial it has by now.
    async fn log_out(&self, previous: Previous) -> Result<(), Error> {
        if previous.row.is_none() && self.rows.storage.mode != Mode::Store {
            // as without a store
            self.rows
                .rules
                .ended
                .end(previous.head.family(), Why::LoggedOut);
        }
        let turn = match previous.row {
            Some(_) => Some(self.rows.turn(previous.head.family()).await?),
            None => None,
        };
        let ended = self.log_out_in_turn(previous).await;
        if let (Err(error), Some(turn)) = (&ended, turn) {
            fail(&turn, error);
        }
        ended
    }

    async fn log_out_in_turn(&self, mut previous: Previous) -> Result<(), Error> {
        let tombstone = Tombstone::new(Ending::LoggedOut, self.now, None);
        let mut conflicts = 0;
        for tries in 0..TRIES {
            self.pause(tries).await?;
            let found = match self.rows.try_end(previous, tombstone).await {
                Ok(found) => found.unwrap_or(Found::Ended(tombstone)),
                // no space for a tombstone
                Err(error) if error.is_full() && previous.row.is_some() => {
                    return self.rows.delete(previous.head.family()).await;
                }
                // a logout can be repeated
                Err(error) if error.as_store_error().is_some_and(StoreError::is_lost) => {
                    match self.rows.follow(previous.head.family()).await {
                        Ok(Found::Absent) if previous.row.is_none() => continue,
                        Ok(found) => found,
                        Err(_) => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            };
            match found {
                Found::Live(record, row) => {
                    conflicts += 1;
                    if conflicts >= CONFLICTS {
                        return self.rows.delete(record.head.family()).await;
                    }
                    previous = Previous {
                        head: record.head,
                        row: Some(row),
                    };
                }
                // the row may be a tombstone or a pointer of this cookie
                Found::Unreadable(family) if previous.is_guarded_by(family) => {
                    return Err(unreadable());
                }
                Found::Unreadable(family) => return self.rows.delete(family).await,
                Found::Ended(_) | Found::Moved(_) | Found::Absent => return Ok(()),
            }
        }
        Err(contended())
    }

    /// Ends a session whose cookie can no longer be used, if it is live under another serial.
    async fn log_out_stale(&self, stale: Stale) -> Result<(), Error> {
        match self.rows.follow(stale.family).await? {
            Found::Live(record, row) => {
                let head = record.head;
                let row = Some(row);
                self.log_out(Previous { head, row }).await
            }
            Found::Unreadable(family) => self.rows.delete(family).await,
            Found::Ended(_) | Found::Moved(_) | Found::Absent => Ok(()),
        }
    }
}
