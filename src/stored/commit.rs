//! The commit of one request to the store.

use std::time::Duration;

use super::{
    errors::{contended, is_silence},
    rows::Rows,
    storage::Mode,
};
use crate::{
    clock::{self, Millis},
    error::{Error, ErrorKind},
    event::{DropReason, Event},
    metrics::Metrics,
    record::Head,
    session::{Change, Draft, Outcome, RowRef, State},
    store::{Deadline, Lane, Turn},
};

/// The maximum number of tries to save a session that other requests change.
pub(super) const TRIES: u32 = 64;

/// The commit of one request to the store.
pub(super) struct StoreCommit<'a> {
    pub(super) rows: Rows<'a>,
    pub(super) state: &'a State,
    pub(super) now: Millis,
    /// Whether shared caches may store the response.
    pub(super) public: bool,
    deadline: Deadline,
}

/// Where a draft was saved.
pub(super) enum Kept {
    Row(RowRef),
    /// It is to be in the cookie.
    Cookie,
    /// The draft was empty, and the session has ended.
    Emptied,
    Dropped(DropReason),
}

/// What a commit did, and so which cookie the response needs.
pub(crate) enum Saved {
    /// The browser's cookie stays as it is.
    Same,
    /// The session is in the store: the cookie becomes a ticket of that head.
    Ticket(Head, Change),
    /// The session is in its cookie.
    Cookie(Change),
    /// The session ended, by a logout or because it was emptied.
    Removed,
    /// The changes are dropped.
    Dropped(DropReason),
}

impl Rows<'_> {
    /// Saves what changed, when the response is ready. Returns also the time of the commit.
    pub(crate) async fn commit(
        &self,
        state: &State,
        lane: &Lane,
        clock: &clock::Source,
        public: bool,
    ) -> Result<(Saved, Millis), Error> {
        let _lane = self.backend().enter(lane).await.map_err(Error::store)?;
        let commit = StoreCommit::new(*self, state, clock, public)?;
        Ok((commit.save().await?, commit.now))
    }

    /// Ends the sessions that a request logged out which has no response.
    pub(crate) async fn log_out(
        &self,
        state: &State,
        lane: &Lane,
        clock: &clock::Source,
    ) -> Result<(), Error> {
        let _lane = self.backend().enter(lane).await.map_err(Error::store)?;
        let commit = StoreCommit::new(*self, state, clock, false)?;
        commit.end_left().await
    }

    /// Runs a task that no request waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.backend().spawn(task);
    }

    /// Saves what changed so far, before the response is ready.
    pub(crate) async fn commit_early(
        &self,
        state: &State,
        lane: &Lane,
        clock: &clock::Source,
    ) -> Result<(), Error> {
        let _lane = self.backend().enter(lane).await.map_err(Error::store)?;
        let outcome = state.pending();
        if !self.has_to_save(state, outcome, false) {
            return check_answered(state);
        }
        let commit = StoreCommit::new(*self, state, clock, false)?;
        // a logout is tried even if an earlier commit was not answered
        commit.end_left().await?;
        check_answered(state)?;
        state.begin_commit();
        let saved = commit.save_early(outcome).await;
        state.end_commit();
        if let Err(error) = &saved
            && is_silence(error)
        {
            state.note_failed(error.clone());
        }
        saved
    }
}

impl<'a> StoreCommit<'a> {
    pub(super) fn new(
        rows: Rows<'a>,
        state: &'a State,
        clock: &clock::Source,
        public: bool,
    ) -> Result<Self, Error> {
        state.opened().ok_or(ErrorKind::Clock)?;
        Ok(Self {
            rows,
            state,
            now: clock.now().ok_or(ErrorKind::Clock)?,
            public,
            deadline: rows.backend().deadline(),
        })
    }

