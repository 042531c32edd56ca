//! Saving a draft.

use super::{
    commit::{Kept, StoreCommit, TRIES, fail},
    content::{Ending, Tombstone},
    errors::{contended, unreadable},
    found::Found,
    moves::Moved,
    rows::Replacing,
};
use crate::{
    error::{Error, ErrorKind},
    event::{DropReason, EndReason},
    metrics::Metric,
    session::{Draft, Fate, Outcome, Previous, RowRef},
};

impl StoreCommit<'_> {
    /// Saves a draft. If the draft is empty, ends the previous session.
    pub(super) async fn write(&self, draft: &mut Draft) -> Result<Kept, Error> {
        if let Some(stale) = self.state.stale()
            && !draft.is_login()
            && draft.previous.is_none()
        {
            match stale.changes {
                Fate::Begin | Fate::Refused => {}
                Fate::Drop => return Ok(Kept::Dropped(DropReason::Ended)),
                Fate::Fail => return Err(ErrorKind::Ended.into()),
                Fate::Unreadable => return Err(unreadable()),
            }
        }
        let timeouts = &self.rows.rules.timeouts;
        if self.now >= timeouts.end(draft.head.times) {
            // it may have been live when it was opened, and also if `remember` did not end it
            let straddles = |previous: Previous| self.now >= timeouts.end(previous.head.times);
            return match !draft.is_login() && draft.previous.is_some_and(straddles) {
                true => Ok(Kept::Dropped(DropReason::Expired)),
                false => Err(ErrorKind::Expired.into()),
            };
        }
        let turn = match draft.previous {
            Some(previous) => Some(self.rows.turn(previous.head.family()).await?),
            None => None,
        };
        let kept = self.write_in_turn(draft).await;
        if let (Err(error), Some(turn)) = (&kept, turn) {
            fail(&turn, error);
        }
        kept
    }

    // what is rare is boxed, so that the future of a usual write is small
    async fn write_in_turn(&self, draft: &mut Draft) -> Result<Kept, Error> {
        if draft.is_login() {
            return Box::pin(self.log_in(draft)).await;
        }
        let in_store = self.rows.has_to_store(draft);
        match draft.previous {
            _ if draft.outcome == Outcome::Emptied => self.update(draft).await,
            Some(Previous { row: Some(row), .. }) if self.rows.has_to_move(row) => {
                Box::pin(self.adopt(draft)).await
            }
            Some(Previous { row: Some(_), .. }) => self.update(draft).await,
            _ if !in_store => Ok(Kept::Cookie),
            None => Box::pin(self.create(draft)).await.map(Kept::Row),
            Some(_) => match Box::pin(self.move_in(draft)).await? {
                Moved::Here(row) => Ok(Kept::Row(row)),
                Moved::Elsewhere => self.update(draft).await,
                Moved::Over(ending) => lost(ending),
            },
        }
    }

    pub(super) async fn create(&self, draft: &mut Draft) -> Result<RowRef, Error> {
        let expires = self.rows.rules.timeouts.end(draft.head.times);
        for _ in 0..TRIES {
            if let Some(row) = self.rows.create(draft, self.now, expires).await? {
                return Ok(row);
            }
            // not ours: another family
            draft.head.id = self.rows.rules.draw_id()?;
        }
        Err(contended())
    }

    /// Changes, renews or ends a session, if its serial is still the one that this request saw.
    pub(super) async fn update(&self, draft: &mut Draft) -> Result<Kept, Error> {
        let rules = self.rows.rules;
        for tries in 0..TRIES {
            self.pause(tries).await?;
            let Some(previous) = draft.previous else {
                return Ok(Kept::Emptied);
            };
            let stays = draft.outcome != Outcome::Emptied && self.rows.has_to_store(draft);
            let found = match previous.row {
                Some(row) if stays => match self.rows.save(draft, row, self.now).await? {
                    Replacing::Done(row) => {
                        let attempts = f64::from(tries + 1);
                        self.rows
                            .metrics()
                            .record(Metric::SaveAttempts, &[], attempts);
                        return Ok(Kept::Row(row));
                    }
                    Replacing::Conflict(found) => Box::pin(self.rows.end_of(*found)).await?,
                },
                // it leaves the store, or it is empty
                _ => {
                    let tombstone = Tombstone::new(Ending::Moved, self.now, None);
                    match Box::pin(self.rows.try_end(previous, tombstone)).await? {
                        Some(found) => found,
                        None if draft.outcome == Outcome::Emptied => {
                            self.rows.tell_ended(previous.head.id, EndReason::Emptied);
                            return Ok(Kept::Emptied);
                        }
                        None => {
                            draft.head.id = rules.draw_id()?;
                            return Ok(Kept::Cookie);
                        }
                    }
                }
            };
            if let Some(kept) = self.go_on(draft, previous, found)? {
                return Ok(kept);
            }
        }
        Err(contended())
    }

    /// Lets a draft continue what another request saved, if the session still has its serial.
    /// Otherwise, returns what happens to the draft.
    pub(super) fn go_on(
        &self,
        draft: &mut Draft,
        previous: Previous,
        found: Found,
    ) -> Result<Option<Kept>, Error> {
        let serial = previous.head.id.serial();
        match found {
            Found::Live(record, row) if record.head.id.serial() == serial => {
                let stayed = record.head.family() == previous.head.family();
                let ticket = stayed && previous.row.is_some_and(|row| row.ticket);
                draft.rebase(self.rows.rules, self.now, &record, RowRef { ticket, ..row })?;
                Ok(None)
            }
            Found::Live(..) => Err(ErrorKind::Ended.into()),
            Found::Ended(over) => lost(Some(over.ending)).map(Some),
            Found::Unreadable(_) => Err(unreadable()),
            // stores delete expired rows
            _ if previous.row.is_some_and(|row| row.expires <= self.now) => {
                Ok(Some(Kept::Dropped(DropReason::Expired)))
            }
            Found::Moved(_) | Found::Absent => lost(None).map(Some),
        }
    }
}

/// What happens to a draft whose session another request ended. `None`: nobody knows how.
fn lost(ending: Option<Ending>) -> Result<Kept, Error> {
    match ending {
        Some(Ending::LoggedOut) => Ok(Kept::Dropped(DropReason::Ended)),
        Some(Ending::LoggedIn | Ending::Moved) | None => Err(ErrorKind::Ended.into()),
    }
}
