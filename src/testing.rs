//! Tools for tests of your handlers: session cookies without a request, and a clock that you set.
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
//! // the session that the response sets
//! let after = testing::received(&layer, response.headers()).expect("a session");
//! assert_eq!(after.get::<u64>("visits")?, Some(42));
//!
//! // it expires
//! clock.advance(Duration::from_secs(3600));
//! assert!(testing::received(&layer, response.headers()).is_none());
//! # Ok(()) }
//! ```
//!
//! Use a new session in each test. If a test logs a session in or out, or renews it, this process
//! remembers for a minute of real time that it ended: other tests with its cookie are anonymous,
//! and their changes are refused. To test several instances in one process, see
//! [`as_another_process`].

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
    layer::{SessionLayer, SessionLayerBuilder},
    request::Slot,
    session::Session,
};

/// An empty session of a layer. Fill it as a handler would.
#[must_use]
pub fn session(layer: &SessionLayer) -> Session {
    Slot::new(layer.config().clone(), &HeaderMap::new(), None)
        .open_now()
        .expect("opening a request without a cookie does not fail")
}

/// The `Cookie` header of a visitor who has that session.
///
/// # Errors
///
/// [`ErrorKind::Entropy`] and [`ErrorKind::Clock`].
pub fn cookie(layer: &SessionLayer, session: &Session) -> Result<HeaderValue, Error> {
    let config = layer.config();
    let now = config.clock.now().ok_or(ErrorKind::Clock)?;
    let (_, line) = config.codec.set(&config.rules, session.state(), now, now)?;
    Ok(sensitive(pair_of(&line).to_vec()))
}

/// The session that a response sets, if the layer accepts it now.
///
/// `None` if the response sets no session cookie or removes it.
#[must_use]
pub fn received(layer: &SessionLayer, headers: &HeaderMap) -> Option<Session> {
    let session = bearing(layer, headers)?.open_now().ok()?;
    session.state().incoming().is_some().then_some(session)
}

/// The session that a response sets, if the layer accepts it now. It may be in the layer's store.
#[cfg(feature = "store")]
pub async fn received_from_store(layer: &SessionLayer, headers: &HeaderMap) -> Option<Session> {
    let session = bearing(layer, headers)?.open().await.ok()?;
    session.state().incoming().is_some().then_some(session)
}

/// Makes a builder's layer act as in another process: it does not know which sessions the other
/// layers ended in the last minute. Its own minute is measured with the clock of the builder.
///
/// ```
/// use tower_sealed_session::{KeyRing, Secret, SessionLayer, testing};
///
/// let secret = "hCqDfGLGGXLcvr6iA5dDWbWGCZsbQzCzzmGvLhdqkrM=";
/// let instance = || {
///     let keys = KeyRing::new(Secret::new(secret)?);
///     let builder = SessionLayer::builder(keys);
///     Ok::<_, Box<dyn std::error::Error>>(testing::as_another_process(builder).build()?)
/// };
/// let (first, second) = (instance()?, instance()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn as_another_process(builder: SessionLayerBuilder) -> SessionLayerBuilder {
    builder.own_ended_ids()
}

/// The slot of the next request of a visitor who got that response.
fn bearing(layer: &SessionLayer, headers: &HeaderMap) -> Option<Arc<Slot>> {
    let name = layer.cookie_name();
    let lines = headers.get_all(SET_COOKIE).into_iter().rev();
    let mut pairs = lines.map(pair_of);
    let ours = pairs.find(|pair| scan::values(pair, name).next().is_some())?;
    let request = HeaderMap::from_iter([(COOKIE, sensitive(ours.to_vec()))]);
    Some(Slot::new(layer.config().clone(), &request, None))
}

/// Name and value of a `Set-Cookie` header.
fn pair_of(line: &HeaderValue) -> &[u8] {
    let line = line.as_bytes();
    line.split(|&b| b == b';').next().unwrap_or(line)
}

fn sensitive(pair: Vec<u8>) -> HeaderValue {
    let mut header = HeaderValue::from_maybe_shared(Bytes::from(pair))
        .expect("it is from a header, or a name and base64url");
    header.set_sensitive(true);
    header
}

/// A clock that stands still until it is set. Clones share the time.
///
/// By default it shows the time at which it was created.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<Mutex<OffsetDateTime>>);

impl TestClock {
    /// A clock that shows `moment`.
    #[must_use]
    pub fn at(moment: OffsetDateTime) -> Self {
        Self(Arc::new(Mutex::new(moment)))
    }

    /// Sets the clock to `moment`, forward or back.
    pub fn set(&self, moment: OffsetDateTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = moment;
    }

    /// Moves the clock forward.
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

/// A session for the examples in this documentation.
#[doc(hidden)]
#[must_use]
pub fn example() -> Session {
    session(&SessionLayer::new(
        crate::KeyRing::ephemeral().expect("entropy"),
    ))
}