    async fn save(&self) -> Result<Saved, Error> {
        let state = self.state;
        self.end_left().await?;
        check_answered(state)?;
        // an earlier commit of the request may have been under way, so the outcome is decided now
        match state.pending() {
            Outcome::NoChange if state.logged_out() && state.previous().is_none() => {
                Ok(Saved::Removed)
            }
            Outcome::NoChange => self.keep_alive().await,
            Outcome::Write(_) | Outcome::Emptied => {
                let mut draft = Draft::new(state, self.rows.rules, self.now)?;
                match self.write(&mut draft).await? {
                    Kept::Row(row) => Ok(self.saved_to_row(draft, row)),
                    Kept::Cookie => Ok(self.saved_to_cookie(draft)),
                    Kept::Emptied => Ok(Saved::Removed),
                    Kept::Dropped(reason) => Ok(Saved::Dropped(reason)),
                }
            }
        }
    }

    async fn save_early(&self, outcome: Outcome) -> Result<(), Error> {
        let Outcome::Write(change) = outcome else {
            return Ok(());
        };
        let mut draft = Draft::new(self.state, self.rows.rules, self.now)?;
        if !self.rows.has_to_store(&draft) {
            return Ok(());
        }
        let row = match self.write(&mut draft).await? {
            Kept::Row(row) => row,
            Kept::Dropped(DropReason::Expired) => return Err(ErrorKind::Expired.into()),
            _ => {
                self.state.lose();
                Event::Dropped(DropReason::Ended).emit(self.rows.metrics());
                return Err(ErrorKind::Ended.into());
            }
        };
        let unsent = (!draft.stays() || !row.ticket).then_some(change);
        emit_saved(&draft, self.rows.metrics());
        draft.note_saved(self.state, Some(row), unsent);
        Ok(())
    }

    fn saved_to_row(&self, draft: Box<Draft>, row: RowRef) -> Saved {
        let state = self.state;
        emit_saved(&draft, self.rows.metrics());
        let was_in_cookie = draft.previous.is_none_or(|previous| previous.row.is_none());
        if self.rows.storage.mode == Mode::Overflow && was_in_cookie {
            Event::Overflowed(draft.head.id).emit(self.rows.metrics());
        }
        let stays = draft.stays() && row.ticket;
        let (head, change) = (draft.head, self.change_to_send(&draft));
        draft.note_saved(state, Some(row), None);
        match stays && state.unsent().is_none() {
            true => Saved::Same,
            false => Saved::Ticket(head, change),
        }
    }

    fn saved_to_cookie(&self, draft: Box<Draft>) -> Saved {
        emit_saved(&draft, self.rows.metrics());
        if draft.is_in_store() {
            Event::MovedToCookie(draft.head.id).emit(self.rows.metrics());
        }
        let change = self.change_to_send(&draft);
        draft.note_saved(self.state, None, None);
        Saved::Cookie(change)
    }

    /// The most important change that the response has to send.
    fn change_to_send(&self, draft: &Draft) -> Change {
        match (draft.outcome, self.state.unsent()) {
            (_, Some(Change::LoggedIn)) => Change::LoggedIn,
            (Outcome::Write(change), _) => change,
            _ => Change::Content,
        }
    }

    /// Waits before another try, for a random time that grows with the number of tries.
    pub(super) async fn pause(&self, tries: u32) -> Result<(), Error> {
        if tries < 2 {
            return Ok(());
        }
        if self.deadline.has_passed() {
            return Err(contended());
        }
        let random = self.rows.rules.draw_hedge()?;
        let random = u64::from_be_bytes(*random.first_chunk().expect("it is longer"));
        let most = 1000 << tries.min(5);
        let wait = Duration::from_micros(random % most);
        self.rows.backend().sleep(wait).await;
        Ok(())
    }
}

/// Fails if an earlier commit was not answered: its changes may be saved, so they are not saved
/// again.
fn check_answered(state: &State) -> Result<(), Error> {
    state.failed().map_or(Ok(()), Err)
}

/// Tells of a draft that was saved.
fn emit_saved(draft: &Draft, metrics: &Metrics) {
    let to = draft.head.id;
    let login = draft.is_login();
    let event = match draft.previous.map(|previous| previous.head.id) {
        Some(from) if login || draft.renews() => Event::Renewed { from, to, login },
        Some(_) => Event::Changed(to),
        None => Event::Created(to),
    };
    event.emit(metrics);
}

/// Passes on to the waiting requests that the store does not answer.
pub(super) fn fail(turn: &Turn, error: &Error) {
    if let Some(error) = error.as_store_error().filter(|error| error.is_silence()) {
        turn.fail(error);
    }
}
