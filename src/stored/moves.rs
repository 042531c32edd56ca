//! Moving sessions from their cookies to the store.

use super::{
    commit::{Saved, StoreCommit, TRIES, contended, is_silence, unreadable},
    content::Ending,
    found::Found,
    rows::Guard,
    storage::Mode,
};
use crate::{
    clock::Millis,
    error::{Error, ErrorKind},
    record::Head,
    revocation::Why,
    session::{Change, Draft, RowRef},
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

impl StoreCommit<'_> {
    /// Moves a session from its cookie to the store: creates a row of a new family, then a pointer
    /// under the cookie's family.
    pub(super) async fn move_in(&self, draft: &mut Draft) -> Result<Moved, Error> {
        let rules = self.rows.rules;
        let cookie = draft.previous.expect("a session that moves came in").head;
        let (serial, cookie_serial) = (draft.head.id.serial(), cookie.id.serial());
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
        for _ in 0..TRIES {
            draft.head.id = rules.draw_id()?.with_serial(serial);
            let expires = rules.timeouts.end(draft.head.times);
            let expires = expires.min(self.now.saturating_add(UNNAMED));
            let Some(row) = self.rows.create(draft, self.now, expires).await? else {
                continue;
            };
            let family = draft.head.family();
            let named = self.rows.guard(cookie, Guard::Moved(family)).await;
            if let Ok(true) = named {
                return self.make_permanent(draft, row).await.map(Moved::Here);
            }
            match named.as_ref().is_err_and(is_silence) {
                // the pointer may be there, so the row has to stay
                true => drop(self.make_permanent(draft, row).await),
                false => self.rows.discard(family).await,
            }
            named?;
            return match self.rows.follow(cookie.family()).await? {
                Found::Live(record, row) if record.head.id.serial() == cookie_serial => {
                    let ticket = false;
                    draft.rebase(rules, self.now, &record, RowRef { ticket, ..row })?;
                    Ok(Moved::Elsewhere)
                }
                Found::Ended(over) => Ok(Moved::Over(Some(over.ending))),
                Found::Unreadable(_) => Err(unreadable()),
                Found::Live(..) | Found::Moved(_) | Found::Absent => Ok(Moved::Over(None)),
            };
        }
        Err(contended())
    }

    /// Lets a row that a pointer names now live for as long as its session.
    async fn make_permanent(&self, draft: &Draft, row: RowRef) -> Result<RowRef, Error> {
        let family = draft.head.family();
        let expires = self.rows.rules.timeouts.end(draft.head.times);
        if self.rows.touch(family, row, expires).await? {
            return Ok(RowRef { expires, ..row });
        }
        // another request has changed the row since, or ended it
        match self.rows.find(family).await? {
            // the old version stays, so that a later save of this request sees the conflict
            Found::Live(record, _) if record.head.id == draft.head.id => Ok(row),
            _ => Err(ErrorKind::Ended.into()),
        }
    }

    /// Moves an unchanged session from its cookie to the store. If that fails, the next request
    /// tries again.
    pub(super) async fn move_unchanged(&self, head: Head) -> Result<Saved, Error> {
        let mut draft = Draft::new(self.state, self.rows.rules, self.now)?;
        if self.state.is_passive() {
            draft.head.times = head.times;
        }
        let row = match draft.previous {
            Some(_) => self.move_in(&mut draft).await,
            None => self.create(&mut draft).await.map(Moved::Here),
        };
        let Ok(Moved::Here(row)) = row else {
            return Ok(Saved::Same);
        };
        let head = draft.head;
        draft.note_saved(self.state, Some(row), None);
        Ok(Saved::Ticket(head, Change::Content))
    }
}
