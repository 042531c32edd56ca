//! Passive requests and views, with a store: nothing is written.

use std::time::Duration;

use tower_sealed_session::{ErrorKind, SessionLayer, store::MemoryStore, testing::TestClock};

use super::backend::{Counts, Wrapped};
use crate::{
    passive::{IDLE, MINUTE, app, built, only_activity_keeps_it},
    support::{NAME, Visitor, keys, on_a_clock},
    view::of,
};

fn layer(clock: &TestClock) -> SessionLayer {
    built(SessionLayer::builder(keys()).clock(clock.clone()))
}

/// A visitor whose session is in the store, and one whose session is in its cookie.
async fn visitors(store: &MemoryStore, clock: &TestClock) -> [Visitor; 2] {
    let mut visitors = [Visitor::default(), Visitor::default()];
    let layers = [layer(clock).store(store.clone()), layer(clock)];
    for (visitor, layer) in visitors.iter_mut().zip(layers) {
        let app = app(layer, clock);
        visitor.get(&app, "/login").await;
    }
    visitors
}

#[tokio::test]
async fn polling_tab_lets_its_stored_session_expire() {
    let modes: [fn(SessionLayer, MemoryStore) -> SessionLayer; 3] = [
        |layer, store| layer.store(store),
        |layer, store| layer.overflow(store),
        |layer, store| layer.read_from(store),
    ];
    for mode in modes {
        let (store, (_, clock)) = (MemoryStore::new(), on_a_clock());
        let mut visitor = Visitor::default();
        let stores = app(layer(&clock).store(store.clone()), &clock);
        visitor.get(&stores, "/login").await;
        // too large for a cookie, so that it stays in the store
        visitor.get(&stores, "/fill").await;
        let app = app(mode(layer(&clock), store), &clock);
        only_activity_keeps_it(&app, &clock, &visitor).await;
    }
}

#[tokio::test]
async fn passive_request_and_view_only_load() {
    let (store, counts, (_, clock)) = (MemoryStore::new(), Counts::default(), on_a_clock());
    let [mut visitor, _] = visitors(&store, &clock).await;
    let layer = layer(&clock).store(Wrapped(store, counts.clone()));
    let app = app(layer.clone(), &clock);
    for _ in 0..3 {
        clock.advance(4 * MINUTE);
        visitor.get(&app, "/poll").await;
        assert_eq!(counts.take(), [1, 0, 0, 0, 0, 0]);
        let view = layer.open(&of(&visitor)).await.expect("it opens");
        assert_eq!(view.owner().as_deref(), Some("ada"));
        assert_eq!(counts.take(), [1, 0, 0, 0, 0, 0]);
        assert!(view.still_valid().await.expect("a store"));
        assert_eq!(counts.take(), [1, 0, 0, 0, 0, 0]);
    }
    visitor.get(&app, "/visit").await;
    assert_eq!(counts.take(), [1, 0, 0, 1, 0, 0], "a touch");
    layer.open(&of(&Visitor::default())).await.expect("empty");
    assert_eq!(counts.take(), [0; 6]);
}

#[tokio::test]
async fn session_that_moves_in_a_passive_request_keeps_the_time_of_its_last_use() {
    let (store, (_, clock)) = (MemoryStore::new(), on_a_clock());
    let [_, mut visitor] = visitors(&store, &clock).await;
    let app = app(layer(&clock).store(store), &clock);
    clock.advance(10 * MINUTE);
    let answer = visitor.get(&app, "/poll").await;
    assert_eq!((&*answer.body, answer.cookies().len()), ("300", 1));
    clock.advance(IDLE - 10 * MINUTE - Duration::from_millis(1));
    assert_eq!(visitor.clone().get(&app, "/poll").await.body, "0");
    clock.advance(Duration::from_millis(1));
    assert_eq!(visitor.get(&app, "/poll").await.body, "");
}

/// Its ticket is new, but its row is not touched.
#[tokio::test]
async fn old_cookie_of_a_moved_session_gets_its_ticket_without_a_touch() {
    let (store, counts, (_, clock)) = (MemoryStore::new(), Counts::default(), on_a_clock());
    let [_, inline] = visitors(&store, &clock).await;
    let app = app(layer(&clock).store(Wrapped(store, counts.clone())), &clock);
    inline.clone().get(&app, "/visit").await;
    clock.advance(10 * MINUTE);
    counts.take();
    let answer = inline.clone().get(&app, "/poll").await;
    assert_eq!((&*answer.body, answer.cookies().len()), ("300", 1));
    assert_eq!(counts.take()[1..], [0; 5]);
}

#[tokio::test]
async fn commit_in_a_passive_request_is_activity() {
    let (store, (_, clock)) = (MemoryStore::new(), on_a_clock());
    let [mut visitor, _] = visitors(&store, &clock).await;
    let app = app(layer(&clock).store(store), &clock);
    clock.advance(10 * MINUTE);
    visitor.get(&app, "/commit").await;
    assert_eq!(visitor.get(&app, "/poll").await.body, "900");
}

#[tokio::test]
async fn view_does_not_move_a_session_into_the_store() {
    let (store, counts, (_, clock)) = (MemoryStore::new(), Counts::default(), on_a_clock());
    let [_, visitor] = visitors(&store, &clock).await;
    let layer = layer(&clock).store(Wrapped(store, counts.clone()));
    for _ in 0..2 {
        let view = layer.open(&of(&visitor)).await.expect("it opens");
        assert_eq!(view.owner().as_deref(), Some("ada"));
        assert_eq!(counts.take(), [1, 0, 0, 0, 0, 0]);
    }
}

#[tokio::test]
async fn view_notices_a_logout_on_another_instance() {
    let (store, (_, clock)) = (MemoryStore::new(), on_a_clock());
    let [mut visitor, _] = visitors(&store, &clock).await;
    let other = super::app(layer(&clock).store(store.clone()));
    let layer = layer(&clock).store(store);
    let copy = visitor.clone();
    let view = layer.open(&of(&copy)).await.expect("it opens");
    visitor.get(&other, "/logout").await;
    assert!(!view.still_valid().await.expect("a store"));
    let after = layer.open(&of(&copy)).await.expect("it opens");
    assert_eq!((after.owner(), after.id()), (None, None));
}

#[tokio::test]
async fn view_of_a_ticket_without_a_store_is_an_error() {
    let (store, (_, clock)) = (MemoryStore::new(), on_a_clock());
    let [visitor, _] = visitors(&store, &clock).await;
    assert!(visitor.jar.contains_key(NAME));
    let error = layer(&clock)
        .open(&of(&visitor))
        .await
        .expect_err("a ticket");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}
