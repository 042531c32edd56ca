//! Saving a draft.

use super::{
    commit::{Kept, StoreCommit, TRIES, contended, fail, unreadable},
    rows::{Found, Replaced},
    storage::Mode,
};
use crate::{
    error::{Error, ErrorKind},
    record::{Head, SessionId},
    session::{Change, Draft, Outcome, Previous, RowRef},
    store::StoreError,
};

/// What happened to the previous session.
enum Old {
    /// This request ended it.
    Ended,
    /// Another request changed it.
    Changed,
    /// Another request ended it. It may continue under that head.
    Lost(Option<Head>),
}

impl StoreCommit<'_> {
    /// Saves a draft. If the draft is empty, ends the previous session.
    pub(super) async fn write(&self, draft: &mut Draft) -> Result<Kept, Error> {
        let fresh = self.state.tombstone().filter(|ended| ended.fresh);
        if fresh.is_some() && draft.outcome != Outcome::Write(Change::LoggedIn) {
            return Ok(Kept::Dropped);
        }
        let turn = match draft.previous {
            Some(previous) => Some(self.rows.turn(previous.head.id).await?),
            None => None,
        };
        if self.now >= self.rows.rules.timeouts.end(draft.head.times) {
            return Err(ErrorKind::Expired.into());
        }
        let mut made = None;
        let kept = self.write_in_turn(draft, &mut made).await;
        let failed = kept.as_ref().err().and_then(Error::as_store_error);
        if let Some(made) = made
            && !(matches!(kept, Ok(Kept::Row(_))) && made == draft.head.id)
            // without an answer, the old session may have ended, so the new row has to stay
            && !failed.is_some_and(StoreError::is_silence)
        {
            self.rows.discard(made).await;
        }
        if let (Err(error), Some(turn)) = (&kept, turn) {
            fail(&turn, error);
        }
        kept
    }

    /// Sets `made` to the id of a row that it creates. The row has to be deleted if the draft is
    /// not saved there.
    async fn write_in_turn(
        &self,
        draft: &mut Draft,
        made: &mut Option<SessionId>,
    ) -> Result<Kept, Error> {
        let rules = self.rows.rules;
        let mut version = None;
        for tries in 0..TRIES {
            self.pause(tries).await?;
            if draft.outcome == Outcome::EMPTIED {
                let Some(previous) = draft.previous else {
                    return Ok(Kept::Emptied);
                };
                match self.end(draft, previous.head).await? {
                    Old::Ended => return Ok(Kept::Emptied),
                    Old::Changed => continue,
                    Old::Lost(_) => return Ok(Kept::Dropped),
                }
            }
            let in_store = version.is_some() || self.rows.has_to_store(draft);
            if let Some(previous) = draft.previous
                && previous.head.id == draft.head.id
            {
                match (in_store, previous.row) {
                    (true, Some(row)) => match self.rows.save(draft, row.version).await? {
                        Replaced::Done(version) => {
                            return Ok(Kept::Row(self.row_ref(draft, version, row.ticket)));
                        }
                        Replaced::Conflict(Found::Live(record, now_row)) => {
                            let ticket = row.ticket;
                            let row = RowRef { ticket, ..now_row };
                            draft.rebase(rules, self.now, &record, row)?;
                            continue;
                        }
                        Replaced::Conflict(Found::Unreadable) => return Err(unreadable()),
                        Replaced::Conflict(Found::Ended(_) | Found::Moved(_)) | Replaced::Gone => {
                            return Ok(Kept::Dropped);
                        }
                    },
                    // a session that moves between cookie and store gets a new id
                    (true, None) | (false, Some(_)) => draft.head.id = rules.draw_id()?,
                    (false, None) => return Ok(Kept::Cookie),
                }
            }
            if in_store {
                version = Some(match version {
                    None => {
                        let Some(version) = self.rows.create(draft).await? else {
                            draft.head.id = rules.draw_id()?;
                            continue;
                        };
                        *made = Some(draft.head.id);
                        version
                    }
                    Some(version) => match self.rows.save(draft, version).await? {
                        Replaced::Done(version) => version,
                        // `delete_owner` has ended it
                        _ => return Ok(Kept::Dropped),
                    },
                });
            }
            let old = match draft.previous {
                None => Old::Ended,
                Some(_) => self.end(draft, draft.head).await?,
            };
            match (old, version) {
                (Old::Changed, _) => {}
                (Old::Ended, Some(version)) => {
                    return Ok(Kept::Row(self.row_ref(draft, version, false)));
                }
                (Old::Ended, None) => return Ok(Kept::Cookie),
                (Old::Lost(next), _) if draft.outcome == Outcome::Write(Change::LoggedIn) => {
                    // a renewal of the old session ends with it; another login is a session of its
                    // own
                    if let (Some(next), Some(Previous { head, .. })) = (next, draft.previous)
                        && next.id != head.id
                        && next.times.created == head.times.created
                    {
                        self.end_all(Previous::from_head(next)).await?;
                    }
                    draft.orphan(rules)?;
                }
                (Old::Lost(_), _) => return Ok(Kept::Dropped),
            }
        }
        Err(contended())
    }

    /// Ends the previous session, which `successor` continues. If another request changed it, the
    /// draft is made again on that.
    async fn end(&self, draft: &mut Draft, successor: Head) -> Result<Old, Error> {
        let rules = self.rows.rules;
        let Some(Previous { head, row }) = draft.previous else {
            return Ok(Old::Ended);
        };
        let (found, ticket) = match row {
            Some(row) => {
                let ending = self.rows.end(head.id, row.version, successor, self.now);
                let replaced = match ending.await {
                    Ok(replaced) => replaced,
                    // it may have ended although the answer was lost
                    Err(error) if error.as_store_error().is_some_and(StoreError::is_lost) => {
                        match self.rows.find(head.id).await {
                            Ok(Some(found)) => Replaced::Conflict(found),
                            Ok(None) | Err(_) => return Err(error),
                        }
                    }
                    Err(error) => return Err(error),
                };
                match replaced {
                    Replaced::Done(_) => return Ok(Old::Ended),
                    Replaced::Conflict(Found::Ended(next)) if next.id == successor.id => {
                        return Ok(Old::Ended);
                    }
                    Replaced::Conflict(found) => (found, row.ticket),
                    Replaced::Gone => return Ok(Old::Lost(None)),
                }
            }
            None if self.rows.storage.mode != Mode::Store => {
                // as without a store
                let first = rules.ended.end(head.id);
                let login = draft.outcome == Outcome::Write(Change::LoggedIn);
                return Ok(match first || login {
                    true => Old::Ended,
                    false => Old::Lost(None),
                });
            }
            None => {
                let moves = draft.moves();
                if self
                    .rows
                    .insert_pointer(head, successor, moves, self.now)
                    .await?
                {
                    return Ok(Old::Ended);
                }
                match self.rows.find(head.id).await? {
                    Some(Found::Moved(there)) => match self.rows.find(there.id).await? {
                        Some(Found::Live(record, row)) => {
                            // another request moved it first: continue there
                            let ticket = false;
                            let row = RowRef { ticket, ..row };
                            draft.rebase(rules, self.now, &record, row)?;
                            draft.follow(there.id, moves);
                            return Ok(Old::Changed);
                        }
                        Some(Found::Unreadable) => return Err(unreadable()),
                        Some(Found::Ended(next)) => return Ok(Old::Lost(Some(next))),
                        _ => return Ok(Old::Lost(None)),
                    },
                    Some(found) => (found, false),
                    None => return Ok(Old::Changed),
                }
            }
        };
        match found {
            Found::Live(record, row) => {
                let row = RowRef { ticket, ..row };
                draft.rebase(rules, self.now, &record, row)?;
                Ok(Old::Changed)
            }
            Found::Ended(next) | Found::Moved(next) => Ok(Old::Lost(Some(next))),
            Found::Unreadable => Err(unreadable()),
        }
    }

    pub(super) fn row_ref(&self, draft: &Draft, version: u64, ticket: bool) -> RowRef {
        RowRef {
            version,
            expires: self.rows.rules.timeouts.end(draft.head.times),
            ticket,
        }
    }
}
