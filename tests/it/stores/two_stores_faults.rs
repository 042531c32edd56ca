//! Moves from one store to another while calls fail, requests are dropped, or a store is down.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Request, StatusCode, header::COOKIE};
use tower::ServiceExt as _;
use tower_sealed_session::{
    SessionLayer,
    store::{MemoryStore, Store, StoreError, StoreErrorKind, StoreKey},
};

use super::{
    backend::{Backend, Call, Intercept, Wrapped, built},
    lost_answers::LosesAnswer,
    two_stores::{OK, plain, stages},
};
use crate::{
    logout::app,
    support::{Answer, Visitor, keys, on_a_clock},
};

const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

/// The calls of each kind lose their answers, one after the other, in either store.
#[tokio::test]
async fn lost_answers_log_nobody_out_and_count_once() {
    let calls = [
        Call::Load,
        Call::Create,
        Call::Save,
        Call::Touch,
        Call::Delete,
    ];
    let mut lost = 0;
    for path in ["/see", "/count", "/renew", "/login", "/logout"] {
        for call in calls {
            for (in_old, n) in [(false, 1), (false, 2), (true, 1), (true, 2)] {
                let (old, new) = (MemoryStore::new(), MemoryStore::new());
                let [before, _, moving, _] = stages(&old, &new).map(app);
                let never = || LosesAnswer::at(call, 0);
                let faults = match in_old {
                    true => [LosesAnswer::at(call, n), never()],
                    false => [never(), LosesAnswer::at(call, n)],
                };
                let [fault_of_old, fault_of_new] = faults;
                let faulty = plain()
                    .read_from(Wrapped(old.clone(), fault_of_old))
                    .store(Wrapped(new.clone(), fault_of_new));
                let mut visitor = Visitor::default();
                visitor.get(&before, "/login,cart").await;
                let first = visitor.clone();
                let what = format!("{path}, {call:?} {n}, in the old store: {in_old}");
                let answer = visitor.get(&app(faulty), path).await;
                let done = answer.status == OK;
                assert!(done || answer.status == UNAVAILABLE, "{what}");
                lost += u32::from(!done);
                let sees = visitor.get(&moving, "/see").await.body;
                match path {
                    "/logout" if done => assert_eq!(sees, "None []", "{what}"),
                    // its cookie is removed, or it was not loaded
                    "/logout" => {}
                    // the response with the next cookie was lost; a login continues the session
                    "/renew" | "/login" if !done => {
                        visitor.get(&moving, "/login").await;
                        let sees = visitor.get(&moving, "/see").await.body;
                        assert!(sees.contains("cart"), "{what}: {sees}");
                    }
                    _ => assert!(sees.contains("cart"), "{what}: {sees}"),
                }
                if path == "/count" {
                    let view = plain().read_from(old).store(new);
                    let view = view
                        .open(&crate::view::of(&visitor))
                        .await
                        .expect("a store");
                    let n: u32 = view.get("n").expect("a number").unwrap_or(0);
                    assert!(n == 1 || n == 0 && !done, "{what}: {n}");
                }
                let mut copy = first;
                if path == "/logout" && done {
                    assert_eq!(copy.get(&moving, "/see").await.body, "None []", "{what}");
                }
            }
        }
    }
    assert!(lost > 10, "{lost} requests failed");
}

/// Each call waits once, so that a request can be dropped before and after each of them.
#[derive(Clone)]
struct Waits;

impl Intercept for Waits {
    async fn intercept<T: Send>(
        &self,
        _: Call,
        _: Option<StoreKey>,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        tokio::task::yield_now().await;
        let answer = operation.await;
        tokio::task::yield_now().await;
        answer
    }
}

/// The client disconnects at each point of the move, and comes back later.
#[tokio::test]
async fn dropped_requests_log_nobody_out() {
    for path in ["/see", "/count"] {
        for inline in [false, true] {
            for polls in 0..16 {
                let (builder, clock) = on_a_clock();
                drop(builder);
                let layer = || built(SessionLayer::builder(keys()).clock(clock.clone()));
                let (old, new) = (MemoryStore::new(), MemoryStore::new());
                let before = match inline {
                    true => app(layer()),
                    false => app(layer().store(old.clone())),
                };
                let slow = [old.clone(), new.clone()].map(|store| Wrapped(store, Waits));
                let [slow_old, slow_new] = slow;
                let slow = app(layer().read_from(slow_old).store(slow_new));
                let moving = app(layer().read_from(old).store(new));
                let mut visitor = Visitor::default();
                visitor.get(&before, "/login,cart").await;
                drop_after(&slow, &visitor, path, polls).await;
                // longer than a row lives that has no pointer yet
                clock.advance(Duration::from_secs(120));
                let sees = visitor.get(&moving, "/see").await.body;
                let what = format!("{path}, inline: {inline}, after {polls} polls: {sees}");
                assert!(sees.contains("ada") && sees.contains("cart"), "{what}");
            }
        }
    }
}

