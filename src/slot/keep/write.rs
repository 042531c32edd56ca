use super::{Keeping, Kept, TRIES, contended, fail, unreadable};
use crate::{
    ended,
    error::{Error, ErrorKind},
    record::{Head, SessionId},
    session::{Before, Change, Draft, Held, Outcome},
    slot::{
        rows::{Found, Turned},
        storage::Mode,
    },
    store::StoreError,
};

/// What became of the session that the request bore.
enum Old {
    /// It has ended, by this request.
    Ended,
    /// Another request changed it.
    Changed,
    /// Another request ended it, and it may have gone on under that head.
    Lost(Option<Head>),
}

impl Keeping<'_> {
    /// Keeps a draft, or ends what it replaces if nothing is left.
    pub(super) async fn write(&self, draft: &mut Draft) -> Result<Kept, Error> {
        let fresh = self.state.ended().filter(|ended| ended.fresh);
        if fresh.is_some() && draft.outcome != Outcome::Write(Change::LoggedIn) {
            return Ok(Kept::Dropped);
        }
        let turn = match draft.before {
            Some(before) => Some(self.rows.wait(before.head.id).await?),
            None => None,
        };
        if self.now >= self.slot.settings.rules.timeouts.end(draft.head.times) {
            return Err(ErrorKind::Expired.into());
        }
        let mut made = None;
        let kept = self.write_in_turn(draft, &mut made).await;
        let failed = kept.as_ref().err().and_then(Error::store_error);
        if let Some(made) = made
            && !(matches!(kept, Ok(Kept::Row(_))) && made == draft.head.id)
            // else the old session may have ended all the same, and this one go on, though nobody was told of it
            && !failed.is_some_and(StoreError::is_silence)
        {
            self.rows.forget(made).await;
        }
        if let (Err(error), Some(turn)) = (&kept, turn) {
            fail(&turn, error);
        }
        kept
    }

    /// `made` is the id of a row that this request made, and that has to go if the draft is not kept.
    async fn write_in_turn(
        &self,
        draft: &mut Draft,
        made: &mut Option<SessionId>,
    ) -> Result<Kept, Error> {
        let rules = &self.slot.settings.rules;
        let mut row = None;
        for tries in 0..TRIES {
            self.pause(tries).await?;
            if draft.outcome == (Outcome::Remove { logged_out: false }) {
                let Some(before) = draft.before else {
                    return Ok(Kept::Ended);
                };
                match self.end(draft, before.head).await? {
                    Old::Ended => return Ok(Kept::Ended),
                    Old::Changed => continue,
                    Old::Lost(_) => return Ok(Kept::Dropped),
                }
            }
            let in_store = row.is_some() || self.belongs_in_store(draft);
            if let Some(before) = draft.before
                && before.head.id == draft.head.id
            {
                match (in_store, before.held) {
                    (true, Some(held)) => match self.rows.save(draft, held.version).await? {
                        Turned::Done(version) => {
                            return Ok(Kept::Row(self.held(draft, version, held.ticket)));
                        }
                        Turned::Met(Found::Live(record, now_held)) => {
                            let ticket = held.ticket;
                            let held = Held { ticket, ..now_held };
                            draft.rebase(rules, self.now, &record, held)?;
                            continue;
                        }
                        Turned::Met(Found::Unreadable) => return Err(unreadable()),
                        Turned::Met(Found::Ended(_) | Found::Moved(_)) | Turned::Gone => {
                            return Ok(Kept::Dropped);
                        }
                    },
                    // between cookie and store it goes under a new id
                    (true, None) | (false, Some(_)) => draft.head.id = rules.draw_id()?,
                    (false, None) => return Ok(Kept::Cookie),
                }
            }
            if in_store {
                row = Some(match row {
                    None => {
                        let Some(version) = self.rows.create(draft).await? else {
                            draft.head.id = rules.draw_id()?;
                            continue;
                        };
                        *made = Some(draft.head.id);
                        version
                    }
                    Some(version) => match self.rows.save(draft, version).await? {
                        Turned::Done(version) => version,
                        // all sessions of its owner were ended meanwhile
                        _ => return Ok(Kept::Dropped),
                    },
                });
            }
            let old = match draft.before {
                None => Old::Ended,
                Some(_) => self.end(draft, draft.head).await?,
            };
            match (old, row) {
                (Old::Changed, _) => {}
                (Old::Ended, Some(version)) => {
                    return Ok(Kept::Row(self.held(draft, version, false)));
                }
                (Old::Ended, None) => return Ok(Kept::Cookie),
                (Old::Lost(next), _) if draft.outcome == Outcome::Write(Change::LoggedIn) => {
                    // what was renewed meanwhile ends with what it was; another login is a session of its own
                    if let (Some(next), Some(Before { head, .. })) = (next, draft.before)
                        && next.id != head.id
                        && next.times.created == head.times.created
                    {
                        self.end_line(Before::of(next)).await?;
                    }
                    draft.orphan(rules)?;
                }
                (Old::Lost(_), _) => return Ok(Kept::Dropped),
            }
        }
        Err(contended())
    }

    /// Ends what a draft replaces, which goes on under `successor`. If another request changed it, the draft is made again on
    /// that.
    async fn end(&self, draft: &mut Draft, successor: Head) -> Result<Old, Error> {
        let rules = &self.slot.settings.rules;
        let Some(Before { head, held }) = draft.before else {
            return Ok(Old::Ended);
        };
        let (found, ticket) = match held {
            Some(held) => {
                let ending = self.rows.end(head.id, held.version, successor, self.now);
                let turned = match ending.await {
                    Ok(turned) => turned,
                    // it may be done all the same, and the answer be lost
                    Err(error) if error.store_error().is_some_and(StoreError::is_lost) => {
                        match self.find(head.id).await {
                            Ok(Some(found)) => Turned::Met(found),
                            Ok(None) | Err(_) => return Err(error),
                        }
                    }
                    Err(error) => return Err(error),
                };
                match turned {
                    Turned::Done(_) => return Ok(Old::Ended),
                    Turned::Met(Found::Ended(next)) if next.id == successor.id => {
                        return Ok(Old::Ended);
                    }
                    Turned::Met(found) => (found, held.ticket),
                    Turned::Gone => return Ok(Old::Lost(None)),
                }
            }
            None if self.rows.storage.mode != Mode::Store => {
                // as where no store is
                let first = ended::end(head.id);
                return Ok(
                    match first || draft.outcome == Outcome::Write(Change::LoggedIn) {
                        true => Old::Ended,
                        false => Old::Lost(None),
                    },
                );
            }
            None => {
                let moves = draft.moves();
                if self.rows.leave(head, successor, moves, self.now).await? {
                    return Ok(Old::Ended);
                }
                match self.find(head.id).await? {
                    Some(Found::Moved(there)) => match self.find(there.id).await? {
                        Some(Found::Live(record, held)) => {
                            // another request moved it first: this one goes on there
                            let held = Held {
                                ticket: false,
                                ..held
                            };
                            draft.rebase(rules, self.now, &record, held)?;
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
            Found::Live(record, held) => {
                let held = Held { ticket, ..held };
                draft.rebase(rules, self.now, &record, held)?;
                Ok(Old::Changed)
            }
            Found::Ended(next) | Found::Moved(next) => Ok(Old::Lost(Some(next))),
            Found::Unreadable => Err(unreadable()),
        }
    }

    /// Whether a draft is to be kept in the store, rather than in its cookie.
    pub(super) fn belongs_in_store(&self, draft: &Draft) -> bool {
        match self.rows.storage.mode {
            Mode::Store => true,
            Mode::ReadFrom => false,
            Mode::Overflow => {
                let there = draft.before.is_some_and(|before| before.held.is_some());
                !self
                    .slot
                    .settings
                    .fits(draft.cookie_len(self.slot.settings.name_len()), there)
            }
        }
    }

    pub(super) fn held(&self, draft: &Draft, version: u64, ticket: bool) -> Held {
        Held {
            version,
            expires: self.slot.settings.rules.timeouts.end(draft.head.times),
            ticket,
        }
    }
}
