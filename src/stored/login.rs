//! Logging in: a new family continues the old session, and ends it.

use super::{
    commit::{Kept, StoreCommit, TRIES},
    content::{Ending, Tombstone},
    end::CONFLICTS,
    errors::{contended, is_silence, unreadable},
    found::Found,
    rows::Replacing,
    storage::Mode,
};
use crate::{
    error::{Error, ErrorKind},
    event::EndReason,
    record::Record,
    session::{Draft, Fate, RowRef},
};

/// The number of logins that a login follows from a session that ended long ago.
const FOLLOWED: usize = 4;

impl StoreCommit<'_> {
    /// Begins the family of a login, then ends the old session, whatever serial it has by then.
    pub(super) async fn log_in(&self, draft: &mut Draft) -> Result<Kept, Error> {
        if let Some(stale) = self.state.stale()
            && draft.previous.is_none()
            && stale.in_store
        {
            if stale.changes == Fate::Refused {
                Box::pin(self.log_out_stale(stale)).await?;
            } else {
                match self.rows.follow(stale.family).await? {
                    Found::Unreadable(family) => self.rows.delete_unreadable(family).await?,
                    found => self.take_over(draft, found).await?,
                }
            }
        }
        let mut made = None;
        let kept = self.replace_by_login(draft, &mut made).await;
        if made.is_some() && kept.as_ref().is_err_and(|error| !is_silence(error)) {
            self.rows.discard(draft.head.family()).await;
        }
        kept
    }

    /// `made` is the row of the login.
    async fn replace_by_login(
        &self,
        draft: &mut Draft,
        made: &mut Option<RowRef>,
    ) -> Result<Kept, Error> {
        let rules = self.rows.rules;
        let tombstone =
            |draft: &Draft| Tombstone::new(Ending::LoggedIn, self.now, Some(draft.head.family()));
        let mut conflicts = 0;
        for tries in 0..TRIES {
            self.pause(tries).await?;
            if made.is_some() || self.rows.has_to_store(draft) {
                *made = Some(match *made {
                    None => self.create(draft).await?,
                    Some(row) => match self.rows.save(draft, row, self.now).await? {
                        Replacing::Done(row) => row,
                        // `delete_owner` has ended it
                        _ => return Err(ErrorKind::Ended.into()),
                    },
                });
            }
            let kept = made.map_or(Kept::Cookie, Kept::Row);
            let Some(previous) = draft.previous else {
                return Ok(kept);
            };
            if previous.row.is_none() && self.rows.storage.mode != Mode::Store {
                // as without a store
                let login = self.state.end_by_login(rules);
                let before = rules.ended.end(previous.head.family(), login);
                if before.is_none() {
                    self.rows.tell_ended(previous.head.id, EndReason::Login);
                }
                if before.is_none_or(|before| before == login) {
                    return Ok(kept);
                }
                draft.orphan(rules)?;
                continue;
            }
            if conflicts >= CONFLICTS && previous.row.is_some() && self.rows.may_delete() {
                self.rows.delete(previous.head, EndReason::Login).await?;
                return Ok(kept);
            }
            let found = match self.rows.try_end(previous, tombstone(draft)).await {
                // no space for a tombstone
                Err(error) if error.is_full() && previous.row.is_some() => {
                    self.rows.delete(previous.head, EndReason::Login).await?;
                    return Ok(kept);
                }
                found => found?,
            };
            match found {
                None => {
                    self.rows.tell_ended(previous.head.id, EndReason::Login);
                    return Ok(kept);
                }
                Some(Found::Live(record, row)) => {
                    conflicts += 1;
                    draft.rebase(rules, self.now, &record, row)?;
                }
                Some(Found::Unreadable(family)) if previous.is_guarded_by(family) => {
                    return Err(unreadable());
                }
                Some(found) => {
                    if let Found::Unreadable(family) = found {
                        self.rows.delete_unreadable(family).await?;
                    }
                    draft.orphan(rules)?;
                    self.take_over(draft, found).await?;
                }
            }
            // the row of the login is saved again, with other entries
        }
        Err(contended())
    }

    /// Lets a login continue the session that a login of the same owner began, if that one ended
    /// the session of this request, or that has another serial now.
    async fn take_over(&self, draft: &mut Draft, mut found: Found) -> Result<(), Error> {
        for _ in 0..FOLLOWED {
            match found {
                Found::Live(record, row) if is_of(&record, draft) => {
                    return draft.rebase(self.rows.rules, self.now, &record, row);
                }
                Found::Ended(Tombstone {
                    ending: Ending::LoggedIn,
                    next: Some(next),
                    ..
                }) => found = self.rows.follow(next).await?,
                _ => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Whether the owner of a session is the one who logs in.
fn is_of(record: &Record, draft: &Draft) -> bool {
    record.owner().is_some() && record.owner() == draft.owner.as_deref()
}
