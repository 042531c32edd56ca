//! The number of store calls per request.

use std::time::Duration;

use tower_sealed_session::{KeyRing, Secret, SessionLayer, store::MemoryStore};

use super::{
    app,
    backend::{Backend, Counts, Wrapped, built},
};
use crate::support::{NAME, OTHER_SECRET, Visitor, get_with, keys, on_a_clock, secret};

#[tokio::test]
async fn each_request_makes_the_expected_number_of_calls() {
    let counts = Counts::default();
    let store = Wrapped(MemoryStore::new(), counts.clone());
    let (builder, _) = on_a_clock();
    let app = app(built(builder).store(store.clone()));
    let mut visitor = Visitor::default();
    for (path, calls) in [
        ("/untouched", [0; 6]),
        // an anonymous reader
        ("/get/a", [0; 6]),
        // the first write of a visitor
        ("/set/a/1", [0, 1, 0, 0, 0, 0]),
        ("/untouched", [0; 6]),
        ("/get/a", [1, 0, 0, 0, 0, 0]),
        ("/set/a/1", [1, 0, 0, 0, 0, 0]),
        ("/set/a/2", [1, 0, 1, 0, 0, 0]),
        ("/count", [1, 0, 1, 0, 0, 0]),
        ("/login/ada", [1, 1, 1, 0, 0, 0]),
        ("/renew", [1, 0, 1, 0, 0, 0]),
        ("/remember", [1, 0, 1, 0, 0, 0]),
        ("/commit", [1, 0, 1, 0, 0, 0]),
        ("/logout", [1, 0, 1, 0, 0, 0]),
        ("/get/a", [0; 6]),
    ] {
        let answer = visitor.get(&app, path).await;
        assert!(answer.status.as_u16() != 500, "{path}");
        assert_eq!(
            counts.take(),
            calls,
            "{path}: load, create, save, touch, delete, delete_owner"
        );
    }
}

/// The calls to the old store, and those to the new one.
#[tokio::test]
async fn each_request_makes_the_expected_number_of_calls_while_sessions_move() {
    let (old, new) = (Counts::default(), Counts::default());
    let stores = [MemoryStore::new(), MemoryStore::new()];
    let (builder, clock) = on_a_clock();
    let before = app(built(builder).store(stores[0].clone()));
    let layer = || built(SessionLayer::builder(keys()).clock(clock.clone()));
    let [old_store, new_store] = stores;
    let moving = layer()
        .read_from(Wrapped(old_store.clone(), old.clone()))
        .store(Wrapped(new_store, new.clone()));
    let moving = app(moving);
    let none = [0; 6];
    let load = [1, 0, 0, 0, 0, 0];
    let moves = [1, 1, 0, 1, 0, 0];
    for (path, in_old, in_new) in [
        ("/untouched", none, none),
        ("/get/a", [1, 0, 1, 0, 0, 0], moves),
        ("/set/a/2", [1, 0, 1, 0, 0, 0], moves),
        ("/renew", [1, 0, 1, 0, 0, 0], moves),
        ("/login/ada", [1, 0, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]),
        ("/logout", [1, 0, 1, 0, 0, 0], load),
    ] {
        let mut visitor = Visitor::default();
        visitor.get(&before, "/set/a/1").await;
        let mut first = visitor.clone();
        visitor.get(&moving, path).await;
        assert_eq!((old.take(), new.take()), (in_old, in_new), "{path}");
        // after that, the old store is not called any more
        visitor.get(&moving, "/set/a/3").await;
        let [_, create, save, ..] = new.take();
        let moved_before = !["/untouched", "/logout"].contains(&path);
        assert_eq!(
            (old.take() == none, create + save),
            (path != "/untouched", 1),
            "{path}"
        );
        if moved_before && path != "/login/ada" && path != "/renew" {
            // the old ticket finds a pointer, and gets the ticket of the row if it is still there
            assert_eq!(first.get(&moving, "/get/a").await.body, "3", "{path}");
            assert_eq!((old.take(), new.take()), (load, [3, 0, 0, 0, 0, 0]));
        }
    }
    // who is new is not looked for in the old store
    let mut visitor = Visitor::default();
    for (path, in_new) in [
        ("/get/a", none),
        ("/set/a/1", [0, 1, 0, 0, 0, 0]),
        ("/get/a", load),
        ("/set/a/2", [1, 0, 1, 0, 0, 0]),
        ("/login/ada", [1, 1, 1, 0, 0, 0]),
        ("/logout", [1, 0, 1, 0, 0, 0]),
    ] {
        visitor.get(&moving, path).await;
        assert_eq!((old.take(), new.take()), (none, in_new), "{path}");
    }
}

#[tokio::test]
async fn invalid_cookies_make_no_store_call() {
    let counts = Counts::default();
    let store = Wrapped(MemoryStore::new(), counts.clone());
    let (builder, clock) = on_a_clock();
    let app = app(built(builder).store(store.clone()));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/set/a/1").await;
    let ticket = visitor.jar[NAME].clone();
    counts.take();
    let (builder, _) = on_a_clock();
    let foreign = super::app(
        built(SessionLayer::builder(KeyRing::new(secret(OTHER_SECRET)))).store(MemoryStore::new()),
    );
    drop(builder);
    let mut other = Visitor::default();
    other.get(&foreign, "/set/a/1").await;
    let mut flipped = ticket.clone().into_bytes();
    let last = flipped.len() - 3;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).expect("ASCII");
    for value in [&*flipped, &ticket[1..], "", "x", &other.jar[NAME]] {
        let line = format!("{NAME}={value}");
        assert_eq!(
            get_with(&app, "/get/a", &[line.as_bytes()]).await.status,
            404
        );
        assert_eq!(counts.take(), [0; 6], "{} bytes", value.len());
    }
    clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(visitor.get(&app, "/get/a").await.status, 404);
    assert_eq!(
        counts.take(),
        [0; 6],
        "the ticket contains the absolute end"
    );
}

