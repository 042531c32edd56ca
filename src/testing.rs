//! For your own tests: session cookies of a layer without a request, and its clock.
//!
//! ```
//! use std::time::Duration;
//! use axum::{Router, body::Body, routing::get};
//! use http::{Request, header::COOKIE};
//! use tower::ServiceExt;
//! use tower_sealed_session::{Error, KeyRing, Session, SessionLayer, testing};
//!
//! async fn greet(session: Session) -> Result<String, Error> {
//!     session.update("visits", |n| n.unwrap_or(0) + 1)?;
//!     Ok(session.owner().unwrap_or_default())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = testing::TestClock::default();
//! let layer = SessionLayer::builder(KeyRing::ephemeral()?).clock(clock.clone()).build()?;
//! let app = Router::new().route("/", get(greet)).layer(layer.clone());
//!
//! // a visitor who is logged in and has an entry
//! let ada = testing::session(&layer);
//! ada.login("ada")?;
//! ada.insert("visits", 41)?;
//! let request = Request::get("/").header(COOKIE, testing::cookie(&layer, &ada)?);
//! let response = app.oneshot(request.body(Body::empty())?).await?;
//!
//! // what the response gave the visitor
//! let after = testing::received(&layer, response.headers()).expect("a session");
//! assert_eq!(after.get::<u64>("visits")?, Some(42));
//!
//! // and when it ends
//! clock.advance(Duration::from_secs(3600));
//! assert!(testing::received(&layer, response.headers()).is_none());
//! # Ok(()) }
//! ```
//!
//! Make a session for each test: one that a test logs out or in or renews is ended in this process for a minute
//! of real time, and what others change under its cookie is dropped.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};
use time::OffsetDateTime;

use crate::{
    clock::Clock,
    cookie::scan,
    error::{Error, ErrorKind},
    layer::SessionLayer,
    session::Session,
    slot::Slot,
};

/// An empty session of a layer, to fill as a handler would.
#[must_use]
pub fn session(layer: &SessionLayer) -> Session {
    Slot::new(layer.settings().clone(), &HeaderMap::new(), None)
        .open_now()
        .expect("without a cookie there is nothing that could fail")
}

/// The `Cookie` header of a visitor who has that session.
///
/// # Errors
///
/// [`ErrorKind::Entropy`] and [`ErrorKind::Clock`].
pub fn cookie(layer: &SessionLayer, session: &Session) -> Result<HeaderValue, Error> {
    let settings = layer.settings();
    let now = settings.clock.now().ok_or(ErrorKind::Clock)?;
    let (_, line) = settings.set_cookie(session.state(), now, now)?;
    Ok(sensitive(pair_of(&line).to_vec()))
}

/// The session that a response's headers give the visitor, if the layer takes it now.
///
/// `None` also if the response sets no session cookie, or removes it.
#[must_use]
pub fn received(layer: &SessionLayer, headers: &HeaderMap) -> Option<Session> {
    let session = bearing(layer, headers)?.open_now().ok()?;
    session.state().base().is_some().then_some(session)
}

/// The same where the session may be in the layer's store.
#[cfg(feature = "store")]
pub async fn received_from_store(layer: &SessionLayer, headers: &HeaderMap) -> Option<Session> {
    let session = bearing(layer, headers)?.open().await.ok()?;
    session.state().base().is_some().then_some(session)
}

/// A request of the visitor who got that response.
fn bearing(layer: &SessionLayer, headers: &HeaderMap) -> Option<Arc<Slot>> {
    let name = layer.cookie_name();
    let lines = headers.get_all(SET_COOKIE).into_iter().rev();
    let mut pairs = lines.map(pair_of);
    let ours = pairs.find(|pair| scan::values(pair, name).next().is_some())?;
    let request = HeaderMap::from_iter([(COOKIE, sensitive(ours.to_vec()))]);
    Some(Slot::new(layer.settings().clone(), &request, None))
}

/// What precedes a `Set-Cookie`'s attributes.
fn pair_of(line: &HeaderValue) -> &[u8] {
    let line = line.as_bytes();
    line.split(|&b| b == b';').next().unwrap_or(line)
}

fn sensitive(pair: Vec<u8>) -> HeaderValue {
    let mut header = HeaderValue::from_maybe_shared(Bytes::from(pair))
        .expect("it came from a header, or is a name and base64url");
    header.set_sensitive(true);
    header
}

/// A clock that stands until it is moved. Clones are one clock.
///
/// By default it stands at the moment of its making.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<Mutex<OffsetDateTime>>);

impl TestClock {
    /// A clock that stands at `moment`.
    #[must_use]
    pub fn at(moment: OffsetDateTime) -> Self {
        Self(Arc::new(Mutex::new(moment)))
    }

    /// Moves it to `moment`, forward or back.
    pub fn set(&self, moment: OffsetDateTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = moment;
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        self.set(self.now() + by);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::at(OffsetDateTime::now_utc())
    }
}

impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session for the examples of this crate's documentation.
#[doc(hidden)]
#[must_use]
pub fn example() -> Session {
    session(&SessionLayer::new(
        crate::KeyRing::ephemeral().expect("entropy"),
    ))
}
