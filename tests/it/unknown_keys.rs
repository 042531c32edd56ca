//! Cookies that other keys sealed: a warning at most once a minute.

use std::time::Duration;

use axum::{Router, routing::get};
use tower_sealed_session::{KeyRing, Session, SessionLayer, testing};

use crate::support::{Events, OTHER_SECRET, get_with, keys, layer, on_a_clock, secret};

async fn names(session: Session) -> String {
    format!("{:?}", session.keys())
}

fn app(layer: SessionLayer) -> Router {
    Router::new().route("/", get(names)).layer(layer)
}

fn cookie(layer: &SessionLayer) -> Vec<u8> {
    let session = testing::session(layer);
    session.insert("a", 1).expect("small");
    let cookie = testing::cookie(layer, &session).expect("a cookie");
    cookie.as_bytes().to_vec()
}

/// The first four bytes after the version of the token, as hex.
fn key_id(cookie: &[u8]) -> String {
    let token = cookie.split(|&b| b == b'=').nth(1).expect("a token");
    let digit = |&c: &u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'-' => 62,
        _ => 63,
    };
    let bits = token[..8]
        .iter()
        .fold(0, |bits, c| bits << 6 | u64::from(digit(c)));
    format!("{:08x}", bits >> 8 & 0xffff_ffff)
}

/// The lines of the event.
fn warnings(events: &Events) -> Vec<String> {
    let text = events.text();
    let lines = text
        .lines()
        .filter(|line| line.contains("event=\"unknown_keys\""));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn unknown_keys_are_warned_of_once_a_minute_with_their_ids_and_number() {
    let (builder, clock) = on_a_clock();
    let app = app(builder.build().expect("valid settings"));
    let other = SessionLayer::new(KeyRing::new(secret(OTHER_SECRET)));
    let (foreign, ours) = (cookie(&other), cookie(&layer()));
    let events = Events::capture();
    let visit = async |cookie: &[u8]| {
        get_with(&app, "/", &[cookie]).await;
        warnings(&events)
    };
    let first = visit(&foreign).await;
    let [first] = &*first else {
        panic!("one warning: {first:?}")
    };
    for part in [
        "WARN",
        "count=1 ",
        &format!("keys=\"{}\"", key_id(&foreign)),
        &format!("ours={}", key_id(&ours)),
        "normal for some minutes",
        "SESSION_SECRET_FALLBACKS",
    ] {
        assert!(first.contains(part), "{part} is not in: {first}");
    }
    for _ in 0..9 {
        assert_eq!(visit(&foreign).await, [""; 0]);
    }
    clock.advance(Duration::from_secs(59));
    assert_eq!(visit(&foreign).await, [""; 0]);
    clock.advance(Duration::from_secs(1));
    assert_eq!(visit(&ours).await, [""; 0]);
    let second = visit(&foreign).await;
    assert!(
        second.len() == 1 && second[0].contains("count=11 "),
        "{second:?}"
    );
}

/// The event `rejected` stays, at `debug`.
#[tokio::test]
async fn each_cookie_with_an_unknown_key_is_still_rejected_with_its_reason() {
    let app = app(layer());
    let foreign = cookie(&SessionLayer::new(KeyRing::new(secret(OTHER_SECRET))));
    let events = Events::capture();
    for wanted in [
        &["rejected unknown_key", "unknown_keys"][..],
        &["rejected unknown_key"],
    ] {
        assert_eq!(get_with(&app, "/", &[&foreign]).await.body, "[]");
        assert_eq!(events.drain(), wanted);
    }
}

#[tokio::test]
async fn other_bad_cookies_are_not_counted_as_unknown_keys() {
    let (good, events) = (cookie(&layer()), Events::capture());
    let app = app(layer());
    let forged = [&good[..good.len() - 4], b"AAAA"].concat();
    for cookie in [&good[..], &forged, &good[..40]] {
        get_with(&app, "/", &[cookie]).await;
        assert_eq!(warnings(&events), [""; 0]);
    }
}

/// While a secret is replaced, instances that have both secrets do not warn.
#[tokio::test]
async fn rotation_as_documented_warns_of_nothing() {
    let new = || secret(OTHER_SECRET);
    let old = SessionLayer::new(keys().fallback(new()));
    let swapped = SessionLayer::new(KeyRing::new(new()).fallback(secret(crate::support::SECRET)));
    let events = Events::capture();
    for (from, to) in [(&old, &swapped), (&swapped, &old)] {
        let answer = get_with(&app(to.clone()), "/", &[&cookie(from)]).await;
        assert_eq!(answer.body, r#"["a"]"#);
    }
    assert_eq!(warnings(&events), [""; 0]);
}

#[tokio::test]
async fn clones_of_a_layer_share_the_count_and_other_layers_do_not() {
    let foreign = cookie(&SessionLayer::new(KeyRing::new(secret(OTHER_SECRET))));
    let (one, events) = (layer(), Events::capture());
    let warns = async |layer: &SessionLayer| {
        get_with(&app(layer.clone()), "/", &[&foreign]).await;
        !warnings(&events).is_empty()
    };
    assert!(warns(&one).await);
    assert!(!warns(&one.clone()).await);
    assert!(warns(&layer()).await);
}
