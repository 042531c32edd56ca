//! The session of a request, closed until a handler asks for it.

use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{HeaderMap, Response};

use super::{
    commit::Commit,
    config::Config,
    open::{CookieHeaders, Reader},
    respond::Reply,
    revoke::Revoking,
    visit::Visit,
};
use crate::{
    clock::Millis,
    cookie::cache,
    error::Error,
    event::{DropReason, Event},
    revocation::Why,
    session::{Arrival, Outcome, RequestContext, Session, SessionView, State},
    store::Lane,
    stored::Saved,
};

/// The session of one request and one layer.
pub(crate) struct Slot {
    pub(super) config: Arc<Config>,
    cookies: CookieHeaders,
    /// The slot of the layer around this one, which has another cookie name.
    pub(super) outer: Option<Arc<Slot>>,
    /// When the request came, if there is a store.
    arrived: Option<Millis>,
    /// The number of revocations of owners that were known then.
    pub(super) seen: u64,
    /// `None` if no check and no login page needs it, or if there is no request.
    pub(super) visit: Option<Box<Visit>>,
    pub(super) opened: OnceLock<Result<State, Error>>,
    /// Whether the response was sent, or the request ended without one.
    done: AtomicBool,
    /// Orders the commits of this request, so that no change is saved twice.
    pub(super) lane: Lane,
}

/// Whether the response is ready.
pub(crate) enum Committed {
    Now,
    /// After the store was called; [`Slot::finish`] takes the reply.
    Later(Pin<Box<dyn Future<Output = Reply> + Send>>),
}

impl Slot {
    /// The slot of a session that no request asks for. The app's check does not run.
    pub(crate) fn new(
        config: Arc<Config>,
        headers: &HeaderMap,
        outer: Option<Arc<Self>>,
    ) -> Arc<Self> {
        Self::with(config, headers, outer, None)
    }

    pub(super) fn with(
        config: Arc<Config>,
        headers: &HeaderMap,
        outer: Option<Arc<Self>>,
        visit: Option<Box<Visit>>,
    ) -> Arc<Self> {
        let cookies = CookieHeaders::new(headers);
        let storage = config.storage.as_ref();
        Arc::new(Self {
            arrived: storage.and_then(|_| config.clock.now()),
            seen: config.revoking.as_ref().map_or(0, Revoking::added),
            config,
            cookies,
            outer,
            visit,
            opened: OnceLock::new(),
            done: AtomicBool::new(false),
            lane: Lane::default(),
        })
    }

    /// Finds, opens and checks the session, and loads it if it is in the store.
    pub(crate) async fn open(self: &Arc<Self>) -> Result<Session, Error> {
        if self.opened.get().is_none() && self.config.opens_later() {
            self.load().await;
        }
        self.open_now()
    }

    /// Opens the session that these headers bring, only to read it: there is no response.
    pub(crate) async fn view(
        config: Arc<Config>,
        headers: &HeaderMap,
    ) -> Result<SessionView, Error> {
        let visit = Visit::of_headers(&config, headers);
        let slot = Self::with(config, headers, None, visit);
        slot.mark_done();
        Ok(SessionView::new(slot.open().await?))
    }

    /// A session that no request brought, only to read it.
    #[cfg(feature = "store")]
    pub(crate) fn view_of(
        config: Arc<Config>,
        now: Millis,
        incoming: crate::session::Incoming,
    ) -> SessionView {
        let slot = Self::new(config, &HeaderMap::new(), None);
        let state = State::new(&slot.config.rules, Arrival::new(now, Some(incoming)));
        slot.opened.get_or_init(|| Ok(state));
        slot.mark_done();
        SessionView::new(Session::new(slot))
    }

    /// Opens the session without a call to the store.
    ///
    /// If extractors race, the session is opened once. The events are emitted after that: a
    /// subscriber may ask for the session too.
    pub(crate) fn open_now(self: &Arc<Self>) -> Result<Session, Error> {
        let mut events = Vec::new();
        let opened = self.opened.get_or_init(|| {
            let mut reader = self.reader();
            let arrival = reader.read();
            events = reader.events;
            self.state_of(arrival?)
        });
        self.emit(&events);
        match opened {
            Ok(state) => {
                // a task that outlives the request may open the session here; its changes would not
                // be saved
                if self.done.fetch_or(false, Ordering::AcqRel) {
                    state.settle();
                }
                Ok(Session::new(self.clone()))
            }
            Err(error) => Err(error.clone()),
        }
    }

    /// Opens the session, with a call to the store or the log and the app's check if needed. If
    /// extractors race, the store may be called twice, and the first answer counts.
    async fn load(&self) {
        let mut reader = self.reader();
        let opened = match reader.read() {
            Ok(arrival) => self.load_arrival(&mut reader, arrival).await,
            Err(error) => Err(error),
        };
        let opened = match self.config.check.is_some() {
            true => Box::pin(self.admit(opened, &mut reader.events)).await,
            false => opened,
        };
        match self.opened.set(opened) {
            Ok(()) => self.emit(&reader.events),
            // the other extractor's session is used
            Err(Ok(unused)) => self.land(&unused),
            Err(Err(_)) => {}
        }
    }

    async fn load_arrival(
        &self,
        reader: &mut Reader<'_>,
        arrival: Arrival,
    ) -> Result<State, Error> {
        if let Some(family) = reader.copied.take() {
            Box::pin(self.end_copied(family)).await?;
        }
        match self.config.rows() {
            Some(rows) if rows.has_to_load(&arrival) => {
                let loaded = rows.load(arrival, self.arrived, &mut reader.events);
                let loaded = Box::pin(loaded).await?;
                let arrival = reader.unless_revoked(loaded)?;
                Ok(State::new(&self.config.rules, arrival))
            }
            _ => self.state_of(arrival),
        }
    }

