//! The second door where a store has to be told: what the request changed is made in the store before the response goes.
//!
//! An id is in one place at a time. Under one id a row is replaced at the version that this request saw, and no other; where
//! another request came first, the changes are made again on what it wrote. Under a new id (login, renewal, a move between
//! cookie and store) the new session is made first, then the old row becomes a tombstone that names it. Nothing here
//! makes a session of a row that has ended.

mod alive;
mod logout;
mod write;

use std::{pin::Pin, sync::Arc};

use http::{HeaderMap, HeaderValue, header::SET_COOKIE};
use tokio::time::Instant;

use super::{
    Sent, Slot,
    rows::{Found, Rows},
    storage::Mode,
};
use crate::{
    clock::Millis,
    cookie::cache::Exposure,
    error::{Error, ErrorKind},
    event::{Drop, Event},
    key::Age,
    record::{Head, SessionId},
    session::{Base, Change, Draft, Held, Home as _, Outcome, State},
    store::{StoreError, StoreErrorKind, Turn},
};

/// So often are changes made again on what others wrote meanwhile.
const TRIES: u32 = 64;

/// Where a draft was kept.
enum Kept {
    Row(Held),
    /// In the cookie, which is yet to be set.
    Cookie,
    /// Nowhere: the session was ended meanwhile.
    Dropped,
    /// Nowhere: nothing is left of it.
    Ended,
}

impl Sent {
    fn nothing() -> Self {
        Self::with(Exposure::Opened, Vec::new())
    }

    fn with(exposure: Exposure, lines: Vec<HeaderValue>) -> Self {
        Self {
            exposure,
            lines,
            error: None,
        }
    }
}

/// One request's commit.
pub(super) struct Keeping<'a> {
    slot: &'a Slot,
    rows: Rows<'a>,
    state: &'a State,
    now: Millis,
    /// Caches are invited to keep the response.
    public: bool,
    deadline: Instant,
}

impl Slot {
    /// Whether the browser's cookie is to be replaced by a ticket, or by one of the current key.
    fn wants_ticket(&self, base: &Base, held: Held) -> bool {
        !held.ticket || base.age == Age::Fallback
    }

    /// Whether the response has to wait for the store.
    pub(super) fn waits(&self, state: &State, outcome: Outcome, public: bool) -> bool {
        let Some(rows) = self.settings.rows() else {
            return false;
        };
        let before = state.borne();
        let held = before.and_then(|before| before.held);
        let mode = rows.storage.mode;
        match outcome {
            Outcome::Keep => match (state.base(), state.opened(), held) {
                (Some(base), Some(opened), Some(held)) => {
                    state.refresh_due(&self.settings.rules, opened)
                        || (self.wants_ticket(base, held) && !public)
                }
                (Some(base), _, None) => mode == Mode::Store && !base.is_vacant() && !public,
                _ => false,
            },
            Outcome::Remove { logged_out: true } => {
                !state.is_told() && (before.is_some() || state.ended().is_some())
            }
            Outcome::Remove { logged_out: false } => held.is_some() || mode == Mode::Store,
            Outcome::Write(_) => {
                let fits = || {
                    self.settings
                        .fits(state.cookie_len(self.settings.name_len()), false)
                };
                mode == Mode::Store
                    || held.is_some()
                    || state.ended().is_some()
                    || (mode == Mode::Overflow && !fits())
            }
        }
    }

    /// Tells the store, and what goes out.
    pub(super) fn tell_store(
        self: Arc<Self>,
        outcome: Outcome,
        public: bool,
    ) -> Pin<Box<dyn Future<Output = Sent> + Send>> {
        Box::pin(async move {
            let state = self.state();
            let told = self.keep(state, public).await;
            told.unwrap_or_else(|error| {
                state.lose();
                let mut lines = Vec::new();
                if let Outcome::Remove { logged_out: true } = outcome {
                    Event::LogoutIncomplete.emit();
                    lines.extend(self.removals(state).into_iter().flatten());
                } else if let (Some(change), Some(before), Some(now)) =
                    (state.owed(), state.borne(), self.settings.clock.now())
                {
                    // of what was kept before: the old one may have ended by it
                    let ticket = self.ticket(state, before.head, now, change.into());
                    lines.extend(ticket.into_iter().flat_map(|sent| sent.lines));
                }
                Sent {
                    error: Some(error),
                    ..Sent::with(Exposure::Login, lines)
                }
            })
        })
    }

