//! Store calls whose answer is lost, and store calls that run late.

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
    backend::{Call, Intercept, Wrapped, built},
};
use crate::support::{Visitor, keys, on_a_clock};

fn layer(store: impl Store) -> SessionLayer {
    built(SessionLayer::builder(keys())).store(store)
}

/// Executes every call, but loses the answer to the nth call of one kind.
#[derive(Clone)]
pub(super) struct LosesAnswer(Call, Arc<AtomicU64>);

impl LosesAnswer {
    pub(super) fn at(call: Call, n: u64) -> Self {
        Self(call, Arc::new(AtomicU64::new(n)))
    }
}

impl Intercept for LosesAnswer {
    async fn intercept<T: Send>(
        &self,
        call: Call,
        _: Option<StoreKey>,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let answer = operation.await;
        match call == self.0 && self.1.fetch_sub(1, Ordering::Relaxed) == 1 {
            true => Err(StoreError::new(StoreErrorKind::TimedOut)),
            false => answer,
        }
    }
}

#[tokio::test]
async fn update_is_applied_once_if_its_commit_has_no_answer() {
    async fn count(session: Session) -> Result<String, Error> {
        let n = session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?;
        // the handler ignores the error
        let _ = session.commit().await;
        Ok(n.to_string())
    }
    let store = MemoryStore::new();
    let faulty = Wrapped(store.clone(), LosesAnswer::at(Call::Save, 1));
    let faulty = Router::new()
        .route("/count", get(count))
        .layer(layer(faulty));
    let healthy = app(layer(store));
    let mut visitor = Visitor::default();
    visitor.get(&healthy, "/count").await;
    assert_eq!(
        visitor.get(&faulty, "/count").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    // the update was applied once
    assert_eq!(visitor.get(&healthy, "/count").await.body, "3");
}

#[tokio::test]
async fn move_to_the_store_works_although_an_answer_is_lost() {
    let store = MemoryStore::new();
    let mut visitor = Visitor::default();
    visitor
        .get(&app(built(SessionLayer::builder(keys()))), "/login/ada")
        .await;
    let faulty = app(layer(Wrapped(
        store.clone(),
        LosesAnswer::at(Call::Create, 2),
    )));
    for _ in 0..2 {
        assert_eq!(visitor.get(&faulty, "/who").await.body, "ada");
    }
    assert_eq!(visitor.get(&app(layer(store)), "/who").await.body, "ada");
}

#[tokio::test]
async fn visitor_receives_the_session_committed_before_an_outage() {
    async fn login(session: Session) -> Result<(), Error> {
        session.login("ada")?;
        session.commit().await?;
        session.insert("more", 1)
    }
    let store = MemoryStore::new();
    let healthy = app(layer(store.clone()));
    let mut visitor = Visitor::default();
    visitor.get(&healthy, "/set/cart/tea").await;
    let faulty = Wrapped(store, LosesAnswer::at(Call::Save, 2));
    let faulty = Router::new()
        .route("/login", get(login))
        .layer(layer(faulty));
    let answer = visitor.get(&faulty, "/login").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(visitor.get(&healthy, "/who").await.body, "ada");
    assert_eq!(visitor.get(&healthy, "/get/cart").await.body, "tea");
}

/// Each touch waits for a permit.
#[derive(Clone)]
struct LateTouches(Arc<Semaphore>);

impl Intercept for LateTouches {
    async fn intercept<T: Send>(
        &self,
        call: Call,
        _: Option<StoreKey>,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if call == Call::Touch {
            self.0.acquire().await.expect("it is open").forget();
        }
        operation.await
    }
}

#[tokio::test]
async fn late_or_aborted_touch_does_not_shorten_a_session() {
    let store = MemoryStore::new();
    let gate = Arc::new(Semaphore::new(0));
    let (builder, clock) = on_a_clock();
    let app = app(built(builder).store(Wrapped(store.clone(), LateTouches(gate.clone()))));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login/ada").await;

    // an aborted touch does not prevent a later one
    clock.advance(Duration::from_secs(1200));
    let aborted = tokio::spawn({
        let (app, mut visitor) = (app.clone(), visitor.clone());
        async move { visitor.get(&app, "/who").await }
    });
    tokio::task::yield_now().await;
    aborted.abort();
    let _ = aborted.await;
    gate.add_permits(1);
    visitor.get(&app, "/who").await;
    clock.advance(Duration::from_secs(3000));
    gate.add_permits(1);
    assert_eq!(visitor.get(&app, "/who").await.body, "ada");

    // a touch that runs after `remember` keeps the longer lifetime
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

/// Two requests read the same struct, change one field each, and write the whole struct.
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