#[tokio::test]
async fn used_session_is_touched_ten_times_per_idle_timeout() {
    let counts = Counts::default();
    let store = Wrapped(MemoryStore::new(), counts.clone());
    let (builder, clock) = on_a_clock();
    let app = app(built(builder).store(store.clone()));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/set/a/1").await;
    let ticket = visitor.jar.clone();
    counts.take();
    let mut touches = 0;
    for _ in 0..600 {
        clock.advance(Duration::from_secs(6));
        assert_eq!(visitor.get(&app, "/get/a").await.body, "1");
        let [load, create, save, touch, ..] = counts.take();
        assert_eq!(
            (load, create, save),
            (1, 0, 0),
            "a touch does not rewrite the row"
        );
        touches += touch;
    }
    assert!((9..=10).contains(&touches), "{touches} touches in an hour");
    // a visit just before the idle timeout always keeps the session, until the absolute timeout
    for _ in 0..22 {
        clock.advance(Duration::from_secs(3600 - 1));
        assert_eq!(visitor.get(&app, "/get/a").await.body, "1");
    }
    assert_eq!(visitor.jar, ticket, "a ticket is not refreshed");
    clock.advance(Duration::from_secs(3600));
    assert_eq!(
        visitor.get(&app, "/get/a").await.status,
        404,
        "the absolute timeout has passed"
    );
}

/// Each call is one command once the scripts are loaded.
#[tokio::test]
async fn each_call_is_one_redis_command() {
    let backend = Backend::redis().await;
    let watcher = redis::Client::open(backend.url()).expect("a URL");
    let mut watcher = watcher
        .get_multiplexed_async_connection()
        .await
        .expect("a server");
    let mut commands = async || -> u64 {
        let stats: String = redis::cmd("INFO")
            .arg("commandstats")
            .query_async(&mut watcher)
            .await
            .expect("stats");
        let calls = stats.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let sent = ["get", "evalsha", "eval", "script|load", "set", "del"].contains(&name);
            // commands inside scripts are counted as well, but are no round trip
            (sent && ["evalsha", "eval", "script|load"].contains(&name) || name == "get")
                .then(|| rest.split(',').next()?.parse::<u64>().ok())?
        });
        calls.sum()
    };
    let store = backend.open().await;
    let app = app(built(SessionLayer::builder(crate::support::keys())).store(store));
    let mut visitor = Visitor::default();
    // load the scripts first
    for path in [
        "/set/a/1",
        "/set/a/2",
        "/login/ada",
        "/renew",
        "/logout",
        "/set/a/1",
    ] {
        visitor.get(&app, path).await;
    }
    for (path, trips) in [
        ("/get/a", 1),
        ("/set/a/2", 2),
        ("/login/ada", 3),
        ("/renew", 2),
        ("/logout", 2),
    ] {
        let before = commands().await;
        visitor.get(&app, path).await;
        assert_eq!(commands().await - before, trips, "{path}");
    }
}

#[tokio::test]
async fn key_rotation_keeps_stored_sessions_and_unknown_keys_delete_nothing() {
    let counts = Counts::default();
    let store = Wrapped(MemoryStore::new(), counts.clone());
    let layer = |keys: KeyRing| {
        let (builder, _) = (SessionLayer::builder(keys), ());
        app(built(builder).store(store.clone()))
    };
    let [old, new] =
        [crate::support::SECRET, OTHER_SECRET].map(|text| move || Secret::new(text).expect("good"));
    let before = layer(KeyRing::new(old()));
    let both = layer(KeyRing::new(old()).fallback(new()));
    let swapped = layer(KeyRing::new(new()).fallback(old()));
    let after = layer(KeyRing::new(new()));
    let mut visitor = Visitor::default();
    visitor.get(&before, "/login/ada").await;
    visitor.get(&before, "/set/a/1").await;
    // without the secret the visitor is anonymous, and cookie and row are unchanged
    let answer = visitor.clone().get(&after, "/get/a").await;
    assert!(answer.status == 404 && answer.sets_nothing());
    assert_eq!(visitor.get(&both, "/get/a").await.body, "1");
    // a write seals the row with the new secret; a new id seals the ticket with it
    assert!(visitor.get(&swapped, "/set/a/2").await.sets_nothing());
    let half = visitor.clone().get(&after, "/get/a").await;
    assert!(
        half.status == 404 && half.sets_nothing(),
        "a ticket with an unknown key means an anonymous visitor"
    );
    assert!(!visitor.get(&swapped, "/renew").await.sets_nothing());
    assert_eq!(visitor.get(&after, "/get/a").await.body, "2");
    assert_eq!(visitor.get(&after, "/who").await.body, "ada");
    let [_, creates, .., deletes, _] = counts.take();
    assert_eq!((creates, deletes), (1, 0));

    // `delete_owner` covers all secrets of the layer
    let sessions = SessionLayer::new(KeyRing::new(new()).fallback(old())).store(store.clone());
    let mut second = Visitor::default();
    second.get(&before, "/login/ada").await;
    assert_eq!(sessions.delete_owner("ada").await.expect("a store"), 2);
    for visitor in [&mut visitor, &mut second] {
        assert_eq!(visitor.get(&swapped, "/who").await.body, "");
    }
}