    /// The store is told of one change of a request after the other. Who waits longer than any may take waits for himself.
    async fn alone(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, Error> {
        let rows = self.settings.rows().ok_or(ErrorKind::Unavailable)?;
        let patience = 2 * rows.storage.keeper.patience();
        let waited = tokio::time::timeout(patience, self.keeping.lock()).await;
        waited.map_err(|_| contended())
    }

    async fn keep(&self, state: &State, public: bool) -> Result<Sent, Error> {
        let _alone = self.alone().await?;
        let keeping = Keeping::new(self, state, public)?;
        // one that the handler made may have been under way
        let outcome = state.pending();
        if let Some(error) = state.failed()
            && outcome != (Outcome::Remove { logged_out: true })
        {
            // it may be done all the same: it is not made again
            return Err(error);
        }
        match outcome {
            Outcome::Keep => keeping.keep_alive().await,
            Outcome::Remove { logged_out: true } => {
                keeping.log_out().await?;
                Ok(keeping.removal(true))
            }
            Outcome::Write(_) | Outcome::Remove { .. } => {
                let mut draft = state.draft(&self.settings.rules, keeping.now)?;
                match keeping.write(&mut draft).await? {
                    Kept::Dropped => {
                        state.lose();
                        Event::Dropped(Drop::Ended).emit();
                        Ok(Sent::nothing())
                    }
                    Kept::Ended => Ok(keeping.removal(false)),
                    kept => keeping.send(draft, kept),
                }
            }
        }
    }

    /// The ticket that the response owes for what was kept before it, where nothing changed since.
    pub(super) fn carry(&self, state: &State, headers: &mut HeaderMap) -> Result<Exposure, Error> {
        let (Some(change), Some(before)) = (state.owed(), state.borne()) else {
            return Ok(Exposure::Opened);
        };
        let now = self.settings.clock.now().ok_or(ErrorKind::Clock)?;
        let sent = self.ticket(state, before.head, now, change.into())?;
        headers.extend(sent.lines.into_iter().map(|line| (SET_COOKIE, line)));
        Ok(sent.exposure)
    }

    fn ticket(
        &self,
        state: &State,
        head: Head,
        now: Millis,
        exposure: Exposure,
    ) -> Result<Sent, Error> {
        let line = self.settings.ticket(state, head, now)?;
        let beside = self.beside(state, head, now, false)?;
        let lines = [Some(line), beside].into_iter().flatten().collect();
        Ok(Sent::with(exposure, lines))
    }

    /// Tells the store before the response does, for a handler that has to know.
    pub(super) async fn keep_early(&self, state: &State) -> Result<(), Error> {
        let _alone = self.alone().await?;
        if let Some(error) = state.failed()
            && state.pending() != (Outcome::Remove { logged_out: true })
        {
            return Err(error);
        }
        let kept = self.keep_now(state).await;
        if let Err(error) = &kept
            && error.store_error().is_some_and(StoreError::is_silence)
        {
            state.fail(error.clone());
        }
        kept
    }

    async fn keep_now(&self, state: &State) -> Result<(), Error> {
        let outcome = state.pending();
        if !self.waits(state, outcome, false) {
            return Ok(());
        }
        let keeping = Keeping::new(self, state, false)?;
        match outcome {
            Outcome::Write(change) => {
                let mut draft = state.draft(&self.settings.rules, keeping.now)?;
                if !keeping.belongs_in_store(&draft) {
                    return Ok(());
                }
                match keeping.write(&mut draft).await? {
                    Kept::Row(held) => {
                        let owed = (!draft.stays() || !held.ticket).then_some(change);
                        keeping.tell(&draft);
                        state.keep(draft, Some(held), owed);
                        Ok(())
                    }
                    _ => {
                        state.lose();
                        Event::Dropped(Drop::Ended).emit();
                        Err(ErrorKind::Ended.into())
                    }
                }
            }
            Outcome::Remove { logged_out: true } => keeping.log_out().await,
            Outcome::Keep | Outcome::Remove { .. } => Ok(()),
        }
    }
}

impl<'a> Keeping<'a> {
    fn new(slot: &'a Slot, state: &'a State, public: bool) -> Result<Self, Error> {
        state.opened().ok_or(ErrorKind::Clock)?;
        let now = slot.settings.clock.now().ok_or(ErrorKind::Clock)?;
        let rows = slot.settings.rows().ok_or(ErrorKind::Unavailable)?;
        Ok(Self {
            slot,
            rows,
            state,
            now,
            public,
            deadline: Instant::now() + rows.storage.keeper.patience(),
        })
    }

