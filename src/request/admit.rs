//! Requests with an owner: the app's check of it, and the refusal of requests without one.

use std::sync::Arc;

use super::slot::Slot;
use crate::{
    error::Error,
    event::{Event, Reason},
    session::{RequestContext as _, State},
};

impl Slot {
    /// Asks the app's check about the owner of the session that came in. If it says no, the session
    /// is empty.
    pub(super) async fn admit(
        &self,
        opened: Result<State, Error>,
        events: &mut Vec<Event<'static>>,
    ) -> Result<State, Error> {
        let Some((check, visit)) = self.config.check.as_ref().zip(self.visit.as_deref()) else {
            return opened;
        };
        let metrics = &self.config.rules.metrics;
        let pending = Pending {
            slot: self,
            state: Some(opened?),
        };
        let Some(owner) = pending.incoming_owner() else {
            return Ok(pending.into_state());
        };
        match check
            .ask_once(&visit.verdict, owner, &visit.parts, metrics)
            .await?
        {
            true => Ok(pending.into_state()),
            false => {
                events.push(Event::Rejected(Reason::Refused));
                Ok(pending.into_state().refused(&self.config.rules))
            }
        }
    }

    /// Asks the check again. Without an owner, there is nothing to ask.
    pub(super) async fn admits_still(&self) -> Result<bool, Error> {
        let Some((check, visit)) = self.config.check.as_ref().zip(self.visit.as_deref()) else {
            return Ok(true);
        };
        let metrics = &self.config.rules.metrics;
        match self.state().owner() {
            Some(owner) => check.ask(owner, visit.parts.clone(), metrics).await,
            None => Ok(true),
        }
    }

    /// The owner of the session.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoOwner`](crate::ErrorKind::NoOwner), and the errors of [`open`](Self::open).
    pub(crate) async fn owner(self: Arc<Self>) -> Result<String, Error> {
        match self.open().await?.owner() {
            Some(owner) => Ok(owner),
            None => Err(self.no_owner()),
        }
    }

    /// The error of a request without an owner.
    fn no_owner(&self) -> Error {
        let page = self.config.login_page.as_ref().zip(self.visit.as_deref());
        Error::no_owner(page.and_then(|(page, visit)| visit.to_login(page)))
    }
}

/// A session that waits for the check. If the request is dropped meanwhile, it is no longer in
/// flight.
struct Pending<'a> {
    slot: &'a Slot,
    state: Option<State>,
}

impl Pending<'_> {
    fn incoming_owner(&self) -> Option<&str> {
        self.state.as_ref()?.incoming()?.record.owner()
    }

    fn into_state(mut self) -> State {
        self.state.take().expect("it is taken once")
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(state) = &self.state {
            self.slot.land(state);
        }
    }
}

#[cfg(all(test, feature = "check"))]
mod tests {
    use std::{
        future::pending,
        pin::pin,
        task::{Context, Waker},
    };

    use http::{HeaderMap, header::COOKIE, request::Parts};

    use super::*;
    use crate::{KeyRing, SessionLayer, request::visit::Visit, testing};

    /// Otherwise this process would remember the ends of sessions for longer than needed.
    #[tokio::test]
    async fn request_that_gets_no_answer_is_in_flight_no_more() {
        let keys = KeyRing::ephemeral().expect("entropy");
        let builder = testing::as_another_process(SessionLayer::builder(keys));
        let layer = builder.build().expect("valid settings");
        let ada = testing::session(&layer);
        ada.login("ada").expect("short");
        let cookie = testing::cookie(&layer, &ada).expect("a cookie");
        let headers = HeaderMap::from_iter([(COOKIE, cookie)]);
        let ended = layer.config().rules.ended.clone();
        assert_eq!(ended.in_flight(), 0);

        let hangs = async |_: String, _: Parts| pending::<Result<bool, Error>>().await;
        let layer = layer.check(hangs);
        {
            let mut opening = pin!(layer.open(&headers));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(opening.as_mut().poll(&mut cx).is_pending());
            assert_eq!(ended.in_flight(), 1);
        }
        assert_eq!(ended.in_flight(), 0, "dropped");

        let layer = layer.check(async |_: String, _: Parts| Err("away"));
        let visit = Visit::of_headers(layer.config(), &headers);
        let slot = Slot::with(layer.config().clone(), &headers, None, visit);
        assert!(slot.open().await.is_err());
        assert_eq!(ended.in_flight(), 0, "no answer");

        // a refused session can still be replaced by the response
        let layer = layer.check(async |_: String, _: Parts| Ok::<_, Error>(false));
        let view = layer.open(&headers).await.expect("it opens");
        assert_eq!((view.owner(), ended.in_flight()), (None, 1));
        drop(view);
        assert_eq!(ended.in_flight(), 0);
    }
}
