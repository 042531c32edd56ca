//! Moving sessions from their cookies to the store, and what all moves have in common.

use super::{
    commit::{Saved, StoreCommit, TRIES},
    content::Ending,
    errors::{contended, is_silence, unreadable},
    found::Found,
    rows::{Guard, Replacing, Rows},
    storage::Mode,
};
use crate::{
    clock::Millis,
    error::{Error, ErrorKind},
    event::Event,
    id::Family,
    record::Head,
    revocation::Why,
    session::{Change, Draft, Previous, RowRef},
};

/// How long a row lives that no pointer names yet.
const UNNAMED: Millis = 60_000;

/// Where a session is that was to be moved to the store.
pub(super) enum Moved {
    /// In a row that this request created.
    Here(RowRef),
    /// Another request moved it first. The draft continues that row.
    Elsewhere,
    /// Another request ended it.
    Over(Option<Ending>),
}

/// A row that a session is moving to. It lives for a minute, until a pointer names it.
pub(super) struct Unnamed<'a> {
    rows: Rows<'a>,
    pub(super) family: Family,
    row: RowRef,
    /// The end of the session.
    end: Millis,
    may_be_named: bool,
}

impl StoreCommit<'_> {
    /// Moves a session from its cookie to the store: creates a row of a new family, then a pointer
    /// under the cookie's family.
    pub(super) async fn move_in(&self, draft: &mut Draft) -> Result<Moved, Error> {
        let rules = self.rows.rules;
        let cookie = draft.previous.expect("a session that moves came in").head;
        let cookie_serial = cookie.id.serial();
        if self.rows.storage.mode != Mode::Store
            && let Some(flight) = self.state.flight()
            && let Some(ended) = rules.ended.renew(cookie.family(), cookie_serial, flight)
        {
            // as without a store
            return Ok(Moved::Over(match ended.why {
                Why::LoggedOut => Some(Ending::LoggedOut),
                Why::Renewed | Why::LoggedIn(_) => None,
            }));
        }
        let unnamed = self.create_unnamed(draft).await?;
        let named = self.rows.guard(cookie, Guard::Moved(unnamed.family)).await;
        if let Ok(true) = named {
            let row = self.make_permanent(draft, unnamed).await?;
            if self.rows.storage.mode == Mode::Store {
                Event::MovedToStore(draft.head.id).emit(self.rows.metrics());
            }
            return Ok(Moved::Here(row));
        }
        match named.as_ref().is_err_and(is_silence) {
            // the pointer may be there, so the row has to stay
            true => drop(self.make_permanent(draft, unnamed).await),
            false => unnamed.discard().await,
        }
        named?;
        match self.rows.follow(cookie.family()).await? {
            Found::Live(record, row) if record.head.id.serial() == cookie_serial => {
                let ticket = false;
                draft.rebase(rules, self.now, &record, RowRef { ticket, ..row })?;
                Ok(Moved::Elsewhere)
            }
            Found::Ended(over) => Ok(Moved::Over(Some(over.ending))),
            Found::Unreadable(_) => Err(unreadable()),
            Found::Live(..) | Found::Moved(_) | Found::Absent => Ok(Moved::Over(None)),
        }
    }

    /// Creates the row that a session is to move to. The draft gets its family.
    pub(super) async fn create_unnamed(&self, draft: &mut Draft) -> Result<Unnamed<'_>, Error> {
        let rules = self.rows.rules;
        let serial = draft.head.id.serial();
        let end = rules.timeouts.end(draft.head.times);
        let expires = end.min(self.now.saturating_add(UNNAMED));
        for _ in 0..TRIES {
            draft.head.id = rules.draw_id()?.with_serial(serial);
            if let Some(row) = self.rows.create(draft, self.now, expires).await? {
                return Ok(Unnamed {
                    rows: self.rows,
                    family: draft.head.family(),
                    row,
                    end,
                    may_be_named: true,
                });
            }
        }
        Err(contended())
    }

    /// Lets a row that a pointer names now live for as long as its session.
    pub(super) async fn make_permanent(
        &self,
        draft: &Draft,
        mut unnamed: Unnamed<'_>,
    ) -> Result<RowRef, Error> {
        let Unnamed {
            family, row, end, ..
        } = unnamed;
        let touched = self.rows.touch(family, row, end).await;
        unnamed.may_be_named = false;
        if touched? {
            return Ok(RowRef {
                expires: end,
                ..row
            });
        }
        // another request has changed the row since, or ended it, or moved it
        match self.rows.follow(family).await? {
            // the old version stays, so that a later save of this request sees the conflict
            Found::Live(record, _) if record.head.id.serial() == draft.head.id.serial() => Ok(row),
            _ => Err(ErrorKind::Ended.into()),
        }
    }

    /// Moves an unchanged session from its cookie or from the old store to the store. If that
    /// fails, the next request tries again.
    pub(super) async fn move_unchanged(&self, head: Head) -> Result<Saved, Error> {
        let mut draft = Draft::new(self.state, self.rows.rules, self.now)?;
        if self.state.is_passive() {
            draft.head.times = head.times;
        }
        let moved = match draft.previous {
            Some(Previous { row: Some(_), .. }) => match self.try_adopt(&mut draft).await {
                Ok(Replacing::Done(row)) => Some(row),
                _ => None,
            },
            Some(_) => match self.move_in(&mut draft).await {
                Ok(Moved::Here(row)) => Some(row),
                _ => None,
            },
            None => self.create(&mut draft).await.ok(),
        };
        let Some(row) = moved else {
            return Ok(Saved::Same);
        };
        let head = draft.head;
        draft.note_saved(self.state, Some(row), None);
        Ok(Saved::Ticket(head, Change::Content))
    }
}

impl Unnamed<'_> {
    /// Deletes the row, since another request moved the session or ended it.
    pub(super) async fn discard(mut self) {
        self.may_be_named = false;
        self.rows.discard(self.family).await;
    }
}

/// If the request is dropped, a pointer may name the row by then. So the row has to stay.
impl Drop for Unnamed<'_> {
    fn drop(&mut self) {
        if self.may_be_named {
            self.rows.touch_later(self.family, self.row, self.end);
        }
    }
}
