//! Session sizes: a session is stored exactly, or the change is refused and the session is
//! unchanged.

use axum::{Router, routing::get};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tower_sealed_session::{Error, ErrorKind, KeyRing, Session, SessionLayer, testing};

use crate::support::{Visitor, keys, layer};

const LIMIT: usize = 4096;

fn contents(session: &Session) -> (BTreeMap<String, Value>, Option<String>) {
    (
        session.read().expect("any entries make a map"),
        session.owner(),
    )
}

fn refused(session: &Session, change: impl FnOnce(&Session) -> Result<(), Error>) -> Error {
    let before = contents(session);
    let error = change(session).expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(contents(session), before, "the session is unchanged");
    error
}

#[test]
fn too_large_errors_name_the_limit_and_the_largest_keys() {
    let layer = layer();
    let session = testing::session(&layer);
    session.insert("small", 1).expect("fits");
    session.insert("large", "x".repeat(1500)).expect("fits");
    session.insert("larger", "x".repeat(1200)).expect("fits");
    let text = "y".repeat(1400);
    let owned = text.clone();
    let errors = [
        refused(&session, |s| s.insert("new", &text)),
        refused(&session, |s| s.insert("small", &text)),
        refused(&session, |s| {
            s.update("new", move |_: Option<String>| owned.clone())
                .map(|_| ())
        }),
        refused(&session, |s| s.write(&json!({"a": 1, "new": text}))),
    ];
    for error in errors {
        let sizes = error.too_large().expect("sizes");
        assert_eq!(sizes.limit(), LIMIT);
        assert!(sizes.size() > LIMIT);
        let largest: Vec<_> = sizes
            .largest()
            .iter()
            .map(|(key, len)| (&**key, *len))
            .collect();
        assert_eq!(
            (largest[0], largest[2]),
            (("large", 1502), ("larger", 1202))
        );
        assert_eq!(largest[1].1, 1402);
        let message = error.to_string();
        assert!(
            message.contains("4096") && message.contains("\"large\" (1502 bytes)"),
            "{message}"
        );
    }
}

#[test]
fn is_empty_ignores_the_owner() {
    let session = testing::session(&layer());
    assert!(session.is_empty());
    session.login("ada").expect("fits");
    assert!(session.is_empty());
    session.insert("a", 1).expect("fits");
    assert!(!session.is_empty());
    session.remove("a");
    assert!(session.is_empty());
}

#[test]
fn login_is_refused_if_the_owner_does_not_fit() {
    let layer = layer();
    let session = testing::session(&layer);
    session.insert("large", "x".repeat(2900)).expect("fits");
    refused(&session, |s| s.login("o".repeat(255)));
    session.login("ada").expect("fits");
    refused(&session, |s| s.insert("more", "x".repeat(300)));
}

#[test]
fn huge_values_are_refused() {
    let layer = layer();
    let session = testing::session(&layer);
    for len in [5_000, 20_000, 3 << 20] {
        let text = "x".repeat(len);
        refused(&session, |s| s.insert("k", &text));
        refused(&session, |s| s.write(&json!({"k": &text})));
    }
}

#[test]
fn keys_and_owners_have_1_to_255_bytes() {
    let layer = layer();
    let session = testing::session(&layer);
    let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
    session.insert(&longest, 1).expect("fits");
    session.login(&longest).expect("fits");
    for bad in ["", &too_long] {
        assert_eq!(
            session.insert(bad, 1).expect_err("refused").kind(),
            ErrorKind::InvalidKey
        );
        assert_eq!(
            session
                .update(bad, |_: Option<u8>| 1)
                .expect_err("refused")
                .kind(),
            ErrorKind::InvalidKey
        );
        assert_eq!(
            session.write(&json!({bad: 1})).expect_err("refused").kind(),
            ErrorKind::InvalidKey
        );
        assert_eq!(
            session.login(bad).expect_err("refused").kind(),
            ErrorKind::InvalidOwner
        );
        assert_eq!(session.get::<u8>(bad).expect("none"), None);
        assert!(!session.remove(bad));
    }
}

