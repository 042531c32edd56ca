//! Instances that die between two store calls, and requests dropped at any await point.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    task::Poll,
};

use axum::{Router, body::Body};
use http::{Request, StatusCode, header::COOKIE};
use tower::ServiceExt as _;
use tower_sealed_session::{
    OffsetDateTime, SessionLayer,
    store::{Operate as _, Store, StoreError, StoreErrorKind, StoreKey},
};

use super::{
    app,
    backend::{Backend, Call, Intercept, Wrapped, built, on_every_store},
};
use crate::support::{Visitor, keys};

on_every_store! {
    instance_that_dies_mid_request_leaves_the_old_or_the_new_session;
    requests_dropped_at_any_point_are_harmless;
}

/// The instance dies after this many calls. It makes no more calls, and may not receive the last
/// answer.
#[derive(Clone)]
struct DiesAfter {
    left: Arc<AtomicI64>,
    receives_last: bool,
}

impl Intercept for DiesAfter {
    async fn intercept<T: Send>(
        &self,
        _: Call,
        _: Option<StoreKey>,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let dead = || Err(StoreError::new(StoreErrorKind::Unreachable));
        let left = self.left.fetch_sub(1, Ordering::Relaxed);
        if left <= 0 {
            return dead();
        }
        let answer = operation.await;
        match left == 1 && !self.receives_last {
            true => dead(),
            false => answer,
        }
    }
}

fn over(store: impl Store) -> Router {
    app(built(SessionLayer::builder(keys())).store(store))
}

async fn instance_that_dies_mid_request_leaves_the_old_or_the_new_session(backend: Backend) {
    let healthy = over(backend.open().await);
    let counts = backend.open().await;
    for path in ["/login/ada", "/renew"] {
        for calls in 0..5 {
            for receives_last in [true, false] {
                let rows = async || {
                    counts
                        .count(OffsetDateTime::now_utc())
                        .await
                        .expect("a store")
                        .live
                };
                let mut visitor = Visitor::default();
                visitor.get(&healthy, "/set/cart/tea").await;
                let old = visitor.clone();
                let before = rows().await;
                let store = backend.open().await;
                let left = Arc::new(AtomicI64::new(calls));
                let dying = over(Wrapped(
                    store,
                    DiesAfter {
                        left,
                        receives_last,
                    },
                ));
                let answer = visitor.get(&dying, path).await;
                let what = format!(
                    "{path}, dead after {calls} calls, last answer received: {receives_last}"
                );
                let old_lives =
                    old.clone().get(&healthy, "/get/cart").await.status == StatusCode::OK;
                if answer.status == StatusCode::OK {
                    assert!(!answer.sets_nothing() && !old_lives, "{what}");
                    assert_eq!(
                        visitor.get(&healthy, "/get/cart").await.body,
                        "tea",
                        "{what}"
                    );
                    let owner = visitor.get(&healthy, "/who").await.body;
                    assert_eq!(owner, if path == "/renew" { "" } else { "ada" }, "{what}");
                } else {
                    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{what}");
                    assert!(answer.sets_nothing(), "{what}");
                    // if a login ended the old session, its new one exists beside the tombstone
                    let made = u64::from(path == "/login/ada");
                    assert!(old_lives || rows().await == before + made, "{what}");
                }
            }
        }
    }
}

async fn requests_dropped_at_any_point_are_harmless(backend: Backend) {
    let app = over(backend.open().await);
    let mut counter = Visitor::default();
    counter.get(&app, "/login/ada").await;
    let mut before = 0;
    let events = crate::support::Events::capture();
    for path in [
        "/who",
        "/count",
        "/renew",
        "/login/ada",
        "/logout",
        "/commit",
    ] {
        for polls in 0..10 {
            let mut visitor = Visitor::default();
            visitor.get(&app, "/login/ada").await;
            let request = Request::get(path).header(COOKIE, visitor.cookie_line());
            let request = request.body(Body::empty()).expect("a request");
            let mut response = Box::pin(app.clone().oneshot(request));
            let mut left = polls;
            poll_fn(|context| {
                if left == 0 || response.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                left -= 1;
                Poll::Pending
            })
            .await;
            drop(response);
            // the dropped request's connection still works for the next request
            let answer = counter.get(&app, "/count").await;

            assert_eq!(
                answer.status,
                StatusCode::OK,
                "{path} after {polls} polls: {}",
                events.text()
            );
            let now: u64 = answer.body.parse().expect("a number");
            assert_eq!(now, before + 1, "{path} after {polls} polls");
            before = now;
            let who = visitor.get(&app, "/who").await;
            assert_eq!(who.status, StatusCode::OK);
            assert!(
                who.body == "ada" || ["/renew", "/login/ada", "/logout"].contains(&path),
                "{path}"
            );
        }
    }
}
