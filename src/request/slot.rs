//! The session of a request, closed until a handler asks for it.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use http::HeaderMap;

use super::{
    config::Config,
    open::{CookieHeaders, Reader},
    revoking::Revoking,
    visit::Visit,
};
use crate::{
    clock::Millis,
    error::Error,
    event::Event,
    metrics::{Metric, Timer},
    session::{Arrival, Session, SessionView, State},
    store::Lane,
};

/// The session of one request and one layer.
pub(crate) struct Slot {
    pub(super) config: Arc<Config>,
    pub(super) cookies: CookieHeaders,
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
        let mut opening = None;
        let opened = self.opened.get_or_init(|| {
            let metrics = &self.config.rules.metrics;
            let timer = metrics.sample_timer(Metric::OpenDuration);
            let mut reader = self.reader();
            let arrival = reader.read();
            opening = Some((timer, reader.age, reader.events));
            self.state_of(arrival?)
        });
        if let Some((timer, age, events)) = opening {
            self.tell_opened(opened, timer, age, &events);
        }
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
        let (timer, mut reader) = (Timer::start(), self.reader());
        let opened = match reader.read() {
            Ok(arrival) => self.load_arrival(&mut reader, arrival).await,
            Err(error) => Err(error),
        };
        let opened = match self.config.check.is_some() {
            true => Box::pin(self.admit(opened, &mut reader.events)).await,
            false => opened,
        };
        match self.opened.set(opened) {
            Ok(()) => {
                if let Some(opened) = self.opened.get() {
                    self.tell_opened(opened, Some(timer), reader.age, &reader.events);
                }
            }
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
        let Some(rows) = self.config.rows() else {
            return self.state_of(arrival);
        };
        let (arrived, events) = (self.arrived, &mut reader.events);
        let loaded = if rows.has_to_load(&arrival) {
            Box::pin(rows.load(arrival, arrived, events)).await?
        } else if let Some(now) = arrival.opened
            && let Some(id) = self.old_id(now, events)
        {
            let clock = &self.config.clock;
            Box::pin(rows.adopt_id(id, now, arrived, clock, events)).await?
        } else {
            return self.state_of(arrival);
        };
        let arrival = reader.unless_revoked(loaded)?;
        Ok(State::new(&self.config.rules, arrival))
    }

    /// The old id that the request came with, if it is to be looked up: there is no cookie of ours,
    /// and there will be a response, which can set it.
    fn old_id(&self, now: Millis, events: &mut Vec<Event<'static>>) -> Option<&[u8]> {
        let old = self.config.old_ids.as_ref()?;
        let ours = self.cookies.values(self.config.codec.name()).next();
        if ours.is_some() || self.is_done() {
            return None;
        }
        old.find(self.cookies.values(old.name()), now, events)
    }

    fn reader(&self) -> Reader<'_> {
        Reader {
            config: &self.config,
            cookies: &self.cookies,
            events: Vec::new(),
            expired: None,
            arrived: self.arrived,
            age: None,
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

    /// Notes that the request sets no cookie any more, so that this process may forget the end of
    /// its session.
    pub(super) fn land(&self, state: &State) {
        if let Some(flight) = state.flight() {
            self.config.rules.ended.leave(flight);
        }
    }

    /// Whether the response was sent, or there is none.
    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Notes that the response was sent, or that the request ended without one.
    ///
    /// If a task opens the session at the same time, one of the two comes first in the order of all
    /// writes of `done`: either the task sees `done`, or this call sees the session. For that,
    /// [`open_now`](Self::open_now) does not only read `done`. It writes it too, unchanged.
    pub(super) fn mark_done(&self) {
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
