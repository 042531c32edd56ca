//! Views of a session without a response: they show what a request would see, and change nothing.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, header::COOKIE},
    routing::get,
};
use tower_sealed_session::{
    Clock as _, ErrorKind, KeyRing, Session, SessionLayer, SessionView, testing,
};

use crate::support::{Events, NAME, OTHER_SECRET, Visitor, get_with, layer, on_a_clock, secret};

pub(crate) fn headers(lines: &[&[u8]]) -> HeaderMap {
    let value = |line: &&[u8]| HeaderValue::from_bytes(line).expect("a header value");
    HeaderMap::from_iter(lines.iter().map(|line| (COOKIE, value(line))))
}

/// What a visitor sends.
pub(crate) fn of(visitor: &Visitor) -> HeaderMap {
    headers(&[visitor.cookie_line().as_bytes()])
}

fn of_session(layer: &SessionLayer, session: &Session) -> HeaderMap {
    HeaderMap::from_iter([(COOKIE, testing::cookie(layer, session).expect("a cookie"))])
}

fn app(layer: SessionLayer) -> Router {
    Router::new()
        .route("/login", get(async |s: Session| s.login("ada")))
        .route("/logout", get(async |s: Session| s.logout()))
        .route("/renew", get(async |s: Session| s.renew()))
        .route("/len", get(async |s: Session| s.len().to_string()))
        .layer(layer)
}

#[tokio::test]
async fn view_shows_what_a_request_would_see() {
    let (builder, clock) = on_a_clock();
    let layer = builder.build().expect("valid settings");
    let session = testing::session(&layer);
    session.insert("cart", ["tea"]).expect("small");
    session.login("ada").expect("short");
    let headers = of_session(&layer, &session);
    clock.advance(Duration::from_secs(600));

    let view = layer.open(&headers).await.expect("it opens");
    let cart = view.get::<Vec<String>>("cart").expect("a list");
    assert_eq!(cart.expect("an entry"), ["tea"]);
    assert_eq!(view.get::<u8>("missing").expect("nothing"), None);
    let wrong = view.get::<u8>("cart").expect_err("a list");
    assert_eq!(wrong.kind(), ErrorKind::WrongType);
    let all: BTreeMap<String, Vec<String>> = view.read().expect("a map");
    assert_eq!(all["cart"], ["tea"]);
    assert_eq!((view.keys(), view.len()), (vec!["cart".to_owned()], 1));
    assert!(view.contains_key("cart") && !view.is_empty());
    assert_eq!(view.id(), Some(session.id().expect("drawn")));
    assert_eq!(view.owner().as_deref(), Some("ada"));
    assert_eq!(view.created_at(), session.created_at());
    assert!(view.logged_in_within(Duration::from_secs(600)));
    assert!(!view.logged_in_within(Duration::from_secs(599)));
    assert!(view.still_valid().await.expect("a clock"));
    assert_eq!(
        format!("{:?}", view.clone()),
        "SessionView { entries: 1, owned: true, .. }"
    );
}

#[tokio::test]
async fn view_does_not_extend_the_session() {
    let (builder, clock) = on_a_clock();
    let layer = builder.build().expect("valid settings");
    let (app, mut visitor) = (app(layer.clone()), Visitor::default());
    visitor.get(&app, "/login").await;
    let end = clock.now() + Duration::from_secs(3600);
    let events = Events::capture();
    for _ in 0..6 {
        clock.advance(Duration::from_secs(599));
        let view = layer.open(&of(&visitor)).await.expect("it opens");
        assert_eq!(view.expires_at(), end);
        assert_eq!(events.drain(), [""; 0]);
    }
    clock.set(end);
    let view = layer.open(&of(&visitor)).await.expect("it opens");
    assert_eq!((view.owner(), view.id()), (None, None));
    assert_eq!(events.drain(), ["rejected expired"]);
}