/// The largest accepted session is sent and can be read back.
#[tokio::test]
async fn largest_session_fills_the_limit_up_to_one_block() {
    async fn fill(session: Session) -> String {
        let fits = (1..4096)
            .rev()
            .find(|len| session.insert("k", "x".repeat(*len)).is_ok());
        fits.expect("something fits").to_string()
    }
    async fn len(session: Session) -> String {
        session
            .get::<String>("k")
            .expect("text")
            .map_or(0, |text| text.len())
            .to_string()
    }
    for name in ["session", "s", &"n".repeat(100)] {
        let layer = SessionLayer::builder(keys())
            .name(name)
            .build()
            .expect("valid settings");
        let app = Router::new()
            .route("/fill", get(fill))
            .route("/len", get(len))
            .layer(layer);
        let mut visitor = Visitor::default();
        let filled = visitor.get(&app, "/fill").await;
        let cookies = filled.cookies();
        let pair = cookies[0].name().len() + cookies[0].value().len();
        assert!((LIMIT - 22..=LIMIT).contains(&pair), "{pair}");
        assert_eq!(visitor.get(&app, "/len").await.body, filled.body);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(String, Value),
    Update(String, Value),
    Write(BTreeMap<String, Value>),
    Remove(String),
    Login(String),
    Clear,
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(|n| json!(n)),
        any::<bool>().prop_map(|b| json!(b)),
        Just(Value::Null),
        ".{0,40}".prop_map(|text| json!(text)),
        (0_usize..3500).prop_map(|len| json!("é".repeat(len / 2))),
        prop::collection::vec(any::<u16>(), 0..300).prop_map(|list| json!(list)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let key = || prop_oneof!["[a-d]", ".{1,20}"];
    prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| Op::Insert(key, value)),
        2 => (key(), value()).prop_map(|(key, value)| Op::Update(key, value)),
        1 => prop::collection::btree_map(key(), value(), 0..4).prop_map(Op::Write),
        2 => key().prop_map(Op::Remove),
        1 => ".{0,80}".prop_map(Op::Login),
        1 => Just(Op::Clear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Compares the session with a model: accepted changes are visible, refused changes change
    /// nothing, and the cookie stays within the limit and opens to the same session.
    #[test]
    fn accepted_changes_fit_the_cookie_and_read_back(ops in prop::collection::vec(op(), 1..24)) {
        let layer = SessionLayer::new(KeyRing::ephemeral().expect("entropy"));
        let session = testing::session(&layer);
        let (mut entries, mut owner) = (BTreeMap::new(), None);
        for op in ops {
            match op {
                Op::Insert(key, value) => if session.insert(&key, &value).is_ok() {
                    entries.insert(key, value);
                },
                Op::Update(key, value) => {
                    let new = value.clone();
                    if session.update(&key, move |_: Option<Value>| new.clone()).is_ok() {
                        entries.insert(key, value);
                    }
                }
                Op::Write(map) => if session.write(&map).is_ok() {
                    entries.extend(map);
                },
                Op::Remove(key) => prop_assert_eq!(session.remove(&key), entries.remove(&key).is_some()),
                Op::Login(name) => if session.login(&name).is_ok() {
                    if owner.as_ref().is_some_and(|owner| *owner != name) {
                        entries.clear();
                    }
                    owner = Some(name);
                },
                Op::Clear => {
                    session.clear();
                    entries.clear();
                }
            }
            prop_assert_eq!(contents(&session), (entries.clone(), owner.clone()));
        }
        prop_assert_eq!(session.keys(), entries.keys().cloned().collect::<Vec<_>>());
        prop_assert_eq!(session.len(), entries.len());
        let cookie = testing::cookie(&layer, &session).expect("a cookie");
        prop_assert!(cookie.len() - 1 <= LIMIT, "name and value are {} bytes", cookie.len() - 1);
        let set = format!("{}; Path=/", cookie.to_str().expect("ASCII")).parse().expect("a header");
        let headers = axum::http::HeaderMap::from_iter([(axum::http::header::SET_COOKIE, set)]);
        let back = testing::received(&layer, &headers).expect("it opens");
        prop_assert_eq!(contents(&back), (entries, owner));
    }
}
