//! The second door where a store has to be told: what the request changed is made in the store before the response goes.
//!
//! An id is in one place at a time. Under one id a row is replaced at the version that this request saw, and no other; where
//! another request came first, the changes are made again on what it wrote. Under a new id (login, renewal, a move between
//! cookie and store) the new session is made first, then the old row becomes a tombstone that names it. Nothing here
//! makes a session of a row that has ended.

use std::{pin::Pin, sync::Arc};

use http::{HeaderMap, HeaderValue, header::SET_COOKIE};
use tokio::time::Instant;

use super::{
    Sent, Slot,
    rows::{Found, Mode, Rows, Turned},
};
use crate::{
    clock::Millis,
    cookie::cache::Exposure,
    ended,
    error::{Error, ErrorKind},
    event::{Drop, Event},
    key::Age,
    record::{Head, SessionId},
    session::{Base, Before, Change, Draft, Held, Home as _, Outcome, State},
    store::{StoreError, StoreErrorKind},
};

/// So often are changes made again on what others wrote meanwhile.
const TRIES: u32 = 64;

/// How long a line of successors may be.
const LINE: usize = 16;

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

/// What became of the session that the request bore.
enum Old {
    /// It has ended, by this request.
    Ended,
    /// Another request changed it.
    Changed,
    /// Another request ended it.
    Lost,
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
                }
                Sent {
                    error: Some(error),
                    ..Sent::with(Exposure::Login, lines)
                }
            })
        })
    }

    async fn keep(&self, state: &State, public: bool) -> Result<Sent, Error> {
        let _alone = self.keeping.lock().await;
        let keeping = Keeping::new(self, state, public)?;
        // a commit by the handler may have been under way
        match state.pending() {
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
        let _alone = self.keeping.lock().await;
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

    /// Keeps a draft, or ends what it replaces if nothing is left.
    async fn write(&self, draft: &mut Draft) -> Result<Kept, Error> {
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
        if let (Some(failed), Some(turn)) = (failed, turn)
            && failed.is_silence()
        {
            turn.fail(failed);
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
                    Old::Lost => return Ok(Kept::Dropped),
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
                (Old::Lost, _) if draft.outcome == Outcome::Write(Change::LoggedIn) => {
                    draft.orphan(rules)?;
                }
                (Old::Lost, _) => return Ok(Kept::Dropped),
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
                    Turned::Gone => return Ok(Old::Lost),
                }
            }
            None if self.rows.storage.mode != Mode::Store => {
                // as where no store is
                let first = ended::end(head.id);
                return Ok(
                    match first || draft.outcome == Outcome::Write(Change::LoggedIn) {
                        true => Old::Ended,
                        false => Old::Lost,
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
                        _ => return Ok(Old::Lost),
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
            Found::Ended(_) | Found::Moved(_) => Ok(Old::Lost),
            Found::Unreadable => Err(unreadable()),
        }
    }

    async fn find(&self, id: SessionId) -> Result<Option<Found>, Error> {
        self.rows.find(id).await.map_err(Error::store)
    }

    /// Ends the session that the request bore, and all that it went on as meanwhile.
    async fn log_out(&self) -> Result<(), Error> {
        let mut next = match (self.state.borne(), self.state.ended()) {
            (Some(before), _) => Some(before),
            (None, Some(ended)) if ended.successor.id != ended.id => Some(Before {
                head: ended.successor,
                held: None,
            }),
            _ => None,
        };
        if self.state.is_told() {
            return Ok(());
        }
        for _ in 0..LINE {
            let Some(before) = next else {
                self.state.note_told();
                return Ok(());
            };
            if before.held.is_none() && self.rows.storage.mode != Mode::Store {
                // as where no store is
                ended::end(before.head.id);
            }
            let _turn = self.rows.wait(before.head.id).await?;
            next = self.end_for_good(before).await?;
        }
        Err(contended())
    }

    /// The session that it went on as, if another request renewed it before.
    async fn end_for_good(&self, before: Before) -> Result<Option<Before>, Error> {
        let Before { head, mut held } = before;
        for tries in 0..TRIES {
            self.pause(tries).await?;
            let found = match held {
                Some(held) => match self.rows.end(head.id, held.version, head, self.now).await? {
                    Turned::Done(_) | Turned::Gone => return Ok(None),
                    Turned::Met(found) => Some(found),
                },
                None => match self.rows.leave(head, head, false, self.now).await? {
                    true => return Ok(None),
                    false => self.find(head.id).await?,
                },
            };
            match found {
                Some(Found::Live(_, now_held)) => held = Some(now_held),
                Some(Found::Ended(next) | Found::Moved(next)) if next.id != head.id => {
                    return Ok(Some(Before {
                        head: next,
                        held: None,
                    }));
                }
                Some(Found::Ended(_) | Found::Moved(_)) => return Ok(None),
                Some(Found::Unreadable) => return Err(unreadable()),
                None => held = None,
            }
        }
        Err(contended())
    }

    /// Nothing changed: a row's end is moved if it is time, and a session that came in a cookie moves to the store.
    async fn keep_alive(&self) -> Result<Sent, Error> {
        let settings = &self.slot.settings;
        let Some(Before { head, held }) = self.state.borne() else {
            return Ok(Sent::nothing());
        };
        if let Some(change) = self.state.owed() {
            return self.slot.ticket(self.state, head, self.now, change.into());
        }
        let Some(base) = self.state.base() else {
            return Ok(Sent::nothing());
        };
        let Some(held) = held else {
            return self.move_in(head).await;
        };
        if settings
            .rules
            .timeouts
            .touch_due(head.times, held.expires, self.now)
        {
            let mut times = head.times;
            times.issue(self.now);
            let end = settings.rules.timeouts.end(times);
            self.rows.touch(head.id, end).await;
        }
        // its cookie must not take the place of one that another request has set since
        match self.slot.wants_ticket(base, held) && !self.public {
            true => match self.rows.find(head.id).await {
                Ok(Some(Found::Live(..))) => {
                    self.slot
                        .ticket(self.state, head, self.now, Exposure::Cookie)
                }
                _ => Ok(Sent::nothing()),
            },
            false => Ok(Sent::nothing()),
        }
    }

    /// Moves a session that nothing changed from its cookie to the store. If that fails, the next request tries again.
    async fn move_in(&self, head: Head) -> Result<Sent, Error> {
        let rules = &self.slot.settings.rules;
        let mut draft = self.state.draft(rules, self.now)?;
        draft.head.id = rules.draw_id()?;
        let Ok(Some(_)) = self.rows.create(&draft).await else {
            return Ok(Sent::nothing());
        };
        match self.rows.leave(head, draft.head, true, self.now).await {
            Ok(true) => self
                .slot
                .ticket(self.state, draft.head, self.now, Exposure::Cookie),
            Ok(false) | Err(_) => {
                self.rows.forget(draft.head.id).await;
                Ok(Sent::nothing())
            }
        }
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

    /// Whether a draft is to be kept in the store, rather than in its cookie.
    fn belongs_in_store(&self, draft: &Draft) -> bool {
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

    fn held(&self, draft: &Draft, version: u64, ticket: bool) -> Held {
        Held {
            version,
            expires: self.slot.settings.rules.timeouts.end(draft.head.times),
            ticket,
        }
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

fn contended() -> Error {
    Error::store(StoreError::new(StoreErrorKind::Contended))
}

/// Another instance has a key that this one does not know: what it wrote is not to be overwritten.
fn unreadable() -> Error {
    let told = "another instance wrote this session under a secret that this one does not have: \
                add it to SESSION_SECRET_FALLBACKS first, everywhere";
    Error::store(StoreError::new(StoreErrorKind::Other).told(told))
}
