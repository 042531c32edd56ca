//! Shared helpers: layers on a test clock, a visitor with cookies, and captured events.

use std::{cell::RefCell, collections::BTreeMap, io, sync::Once};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tower_cookies::Cookie;
use tower_sealed_session::{
    KeyRing, Secret, SessionLayer, SessionLayerBuilder,
    testing::{self, TestClock},
};

pub(crate) const SECRET: &str = "k2Jc0fTqJHn8e0UQ3xq2v0Vd8mYb1sO4l5rXwZtA9gE=";
pub(crate) const OTHER_SECRET: &str = "QmZ4c1l0d3hHb2pTa3VqN3BFd2V5bE5pRlR4c2tBnO0=";
pub(crate) const NAME: &str = "__Host-Http-session";

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text).expect("a good secret")
}

pub(crate) fn keys() -> KeyRing {
    subscribe();
    KeyRing::new(secret(SECRET))
}

/// A builder with a test clock, and that clock.
pub(crate) fn on_a_clock() -> (SessionLayerBuilder, TestClock) {
    let clock =
        TestClock::at(time::OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("in range"));
    let builder = SessionLayer::builder(keys()).clock(clock.clone());
    (testing::as_another_process(builder), clock)
}

pub(crate) fn layer() -> SessionLayer {
    SessionLayer::new(keys())
}

/// A response with its body read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().expect("ASCII"))
            .collect()
    }

    /// The `Set-Cookie` lines, parsed.
    pub(crate) fn cookies(&self) -> Vec<Cookie<'_>> {
        let lines = self.header("set-cookie").into_iter();
        lines
            .map(|line| Cookie::parse(line).expect("a cookie"))
            .collect()
    }

    pub(crate) fn sets_nothing(&self) -> bool {
        !self.headers.contains_key(header::SET_COOKIE)
    }

    /// Whether the only `Set-Cookie` line removes the cookie.
    pub(crate) fn removes(&self) -> bool {
        matches!(&*self.cookies(), [cookie] if cookie.value().is_empty()
            && cookie.max_age().is_some_and(time::Duration::is_zero))
    }
}

pub(crate) async fn send(app: &Router, request: Request<Body>) -> Answer {
    let (parts, body) = app
        .clone()
        .oneshot(request)
        .await
        .expect("infallible")
        .into_parts();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let body = String::from_utf8(Bytes::into(body)).expect("UTF-8");
    Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

/// Sends a GET request with these `Cookie` lines, unchanged.
pub(crate) async fn get_with(app: &Router, path: &str, lines: &[&[u8]]) -> Answer {
    let mut request = Request::get(path).body(Body::empty()).expect("a request");
    for line in lines {
        let value = HeaderValue::from_bytes(line).expect("a header value");
        request.headers_mut().append(header::COOKIE, value);
    }
    send(app, request).await
}

/// Sends a POST request with an empty body and this `Cookie` line.
#[cfg(feature = "starlette")]
pub(crate) async fn post(app: &Router, path: &str, cookies: &str) -> Answer {
    let mut request = Request::post(path).body(Body::empty()).expect("a request");
    if !cookies.is_empty() {
        let value = HeaderValue::from_str(cookies).expect("a header value");
        request.headers_mut().append(header::COOKIE, value);
    }
    send(app, request).await
}

#[cfg(feature = "starlette")]
pub(crate) async fn post_body(app: &Router, path: &str, body: &str) -> Answer {
    let body = Body::from(body.to_owned());
    send(app, Request::post(path).body(body).expect("a request")).await
}

/// A visitor who keeps cookies as a browser does, but ignores their `Max-Age`.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Visitor {
    pub(crate) jar: BTreeMap<String, String>,
}

impl Visitor {
    pub(crate) fn cookie_line(&self) -> String {
        let pairs = self
            .jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    pub(crate) async fn get(&mut self, app: &Router, path: &str) -> Answer {
        let line = self.cookie_line();
        let answer = match line.is_empty() {
            true => get_with(app, path, &[]).await,
            false => get_with(app, path, &[line.as_bytes()]).await,
        };
        self.keep(&answer);
        answer
    }

    pub(crate) fn keep(&mut self, answer: &Answer) {
        for cookie in answer.cookies() {
            match cookie.max_age().is_some_and(time::Duration::is_zero) {
                true => self.jar.remove(cookie.name()),
                false => self
                    .jar
                    .insert(cookie.name().to_owned(), cookie.value().to_owned()),
            };
        }
    }
}

thread_local! {
    static EVENTS: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Installs one subscriber for all tests. Several short-lived subscribers would disturb each
/// other's caches. It writes each event to a buffer of the thread that emits it.
fn subscribe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(|| Sink)
            .init();
    });
}

struct Sink;

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        EVENTS.with_borrow_mut(|events| {
            events
                .as_mut()
                .into_iter()
                .for_each(|text| text.extend_from_slice(bytes));
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Captures this thread's events as text, from its creation on.
pub(crate) struct Events(());

impl Drop for Events {
    fn drop(&mut self) {
        EVENTS.take();
    }
}

impl Events {
    pub(crate) fn capture() -> Self {
        subscribe();
        EVENTS.set(Some(Vec::new()));
        Self(())
    }

    /// All text since the last call.
    pub(crate) fn text(&self) -> String {
        let text = EVENTS.replace(Some(Vec::new())).unwrap_or_default();
        String::from_utf8(text).expect("UTF-8")
    }

    /// The events since the last call: the name, and the reason if there is one.
    pub(crate) fn drain(&self) -> Vec<String> {
        let text = self.text();
        let field = |line: &str, name: &str| {
            let (_, rest) = line.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        let name = |line: &str| {
            let event = field(line, "event")?;
            Some(field(line, "reason").map_or(event.clone(), |reason| format!("{event} {reason}")))
        };
        text.lines().filter_map(name).collect()
    }
}
