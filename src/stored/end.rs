//! Ending sessions in the store.

use super::{
    commit::{StoreCommit, TRIES, fail},
    content::{Ending, Tombstone},
    errors::{contended, unreadable},
    found::Found,
    rows::{Guard, Replacing, Rows},
    storage::Mode,
};
use crate::{
    clock::Millis,
    error::Error,
    event::{EndReason, Event},
    id::{Family, SessionId},
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
                Replacing::Conflict(found) => Some(self.end_of(*found).await?),
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

    /// Ends a session, whatever other requests make of it meanwhile.
    pub(super) async fn end_always(
        &self,
        head: Head,
        row: RowRef,
        now: Millis,
        reason: EndReason,
    ) -> Result<(), Error> {
        let mut previous = Previous {
            head,
            row: Some(row),
        };
        let tombstone = Tombstone::new(Ending::LoggedOut, now, None);
        for _ in 0..TRIES {
            match self.try_end(previous, tombstone).await? {
                None => {
                    self.tell_ended(head.id, reason);
                    return Ok(());
                }
                Some(Found::Live(record, _)) if self.may_delete() => {
                    return self.delete(record.head, reason).await;
                }
                Some(Found::Live(record, row)) => {
                    previous = Previous {
                        head: record.head,
                        row: Some(row),
                    };
                }
                Some(_) => return Ok(()),
            }
        }
        Err(contended())
    }

    /// Deletes a row that no cookie names. If that fails, it is still unreachable.
    pub(super) async fn discard(&self, family: Family) {
        let _ = self.backend().delete(self.key(family)).await;
    }

    /// Ends a session by deleting its row. That is final for a session in tickets: no request
    /// creates a row under its family again. See [`may_delete`](Self::may_delete).
    pub(super) async fn delete(&self, head: Head, reason: EndReason) -> Result<(), Error> {
        if self.delete_row(head.family()).await? {
            self.tell_ended(head.id, reason);
        }
        Ok(())
    }

    /// Returns whether there was a row.
    async fn delete_row(&self, family: Family) -> Result<bool, Error> {
        let (key, mut existed) = (self.key(family), false);
        for (_, store) in self.storage.places() {
            match store.delete(key).await {
                // it was made if the row is gone, since nobody else creates one
                Err(error) if error.is_lost() => match store.load(key).await {
                    Ok(None) => existed = true,
                    _ => return Err(Error::store(error)),
                },
                deleted => existed |= deleted.map_err(Error::store)?,
            }
        }
        Ok(existed)
    }

    pub(super) fn tell_ended(&self, session: SessionId, reason: EndReason) {
        Event::Ended { session, reason }.emit(self.metrics());
    }

    /// Whether the deletion of a row ends its session. While sessions move between stores, the row
    /// may be a pointer by then, and the session would go on in the other store.
    pub(super) fn may_delete(&self) -> bool {
        self.storage.old.is_none()
    }

    /// Deletes a row that does not open.
    pub(super) async fn delete_unreadable(&self, family: Family) -> Result<(), Error> {
        match self.may_delete() {
            true => self.delete_row(family).await.map(drop),
            false => Err(unreadable()),
        }
    }
}

impl StoreCommit<'_> {
    /// Ends the sessions that the request logged out.
    pub(super) async fn end_left(&self) -> Result<(), Error> {
        for left in self.state.left() {
            match left {
                Left::Session(previous) => Box::pin(self.log_out(previous)).await?,
                Left::Stale(stale) if stale.in_store => Box::pin(self.log_out_stale(stale)).await?,
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
                Ok(Some(found)) => found,
                Ok(None) => {
                    self.rows.tell_ended(previous.head.id, EndReason::Logout);
                    return Ok(());
                }
                // no space for a tombstone
                Err(error) if error.is_full() && previous.row.is_some() => {
                    return self.rows.delete(previous.head, EndReason::Logout).await;
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
                    if conflicts >= CONFLICTS && self.rows.may_delete() {
                        return self.rows.delete(record.head, EndReason::Logout).await;
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
                Found::Unreadable(family) => return self.rows.delete_unreadable(family).await,
                Found::Ended(_) | Found::Moved(_) | Found::Absent => return Ok(()),
            }
        }
        Err(contended())
    }

    /// Ends a session whose cookie can no longer be used, if it is live under another serial.
    pub(super) async fn log_out_stale(&self, stale: Stale) -> Result<(), Error> {
        match self.rows.follow(stale.family).await? {
            Found::Live(record, row) => {
                let head = record.head;
                let row = Some(row);
                self.log_out(Previous { head, row }).await
            }
            Found::Unreadable(family) => self.rows.delete_unreadable(family).await,
            Found::Ended(_) | Found::Moved(_) | Found::Absent => Ok(()),
        }
    }
}
