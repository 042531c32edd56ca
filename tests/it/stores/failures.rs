//! Failures of the store, and of a layer without one: events and texts that say what to do.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::StatusCode;
use tower_sealed_session::{
    KeyRing, SessionLayer,
    store::{MemoryStore, SqliteStore, StoreError, StoreErrorKind, StoreKey},
};

use super::{
    app,
    backend::{Call, Intercept, Wrapped, layer},
};
use crate::support::{Events, OTHER_SECRET, SECRET, Visitor, secret};

/// The lines of an event.
fn lines<'a>(log: &'a str, event: &str) -> Vec<&'a str> {
    let event = format!("event=\"{event}\"");
    log.lines().filter(|line| line.contains(&event)).collect()
}

#[tokio::test]
async fn missing_schema_names_create_schema() {
    let store = SqliteStore::connect("sqlite::memory:").await;
    let app = app(layer(store.expect("a database")));
    let events = Events::capture();
    let answer = Visitor::default().get(&app, "/login/ada").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let log = events.text();
    for event in ["store_failed", "failed"] {
        let [line] = lines(&log, event)[..] else {
            panic!("one `{event}`: {log}")
        };
        assert!(line.contains("call `create_schema()`"), "{line}");
        assert!(line.contains("no such table: sessions"), "{line}");
    }
}

/// Fails with this kind while it is switched on.
#[derive(Clone)]
struct Fails(StoreErrorKind, Arc<AtomicBool>);

impl Intercept for Fails {
    async fn intercept<T: Send>(
        &self,
        _: Call,
        _: Option<StoreKey>,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        match self.1.load(Ordering::Relaxed) {
            true => Err(StoreError::new(self.0).because(std::io::Error::other("the cause"))),
            false => operation.await,
        }
    }
}

/// The handler returns the error of `commit`, and the response cannot be saved either.
#[tokio::test]
async fn failure_of_the_store_is_one_event_at_warn_for_each_response() {
    for kind in [
        StoreErrorKind::Full,
        StoreErrorKind::TimedOut,
        StoreErrorKind::Denied,
        StoreErrorKind::Other,
    ] {
        let failing = Arc::new(AtomicBool::new(false));
        let store = Wrapped(MemoryStore::new(), Fails(kind, failing.clone()));
        let app = app(layer(store));
        let mut visitor = Visitor::default();
        visitor.get(&app, "/login/ada").await;
        failing.store(true, Ordering::Relaxed);
        let events = Events::capture();
        for (cookies, path) in [
            // the extractor fails
            (visitor.clone(), "/who"),
            // the commit of the response fails
            (Visitor::default(), "/set/a/1"),
            // both commits fail
            (Visitor::default(), "/commit"),
        ] {
            let answer = cookies.clone().get(&app, path).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert_eq!(answer.header("retry-after"), ["1"]);
            let log = events.text();
            let [line] = lines(&log, "failed")[..] else {
                panic!("{path}: one event: {log}")
            };
            let wanted = StoreError::new(kind).to_string() + ": the cause";
            for part in ["WARN", "kind=Unavailable", &wanted] {
                assert!(line.contains(part), "{part} is not in: {line}");
            }
        }
    }
}

/// The handler's error and the commit's error differ: each is told.
#[tokio::test]
async fn two_different_failures_of_one_request_are_two_events() {
    let failing = Arc::new(AtomicBool::new(false));
    let store = Wrapped(
        MemoryStore::new(),
        Fails(StoreErrorKind::Full, failing.clone()),
    );
    let app = app(layer(store));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login/ada").await;
    let events = Events::capture();
    // the handler inserts an entry, then fails to insert a large one
    failing.store(true, Ordering::Relaxed);
    let answer = Visitor::default().get(&app, "/set-and-big/70000").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let log = events.text();
    let [first, second] = lines(&log, "failed")[..] else {
        panic!("two events: {log}")
    };
    assert!(first.contains("ERROR") && first.contains("kind=TooLarge"));
    assert!(second.contains("WARN") && second.contains("kind=Unavailable"));
}

#[tokio::test]
async fn ticket_at_a_layer_without_a_store_says_which_setting_is_missing() {
    let mut visitor = Visitor::default();
    visitor
        .get(&app(layer(MemoryStore::new())), "/login/ada")
        .await;
    let events = Events::capture();
    let answer = visitor.get(&app(crate::support::layer()), "/who").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let log = events.text();
    assert!(
        log.contains("this layer has no store: set `store`"),
        "{log}"
    );
}

#[tokio::test]
async fn row_with_an_unknown_key_is_an_event_with_the_id_of_the_key() {
    let store = MemoryStore::new();
    let ring = |current, fallback| KeyRing::new(secret(current)).fallback(secret(fallback));
    let old = app(SessionLayer::new(KeyRing::new(secret(SECRET))).store(store.clone()));
    let swapped = app(SessionLayer::new(ring(OTHER_SECRET, SECRET)).store(store.clone()));
    let back = app(SessionLayer::new(ring(SECRET, OTHER_SECRET)).store(store.clone()));
    let new = app(SessionLayer::new(KeyRing::new(secret(OTHER_SECRET))).store(store));
    let mut visitor = Visitor::default();
    visitor.get(&old, "/login/ada").await;
    let answer = visitor.get(&swapped, "/renew").await;
    let row = visitor.clone();
    // the ticket has the new secret, and this writes the row with the old one
    visitor.get(&back, "/set/a/1").await;
    assert!(!answer.sets_nothing() && visitor.jar == row.jar);
    let events = Events::capture();
    assert_eq!(visitor.get(&new, "/who").await.body, "");
    let log = events.text();
    let [line] = lines(&log, "unreadable")[..] else {
        panic!("one event: {log}")
    };
    for part in [
        "ERROR",
        "reason=\"unknown_key\"",
        " key=",
        "SESSION_SECRET_FALLBACKS",
    ] {
        assert!(line.contains(part), "{part} is not in: {line}");
    }
}

/// `main` prints the cause too, although `Display` leaves it to `source`.
#[test]
fn debug_of_a_store_error_adds_its_sources() {
    let cause = std::io::Error::other("the cause");
    let error = StoreError::new(StoreErrorKind::Unreachable).because(cause);
    assert!(!error.to_string().contains("the cause"));
    assert_eq!(format!("{error:?}"), format!("{error}: the cause"));
    let outer = StoreError::new(StoreErrorKind::Config)
        .because(error)
        .message("no sessions");
    assert_eq!(outer.to_string(), "no sessions");
    let shown = format!("{outer:?}");
    assert!(shown.starts_with("no sessions: ") && shown.ends_with(": the cause"));
}
