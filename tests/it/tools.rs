//! `tools`: looking at cookies and rows from outside an app.

use std::time::Duration;

use tower_sealed_session::{
    KeyRing, Secret, SessionLayer,
    store::{MemoryStore, Operate as _},
    testing,
    tools::{self, Contents, Import, ImportFound},
};

use crate::support::{OTHER_SECRET, SECRET};

fn ring(current: &str, fallback: Option<&str>) -> KeyRing {
    let secret = |text| Secret::new(text).expect("a good one");
    let ring = KeyRing::new(secret(current));
    match fallback {
        Some(fallback) => ring.fallback(secret(fallback)),
        None => ring,
    }
}

fn layer(current: &str, fallback: Option<&str>) -> SessionLayer {
    SessionLayer::new(ring(current, fallback))
}

/// The value of a cookie of a session with an owner and an entry.
fn value(layer: &SessionLayer) -> String {
    let session = testing::session(layer);
    session.login("ada").expect("it is small");
    session.insert("theme", "dark").expect("it is small");
    let cookie = testing::cookie(layer, &session).expect("entropy");
    let (_, value) = cookie
        .to_str()
        .expect("ASCII")
        .split_once('=')
        .expect("a pair");
    value.to_owned()
}

#[test]
fn inspection_names_the_key_and_the_reason() {
    let now = time::OffsetDateTime::now_utc();
    let value = value(&layer(SECRET, None));
    let seen = |layer: &SessionLayer, value: &str, now| {
        let inspection = tools::inspect(layer, value.as_bytes(), now);
        let is_current = inspection.key().map(|key| key.is_current());
        (
            inspection.rejected(),
            is_current,
            inspection.session().is_some(),
        )
    };
    let (own, rotated) = (layer(SECRET, None), layer(OTHER_SECRET, Some(SECRET)));
    let other = layer(OTHER_SECRET, None);
    assert_eq!(seen(&own, &value, now), (None, Some(Some(true)), true));
    assert_eq!(seen(&rotated, &value, now), (None, Some(Some(false)), true));
    assert_eq!(
        seen(&other, &value, now),
        (Some("unknown_key"), Some(None), false)
    );
    let hour = Duration::from_secs(3601);
    assert_eq!(
        seen(&own, &value, now + hour),
        (Some("expired"), Some(Some(true)), true)
    );
    assert_eq!(
        seen(&own, &value, now - 2 * hour),
        (Some("future"), Some(Some(true)), true)
    );
    let middle = value.len() / 2;
    let changed = if value.as_bytes()[middle] == b'A' {
        "B"
    } else {
        "A"
    };
    let changed = [&value[..middle], changed, &value[middle + 1..]].concat();
    assert_eq!(
        seen(&own, &changed, now),
        (Some("forged"), Some(Some(true)), false)
    );
    assert_eq!(seen(&own, "garbage", now), (Some("garbage"), None, false));
    assert_eq!(seen(&own, "", now), (Some("garbage"), None, false));
}

#[test]
fn inspected_session_shows_its_entries_only_when_asked() {
    let layer = layer(SECRET, None);
    let now = time::OffsetDateTime::now_utc();
    let inspection = tools::inspect(&layer, value(&layer).as_bytes(), now);
    let session = inspection.session().expect("it opened");
    assert_eq!(
        (session.owner(), session.json("theme")),
        (Some("ada"), Some("\"dark\""))
    );
    assert_eq!(
        (session.is_ticket(), session.is_remembered()),
        (false, false)
    );
    let life = session.expires_at_last() - session.created_at();
    assert_eq!(life, time::Duration::hours(24));
    assert_eq!(
        session.expires_at() - session.sealed_at(),
        time::Duration::hours(1)
    );
    let shown = format!("{inspection:?}");
    assert!(!shown.contains("ada") && !shown.contains("theme") && !shown.contains("dark"));
}

#[tokio::test]
async fn contents_of_rows_are_told_apart() {
    let store = MemoryStore::new();
    let layer = layer(SECRET, None).store(store.clone());
    let now = time::OffsetDateTime::now_utc();
    let mut import = Import::new("ada", now + Duration::from_secs(60)).expect("an owner");
    import.json("a", "1").expect("JSON");
    let imported = tools::import(&layer, &import).await.expect("a store");
    assert_eq!(imported, ImportFound::Nothing);
    let part = store.scan(None).await.expect("a store");
    let [(key, row)] = &part.sessions[..] else {
        panic!("one row");
    };
    assert_eq!(tools::contents(&layer, *key, row), Contents::Imported);
    let other = self::layer(OTHER_SECRET, None);
    assert_eq!(tools::contents(&other, *key, row), Contents::Unreadable);
}

#[tokio::test]
async fn import_is_found_after_a_rotation_of_the_secret() {
    let store = MemoryStore::new();
    let now = time::OffsetDateTime::now_utc();
    let mut entries = Import::new("ada", now + Duration::from_secs(60)).expect("an owner");
    entries.json("a", "1").expect("JSON");
    let before = layer(SECRET, None).store(store.clone());
    tools::import(&before, &entries).await.expect("a store");
    let after = layer(OTHER_SECRET, Some(SECRET)).store(store.clone());
    let found = tools::import(&after, &entries).await.expect("a store");
    assert_eq!(found, ImportFound::Same);
    let other_file = entries.source(*b"another.", 1);
    let found = tools::import(&after, &other_file).await.expect("a store");
    assert_eq!(found, ImportFound::Older);
    let session = testing::session(&after);
    session.login("ada").expect("it is small");
    assert!(session.adopt_imported().await.expect("a store"));
    assert_eq!(session.get::<u8>("a").expect("a number"), Some(1));
    let found = tools::import(&after, &other_file).await.expect("a store");
    assert_eq!(found, ImportFound::Used);
}

#[tokio::test]
async fn adopting_keeps_what_the_session_has_and_needs_an_owner() {
    let store = MemoryStore::new();
    let layer = layer(SECRET, None).store(store);
    let now = time::OffsetDateTime::now_utc();
    let mut entries = Import::new("ada", now + Duration::from_secs(60)).expect("an owner");
    entries.json("cart", r#"["old"]"#).expect("JSON");
    entries.json("theme", r#""dark""#).expect("JSON");
    tools::import(&layer, &entries).await.expect("a store");
    let session = testing::session(&layer);
    let error = session
        .adopt_imported()
        .await
        .expect_err("nobody is logged in");
    assert_eq!(error.kind(), tower_sealed_session::ErrorKind::NoOwner);
    session.insert("cart", ["new"]).expect("it is small");
    session.login("ada").expect("it is small");
    assert!(session.adopt_imported().await.expect("a store"));
    let cart = session.get::<Vec<String>>("cart").expect("a list");
    assert_eq!(cart.expect("an entry"), ["new"]);
    assert_eq!(
        session.get::<String>("theme").expect("a text").as_deref(),
        Some("dark")
    );
    assert!(!session.adopt_imported().await.expect("a store"));
}

#[tokio::test]
async fn entries_that_do_not_fit_a_row_are_refused() {
    let layer = layer(SECRET, None).store(MemoryStore::new());
    let now = time::OffsetDateTime::now_utc();
    let mut entries = Import::new("ada", now).expect("an owner");
    entries
        .json("big", &format!("\"{}\"", "x".repeat(65_536)))
        .expect("JSON");
    let error = tools::import(&layer, &entries)
        .await
        .expect_err("too large");
    assert_eq!(error.kind(), tower_sealed_session::ErrorKind::TooLarge);
    assert!(Import::new("", now).is_err() && Import::new("x".repeat(256), now).is_err());
}
