//! The closed session in a request's extensions, and its two doors: [`Slot::open`] and [`Slot::commit`].
//!
//! This is the one place that knows where the state lives.

mod commit;
#[cfg(feature = "store")]
mod fetch;
#[cfg(feature = "store")]
mod keep;
#[cfg(feature = "starlette")]
mod legacy;
mod open;
#[cfg(feature = "store")]
mod rows;
mod settings;
#[cfg(feature = "store")]
mod storage;
#[cfg(feature = "store")]
mod vault;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering, fence},
};

use http::{Extensions, HeaderMap, HeaderValue, Request, header::COOKIE};

use crate::{
    ended,
    error::{Error, ErrorKind},
    event::Event,
    session::{Home, Rules, Session, State, Waits},
};

#[cfg(all(test, feature = "store"))]
pub(crate) use self::vault::Row;
pub(crate) use self::{
    commit::{Commit, Sent},
    settings::{Form, Settings},
};
#[cfg(feature = "store")]
pub(crate) use self::{
    storage::{Mode, Storage},
    vault::Vault,
};

/// One request's session, closed until a handler asks for it.
pub(crate) struct Slot {
    settings: Arc<Settings>,
    cookies: Cookies,
    /// The slot of the layer outside, which has another cookie name.
    outer: Option<Arc<Slot>>,
    opened: OnceLock<Result<State, Error>>,
    /// The response is out, or will not be.
    done: AtomicBool,
    /// The store is told of one change after the other, so that none is made twice.
    #[cfg(feature = "store")]
    keeping: tokio::sync::Mutex<()>,
}

/// What handlers find in the extensions: the slot of the innermost layer.
#[derive(Clone)]
struct Innermost(Arc<Slot>);

/// The request's `Cookie` headers as they came, almost always one.
struct Cookies {
    first: Option<HeaderValue>,
    more: Vec<HeaderValue>,
}

impl Cookies {
    fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(COOKIE).iter();
        let first = values.next().cloned();
        // `collect` would cost every request that has but one
        let mut more = Vec::new();
        for value in values {
            more.push(value.clone());
        }
        Self { first, more }
    }

    fn iter(&self) -> impl Iterator<Item = &HeaderValue> {
        self.first.iter().chain(&self.more)
    }
}

impl Slot {
    /// Puts a slot into the request. `None` if the request has one of that cookie name: its layer commits.
    pub(crate) fn enter<B>(
        settings: &Arc<Settings>,
        request: &mut Request<B>,
    ) -> Option<Arc<Self>> {
        let outer = request.extensions().get::<Innermost>();
        let outer = outer.map(|Innermost(slot)| slot.clone());
        let name = settings.template.name();
        if let Some(same) = outer.as_ref().and_then(|slot| slot.named(name)) {
            if !Arc::ptr_eq(&same.settings, settings) && !same.settings.agree(settings) {
                settings.tell_nested();
            }
            return None;
        }
        let slot = Self::new(settings.clone(), request.headers(), outer);
        request.extensions_mut().insert(Innermost(slot.clone()));
        Some(slot)
    }

    pub(crate) fn new(
        settings: Arc<Settings>,
        headers: &HeaderMap,
        outer: Option<Arc<Self>>,
    ) -> Arc<Self> {
        let cookies = Cookies::of(headers);
        Arc::new(Self {
            settings,
            cookies,
            outer,
            opened: OnceLock::new(),
            done: AtomicBool::new(false),
            #[cfg(feature = "store")]
            keeping: tokio::sync::Mutex::const_new(()),
        })
    }

