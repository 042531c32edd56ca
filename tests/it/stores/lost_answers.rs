//! A store that does what it is asked and does not say so, or does it late.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use axum::{Router, routing::get};
use http::StatusCode;
use tokio::sync::Semaphore;
use tower_sealed_session::{
    Error, Session, SessionLayer,
    store::{MemoryStore, Operate as _, Store, StoreError, StoreErrorKind, StoreKey},
};

use super::{
    app,
    backend::{Around, Call, Wrapped, built},
};
use crate::support::{Visitor, keys, on_a_clock};

fn layer(store: impl Store) -> SessionLayer {
    built(SessionLayer::builder(keys())).store(store)
}

/// The nth call of a kind is made, and its answer does not come.
#[derive(Clone)]
struct Silent(Call, Arc<AtomicU64>);

impl Silent {
    fn at(call: Call, n: u64) -> Self {
        Self(call, Arc::new(AtomicU64::new(n)))
    }
}

impl Around for Silent {
    async fn around<T: Send>(
        &self,
        call: Call,
        _: Option<StoreKey>,
        made: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let answer = made.await;
        match call == self.0 && self.1.fetch_sub(1, Ordering::Relaxed) == 1 {
            true => Err(StoreError::new(StoreErrorKind::TimedOut)),
            false => answer,
        }
    }
}

#[tokio::test]
async fn an_update_whose_commit_was_not_answered_is_not_made_twice() {
    async fn count(session: Session) -> Result<String, Error> {
        let n = session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?;
        // a handler that does not care
        let _ = session.commit().await;
        Ok(n.to_string())
    }
    let store = MemoryStore::new();
    let silent = Wrapped(store.clone(), Silent::at(Call::Save, 1));
    let silent = Router::new()
        .route("/count", get(count))
        .layer(layer(silent));
    let healthy = app(layer(store));
    let mut visitor = Visitor::default();
    visitor.get(&healthy, "/count").await;
    assert_eq!(
        visitor.get(&silent, "/count").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    // it was made, and once
    assert_eq!(visitor.get(&healthy, "/count").await.body, "3");
}

#[tokio::test]
async fn a_move_that_was_not_answered_leads_to_the_session() {
    let store = MemoryStore::new();
    let mut visitor = Visitor::default();
    visitor
        .get(&app(built(SessionLayer::builder(keys()))), "/login/ada")
        .await;
    let silent = app(layer(Wrapped(store.clone(), Silent::at(Call::Create, 2))));
    for _ in 0..2 {
        assert_eq!(visitor.get(&silent, "/who").await.body, "ada");
    }
    assert_eq!(visitor.get(&app(layer(store)), "/who").await.body, "ada");
}

#[tokio::test]
async fn what_was_kept_before_an_outage_reaches_its_visitor() {
    async fn login(session: Session) -> Result<(), Error> {
        session.login("ada")?;
        session.commit().await?;
        session.insert("more", 1)
    }
    let store = MemoryStore::new();
    let healthy = app(layer(store.clone()));
    let mut visitor = Visitor::default();
    visitor.get(&healthy, "/set/cart/tea").await;
    let silent = Wrapped(store, Silent::at(Call::Save, 2));
    let silent = Router::new()
        .route("/login", get(login))
        .layer(layer(silent));
    let answer = visitor.get(&silent, "/login").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(visitor.get(&healthy, "/who").await.body, "ada");
    assert_eq!(visitor.get(&healthy, "/get/cart").await.body, "tea");
}

/// Touches wait until they are let through.
#[derive(Clone)]
struct LateTouches(Arc<Semaphore>);

impl Around for LateTouches {
    async fn around<T: Send>(
        &self,
        call: Call,
        _: Option<StoreKey>,
        made: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if call == Call::Touch {
            self.0.acquire().await.expect("it is open").forget();
        }
        made.await
    }
}

#[tokio::test]
async fn a_touch_that_comes_late_or_not_at_all_shortens_no_session() {
    let store = MemoryStore::new();
    let gate = Arc::new(Semaphore::new(0));
    let (builder, clock) = on_a_clock();
    let app = app(built(builder).store(Wrapped(store.clone(), LateTouches(gate.clone()))));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login/ada").await;

    // one that is given up keeps no later one from being made
    clock.advance(Duration::from_secs(1200));
    let given_up = tokio::spawn({
        let (app, mut visitor) = (app.clone(), visitor.clone());
        async move { visitor.get(&app, "/who").await }
    });
    tokio::task::yield_now().await;
    given_up.abort();
    let _ = given_up.await;
    gate.add_permits(1);
    visitor.get(&app, "/who").await;
    clock.advance(Duration::from_secs(3000));
    gate.add_permits(1);
    assert_eq!(visitor.get(&app, "/who").await.body, "ada");

    // one that comes after `remember` leaves the longer life alone
    clock.advance(Duration::from_secs(1200));
    let late = tokio::spawn({
        let (app, mut visitor) = (app.clone(), visitor.clone());
        async move { visitor.get(&app, "/who").await }
    });
    tokio::task::yield_now().await;
    visitor.get(&app, "/remember").await;
    gate.add_permits(1);
    assert_eq!(late.await.expect("it ends").body, "ada");
    clock.advance(Duration::from_secs(15 * 24 * 3600));
    assert_eq!(visitor.get(&app, "/who").await.body, "ada");
    let left = store
        .statistics(time::OffsetDateTime::UNIX_EPOCH)
        .await
        .expect("a store");
    assert_eq!(left.live, 1);
}

#[derive(serde::Serialize, serde::Deserialize, Default)]
#[serde(default)]
struct Visit {
    cart: u32,
    theme: u32,
}

/// Each of two requests changes a field of what it read, and writes the whole.
#[tokio::test]
async fn parallel_writes_of_a_struct_keep_both_fields() {
    async fn cart(session: Session) -> Result<(), Error> {
        let mut visit: Visit = session.read()?;
        tokio::task::yield_now().await;
        visit.cart += 1;
        session.write(&visit)
    }
    async fn theme(session: Session) -> Result<(), Error> {
        let mut visit: Visit = session.read()?;
        tokio::task::yield_now().await;
        visit.theme += 1;
        session.write(&visit)
    }
    async fn show(session: Session) -> Result<String, Error> {
        let visit: Visit = session.read()?;
        Ok(format!("{} {}", visit.cart, visit.theme))
    }
    let app = Router::new()
        .route("/cart", get(cart))
        .route("/theme", get(theme))
        .route("/", get(show))
        .layer(layer(MemoryStore::new()));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/cart").await;
    let (mut a, mut b) = (visitor.clone(), visitor.clone());
    tokio::join!(a.get(&app, "/cart"), b.get(&app, "/theme"));
    assert_eq!(visitor.get(&app, "/").await.body, "2 1");
}