    fn emit(&self, events: &[Event<'static>]) {
        if events.is_empty() {
            return;
        }
        events.iter().for_each(|event| event.emit());
        let Config {
            strangers,
            codec,
            clock,
            ..
        } = &*self.config;
        strangers.count(events, codec, clock);
    }

    fn reader(&self) -> Reader<'_> {
        Reader {
            config: &self.config,
            cookies: &self.cookies,
            events: Vec::new(),
            expired: None,
            arrived: self.arrived,
            copied: None,
        }
    }

    fn state_of(&self, arrival: Arrival) -> Result<State, Error> {
        let incoming = arrival.incoming.as_ref();
        if incoming.is_some_and(|incoming| incoming.record.stored) {
            return Err(Error::no_store());
        }
        Ok(State::new(&self.config.rules, arrival))
    }

    /// Decides what the response has to do about the session, and does it. If a call to the store
    /// is needed, the result is a future.
    pub(crate) fn commit<B: Default>(self: &Arc<Self>, response: &mut Response<B>) -> Committed {
        self.mark_done();
        let reply = match self.opened.get() {
            None => return Committed::Now,
            Some(Err(_)) => Reply::Unchanged,
            Some(Ok(state)) => {
                let outcome = state.settle();
                let public = || cache::is_public(response.headers());
                if let Err(error) = self.begin_unrevoked(state, outcome) {
                    self.commit_of(state).reply_failed(error)
                } else if self.has_to_revoke(state, outcome) {
                    let revoked = self.clone().revoke_and_save(outcome, public());
                    return Committed::Later(Box::pin(revoked));
                } else if self.has_to_save(state, outcome, public) {
                    return Committed::Later(Box::pin(self.clone().save(public())));
                } else {
                    self.commit_of(state).reply(outcome, public)
                }
            }
        };
        self.finish(response, reply);
        Committed::Now
    }

    /// Writes the reply into the response.
    pub(crate) fn finish<B: Default>(&self, response: &mut Response<B>, reply: Reply) {
        if let Some(Ok(state)) = self.opened.get() {
            self.land(state);
        }
        reply.write(response, self.outer.is_some());
    }

    /// Notes that the request sets no cookie any more, so that this process may forget the end of
    /// its session.
    pub(super) fn land(&self, state: &State) {
        if let Some(flight) = state.flight() {
            self.config.rules.ended.leave(flight);
        }
    }

    /// Drops the changes of a request that ended without a response. Later changes have no effect.
    /// A logout reaches the store all the same: the visitor has asked for it.
    pub(crate) fn abandon(self: &Arc<Self>) {
        self.mark_done();
        let Some(Ok(state)) = self.opened.get() else {
            return;
        };
        if state.settle() != Outcome::NoChange || state.logged_out() {
            state.lose();
            Event::Dropped(DropReason::Unanswered).emit();
        }
        if !state.logged_out() {
            return;
        }
        if let Some(incoming) = state.incoming() {
            let family = incoming.record.head.family();
            self.config.rules.ended.end(family, Why::LoggedOut);
        }
        self.log_out_later(state);
        if let Some(rows) = self.config.rows()
            && !state.left().is_empty()
        {
            rows.spawn(self.clone().log_out());
        }
    }

    async fn log_out(self: Arc<Self>) {
        let (state, clock) = (self.state(), &self.config.clock);
        if let Some(rows) = self.config.rows()
            && rows.log_out(state, &self.lane, clock).await.is_err()
        {
            Event::LogoutIncomplete.emit();
        }
    }

    fn has_to_save(&self, state: &State, outcome: Outcome, public: impl Fn() -> bool) -> bool {
        let rows = self.config.rows();
        rows.is_some_and(|rows| rows.has_to_save(state, outcome, public()))
    }

    async fn revoke_and_save(self: Arc<Self>, outcome: Outcome, public: bool) -> Reply {
        let state = self.state();
        if let Err(error) = self.revoke(state, outcome).await {
            return self.commit_of(state).reply_failed(error);
        }
        match self.has_to_save(state, outcome, || public) {
            true => Box::pin(self.save(public)).await,
            false => self.commit_of(state).reply(outcome, || public),
        }
    }

    async fn save(self: Arc<Self>, public: bool) -> Reply {
        let (state, clock) = (self.state(), &self.config.clock);
        let commit = self.commit_of(state);
        let saved = match self.config.rows() {
            Some(rows) => rows.commit(state, &self.lane, clock, public).await,
            None => Err(Error::no_store()),
        };
        if let Ok((Saved::Ticket(..), _)) = saved
            && let Err(error) = Box::pin(self.revoke_moved(state)).await
        {
            return commit.reply_failed(error);
        }
        saved
            .and_then(|(saved, now)| commit.reply_saved(saved, now))
            .unwrap_or_else(|error| commit.reply_failed(error))
    }

    fn commit_of<'a>(&'a self, state: &'a State) -> Commit<'a> {
        Commit {
            config: &self.config,
            cookies: &self.cookies,
            state,
        }
    }

    /// Notes that the response was sent, or that the request ended without one.
    ///
    /// If a task opens the session at the same time, one of the two comes first in the order of all
    /// writes of `done`: either the task sees `done`, or this call sees the session. For that,
    /// [`open_now`](Self::open_now) does not only read `done`. It writes it too, unchanged.
    fn mark_done(&self) {
        self.done.swap(true, Ordering::AcqRel);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(Ok(state)) = self.opened.get() {
            self.land(state);
        }
    }
}