    /// Of this and a task that opens the session at the same time, one sees the other.
    fn mark_done(&self) {
        self.done.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    fn named<'a>(self: &'a Arc<Self>, name: &str) -> Option<&'a Arc<Self>> {
        let mut slots = std::iter::successors(Some(self), |slot| slot.outer.as_ref());
        slots.find(|slot| slot.settings.template.name() == name)
    }

    /// The first door: finds, unseals and checks the session.
    pub(crate) async fn open(self: &Arc<Self>) -> Result<Session, Error> {
        #[cfg(feature = "store")]
        if self.opened.get().is_none()
            && let Some(rows) = self.settings.rows()
        {
            self.open_from(rows).await;
        }
        self.open_now()
    }

    /// The same where no store has to be asked.
    ///
    /// Extractors that race load once, and the one that did tells what was found: after that, since a subscriber may ask
    /// for the session in turn.
    pub(crate) fn open_now(self: &Arc<Self>) -> Result<Session, Error> {
        let mut events = Vec::new();
        let opened = self.opened.get_or_init(|| self.load(&mut events));
        events.into_iter().for_each(Event::emit);
        match opened {
            Ok(state) => {
                // opened by a task that outlived the request: nobody will commit it
                fence(Ordering::SeqCst);
                if self.done.load(Ordering::Relaxed) {
                    state.settle();
                }
                Ok(Session::at(self.clone()))
            }
            Err(error) => Err(error.clone()),
        }
    }
}

impl Home for Slot {
    fn rules(&self) -> &Rules {
        &self.settings.rules
    }

    fn state(&self) -> &State {
        match self.opened.get() {
            Some(Ok(state)) => state,
            _ => unreachable!("a session is made from an opened slot alone"),
        }
    }

    fn commit(&self) -> Waits<'_, ()> {
        if self.state().is_sent() {
            return Waits::Done(Err(ErrorKind::Late.into()));
        }
        #[cfg(feature = "store")]
        if self.settings.rows().is_some() {
            return Waits::For(Box::pin(self.keep_early(self.state())));
        }
        Waits::Done(Ok(()))
    }

    fn still_valid(&self) -> Waits<'_, bool> {
        #[cfg(feature = "store")]
        if let Some(rows) = self.settings.rows()
            && let Some(before) = self.state().followed()
        {
            return Waits::For(Box::pin(self.still_stored(rows, before)));
        }
        Waits::Done(self.stands())
    }
}

impl Slot {
    /// Whether the session is valid now, as far as this process knows.
    fn stands(&self) -> Result<bool, Error> {
        let Some((id, times)) = self.state().standing() else {
            return Ok(false);
        };
        let now = self.settings.clock.now().ok_or(ErrorKind::Clock)?;
        if id.is_some_and(ended::is_ended) {
            self.state().lose();
            return Ok(false);
        }
        Ok(self.settings.rules.timeouts.check(times, now).is_ok())
    }
}

impl Session {
    /// The session of the innermost [`SessionLayer`](crate::SessionLayer) that the request passed through, in
    /// plain Tower.
    ///
    /// ```
    /// use http::Request;
    /// use tower_sealed_session::{Error, Session};
    ///
    /// async fn visits<B>(request: &Request<B>) -> Result<u64, Error> {
    ///     let session = Session::from_extensions(request.extensions()).await?;
    ///     session.update("n", |n| n.unwrap_or(0) + 1)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingLayer`], and [`ErrorKind::Unavailable`] if the session's state is in a store that
    /// this layer does not have.
    pub async fn from_extensions(extensions: &Extensions) -> Result<Self, Error> {
        match extensions.get::<Innermost>() {
            Some(Innermost(slot)) => slot.open().await,
            None => Err(ErrorKind::MissingLayer.into()),
        }
    }

    /// The session of the layer with that cookie name, where several layers stand around a handler.
    ///
    /// `cookie_name` is the whole name, as [`SessionLayer::cookie_name`](crate::SessionLayer::cookie_name) has it.
    ///
    /// ```
    /// use http::Extensions;
    /// use tower_sealed_session::{Error, Session};
    ///
    /// // under axum: `http::Extensions` is an extractor, too
    /// async fn handler(extensions: Extensions) -> Result<(), Error> {
    ///     let admin = Session::named(&extensions, "__Host-admin").await?;
    ///     admin.renew();
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`from_extensions`](Self::from_extensions).
    pub async fn named(extensions: &Extensions, cookie_name: &str) -> Result<Self, Error> {
        let innermost = extensions.get::<Innermost>();
        match innermost.and_then(|Innermost(slot)| slot.named(cookie_name)) {
            Some(slot) => slot.open().await,
            None => Err(Error::missing_layer(cookie_name)),
        }
    }
}