    async fn find(&self, id: SessionId) -> Result<Option<Found>, Error> {
        self.rows.find(id).await.map_err(Error::store)
    }

    /// The cookie for a draft that was kept.
    fn send(&self, draft: Draft, kept: Kept) -> Result<Sent, Error> {
        let (state, settings) = (self.state, &self.slot.settings);
        let exposure = match (draft.outcome, state.owed()) {
            (Outcome::Write(Change::LoggedIn), _) | (_, Some(Change::LoggedIn)) => Exposure::Login,
            _ => Exposure::Cookie,
        };
        self.tell(&draft);
        let head = draft.head;
        match kept {
            Kept::Row(held) => {
                if self.rows.storage.mode == Mode::Overflow
                    && draft.before.is_none_or(|before| before.held.is_none())
                {
                    Event::Overflowed(head.id).emit();
                }
                let stays = draft.stays()
                    && state
                        .base()
                        .is_none_or(|base| !self.slot.wants_ticket(base, held));
                state.keep(draft, Some(held), None);
                match stays && state.owed().is_none() {
                    true => Ok(Sent::nothing()),
                    false => self.slot.ticket(state, head, self.now, exposure),
                }
            }
            _ => {
                state.keep(draft, None, None);
                let (head, line) = settings.set_cookie(state, self.now, self.now)?;
                let beside = self.slot.beside(state, head, self.now, false)?;
                let lines = [Some(line), beside].into_iter().flatten().collect();
                Ok(Sent::with(exposure, lines))
            }
        }
    }

    fn tell(&self, draft: &Draft) {
        let to = draft.head.id;
        match draft.before {
            Some(before) if before.head.id != to => Event::Renewed {
                from: before.head.id,
                to,
            }
            .emit(),
            Some(_) => Event::Changed(to).emit(),
            None => Event::Created(to).emit(),
        }
    }

    fn removal(&self, logged_out: bool) -> Sent {
        Event::Removed.emit();
        let exposure = match logged_out {
            true => Exposure::Login,
            false => Exposure::Cookie,
        };
        let lines = self.slot.removals(self.state).into_iter().flatten();
        Sent::with(exposure, lines.collect())
    }

    /// Before another try: a while that grows, by chance more or less, and no longer than the request may take.
    async fn pause(&self, tries: u32) -> Result<(), Error> {
        if tries < 2 {
            return Ok(());
        }
        if Instant::now() >= self.deadline {
            return Err(contended());
        }
        let mut random = [0; 8];
        crate::random::from_thread(&mut random)?;
        let most = 1000 << tries.min(5);
        let wait = u64::from_be_bytes(random) % most;
        tokio::time::sleep(std::time::Duration::from_micros(wait)).await;
        Ok(())
    }
}

impl From<Change> for Exposure {
    fn from(change: Change) -> Self {
        match change {
            Change::LoggedIn => Self::Login,
            _ => Self::Cookie,
        }
    }
}

/// Lets those who wait for the turn know that the store is silent.
fn fail(turn: &Turn, error: &Error) {
    let silence = error.store_error().filter(|error| error.is_silence());
    silence.into_iter().for_each(|error| turn.fail(error));
}

fn contended() -> Error {
    Error::store(StoreError::new(StoreErrorKind::Contended))
}

/// Another instance has a key that this one does not know: what it wrote is not to be overwritten.
fn unreadable() -> Error {
    let told = "another instance wrote this session under a secret that this one does not have: \
                add it to SESSION_SECRET_FALLBACKS first, everywhere";
    Error::store(StoreError::new(StoreErrorKind::Other).told(told))
}