/// Sends a request that is dropped after so many polls.
async fn drop_after(app: &Router, visitor: &Visitor, path: &str, polls: usize) {
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
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

/// Fails while it is switched on. With a call, only that one fails.
#[derive(Clone, Default)]
struct Down(Arc<AtomicBool>, Option<Call>);

impl Down {
    fn set(&self, down: bool) {
        self.0.store(down, Ordering::Relaxed);
    }
}

impl Intercept for Down {
    async fn intercept<T: Send>(
        &self,
        call: Call,
        _: Option<StoreKey>,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        match self.0.load(Ordering::Relaxed) && self.1.is_none_or(|only| only == call) {
            true => Err(StoreError::new(StoreErrorKind::Unreachable)),
            false => operation.await,
        }
    }
}

fn moving(old: impl Store, new: impl Store) -> Router {
    app(plain().store(new).read_from(old))
}

#[tokio::test]
async fn outage_of_either_store_logs_nobody_out() {
    let (old, new) = (MemoryStore::new(), MemoryStore::new());
    let (old_down, new_down) = (Down::default(), Down::default());
    let before = app(plain().store(old.clone()));
    let moving = moving(
        Wrapped(old, old_down.clone()),
        Wrapped(new, new_down.clone()),
    );
    let [mut moved, mut waiting] = [Visitor::default(), Visitor::default()];
    for visitor in [&mut moved, &mut waiting] {
        visitor.get(&before, "/login,cart").await;
    }
    moved.get(&moving, "/see").await;
    let untouched = |answer: &Answer| {
        answer.status == UNAVAILABLE
            && answer.sets_nothing()
            && answer.header("retry-after") == ["1"]
    };
    // sessions that have moved need the new store only, and so do new ones
    old_down.set(true);
    for path in ["/see", "/notice", "/renew", "/login"] {
        assert_eq!(moved.get(&moving, path).await.status, OK, "{path}");
        assert!(untouched(&waiting.get(&moving, path).await), "{path}");
    }
    assert_eq!(Visitor::default().get(&moving, "/login").await.status, OK);
    old_down.set(false);
    new_down.set(true);
    for visitor in [&mut moved, &mut waiting] {
        assert!(untouched(&visitor.get(&moving, "/see").await));
        assert!(untouched(&visitor.get(&moving, "/cart").await));
    }
    new_down.set(false);
    for visitor in [&mut moved, &mut waiting] {
        let sees = visitor.get(&moving, "/see").await.body;
        assert!(sees.starts_with(r#"Some("ada") ["cart""#), "{sees}");
    }
}

/// A new store that takes no sessions, such as a full one, ends none.
#[tokio::test]
async fn session_that_cannot_move_is_kept_alive_in_the_old_store() {
    let (_, clock) = on_a_clock();
    let layer = || built(SessionLayer::builder(keys()).clock(clock.clone()));
    let (old, new) = (MemoryStore::new(), MemoryStore::new());
    let full = Down(Arc::default(), Some(Call::Create));
    let before = app(layer().store(old.clone()));
    let moving = app(layer().read_from(old).store(Wrapped(new, full.clone())));
    let mut visitor = Visitor::default();
    visitor.get(&before, "/login,cart").await;
    full.set(true);
    for _ in 0..5 {
        clock.advance(Duration::from_secs(50 * 60));
        let answer = visitor.get(&moving, "/see").await;
        assert!(answer.sets_nothing());
        assert_eq!(answer.body, r#"Some("ada") ["cart"]"#);
    }
    assert_eq!(visitor.get(&moving, "/notice").await.status, UNAVAILABLE);
    assert_eq!(visitor.get(&moving, "/logout").await.status, OK);
    assert_eq!(visitor.get(&moving, "/see").await.body, "None []");
}

/// With real servers: Redis is stopped while the app moves to it, and returns.
#[tokio::test]
async fn new_store_that_stops_during_the_move_delays_it() {
    let sqlite = Backend::sqlite().await;
    let redis = Backend::redis().await;
    let before = app(plain().store(sqlite.open().await));
    let moving = moving(sqlite.open().await, redis.open().await);
    let mut visitors = vec![Visitor::default(); 6];
    for visitor in &mut visitors {
        visitor.get(&before, "/login,cart").await;
    }
    let Backend::Redis(server) = &redis else {
        unreachable!("it is one")
    };
    server.stop();
    for visitor in &mut visitors {
        let answer = visitor.get(&moving, "/count").await;
        assert_eq!((answer.status, answer.sets_nothing()), (UNAVAILABLE, true));
    }
    server.go_on();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while visitors[0].get(&moving, "/see").await.status != OK {
        assert!(tokio::time::Instant::now() < deadline, "it returns");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let after = app(plain().store(redis.open().await));
    for visitor in &mut visitors {
        assert_eq!(visitor.get(&moving, "/count").await.status, OK);
        assert_eq!(
            visitor.get(&after, "/see").await.body,
            r#"Some("ada") ["cart", "n"]"#
        );
    }
}