/// The same cookies in a request give the same session and the same events.
#[tokio::test]
async fn view_checks_cookies_as_a_request_does() {
    let (builder, clock) = on_a_clock();
    let layer = builder.build().expect("valid settings");
    let app = app(layer.clone());
    let cookie = |layer: &SessionLayer, key: &str| {
        let session = testing::session(layer);
        session.insert(key, 1).expect("small");
        testing::cookie(layer, &session)
            .expect("a cookie")
            .as_bytes()
            .to_vec()
    };
    let old = cookie(&layer, "old");
    clock.advance(Duration::from_secs(3600));
    let foreign = SessionLayer::builder(KeyRing::new(secret(OTHER_SECRET))).clock(clock.clone());
    let foreign = cookie(&foreign.build().expect("valid settings"), "foreign");
    let (one, two) = (cookie(&layer, "one"), cookie(&layer, "two"));
    let mut forged = one.clone();
    let last = forged.len() - 3;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let garbage = format!("{NAME}=garbage").into_bytes();
    let both = [&one[..], b"; ", &two].concat();
    let beside = [&one[..], b"; ", &foreign, b"; ", &garbage].concat();
    let cases: [(&[&[u8]], usize); 10] = [
        (&[], 0),
        (&[&one], 1),
        (&[&old], 0),
        (&[&foreign], 0),
        (&[&forged], 0),
        (&[&garbage], 0),
        (&[&both], 0),
        (&[&one, &two], 0),
        (&[&beside], 1),
        (&[&forged, &one, &one], 1),
    ];
    let events = Events::capture();
    for (case, (lines, len)) in cases.into_iter().enumerate() {
        let view = layer.open(&headers(lines)).await.expect("it opens");
        assert_eq!((view.len(), view.id().is_some()), (len, len == 1), "{case}");
        let mut seen = events.drain();
        // a warning that comes once a minute
        seen.retain(|event| event != "unknown_keys");
        let answer = get_with(&app, "/len", lines).await;
        assert_eq!(answer.body, len.to_string(), "{case}");
        assert_eq!(events.drain(), seen, "{case}");
    }
}

#[tokio::test]
async fn view_is_a_snapshot_and_still_valid_notices_the_end() {
    for end in ["/logout", "/login", "/renew"] {
        let (builder, clock) = on_a_clock();
        let layer = builder.build().expect("valid settings");
        let (app, mut visitor) = (app(layer.clone()), Visitor::default());
        visitor.get(&app, "/login").await;
        let view = layer.open(&of(&visitor)).await.expect("it opens");
        assert!(view.still_valid().await.expect("a clock"));
        visitor.get(&app, end).await;
        assert!(!view.still_valid().await.expect("a clock"), "{end}");
        assert_eq!(view.owner().as_deref(), Some("ada"), "a snapshot");
        let other = layer.open(&of(&visitor)).await.expect("it opens");
        clock.advance(Duration::from_secs(3600));
        assert!(!other.still_valid().await.expect("a clock"), "expired");
    }
}

#[tokio::test]
async fn view_can_move_to_another_task() {
    fn shared<T: Send + Sync + Clone + 'static>(value: T) -> T {
        value
    }
    let layer = layer();
    let session = testing::session(&layer);
    session.insert("a", 1).expect("small");
    let headers = of_session(&layer, &session);
    let task = tokio::spawn(async move {
        let view: SessionView = layer.open(&headers).await.expect("it opens");
        shared(view)
    });
    assert_eq!(task.await.expect("no panic").len(), 1);
}

#[tokio::test]
async fn view_without_a_clock_is_empty() {
    let (builder, clock) = on_a_clock();
    let layer = builder.build().expect("valid settings");
    let session = testing::session(&layer);
    session.insert("a", 1).expect("small");
    let headers = of_session(&layer, &session);
    clock.set(time::OffsetDateTime::UNIX_EPOCH - Duration::from_secs(1));
    let events = Events::capture();
    let view = layer.open(&headers).await.expect("it opens");
    assert!(view.is_empty() && view.id().is_none());
    assert_eq!(events.drain(), ["clock"]);
    let error = view.still_valid().await.expect_err("no clock");
    assert_eq!(error.kind(), ErrorKind::Clock);
}
