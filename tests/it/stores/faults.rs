//! What an app does while its store is faulty, and afterwards.

use std::time::{Duration, Instant};

use axum::Router;
use http::StatusCode;
use tower_sealed_session::{SessionLayer, store::Store};

use super::{app, backend::built, proxy::Proxy};
use crate::support::{Answer, Visitor, keys};

/// The time-out of a call, and a tolerance for a busy machine.
pub(super) const TIMEOUT: Duration = Duration::from_millis(250);
pub(super) const BUSY: Duration = Duration::from_millis(150);

pub(super) fn over(store: impl Store) -> Router {
    app(built(SessionLayer::builder(keys())).store(store))
}

pub(super) async fn timed(app: &Router, visitor: &Visitor, path: &str) -> (Duration, Answer) {
    let (start, mut visitor) = (Instant::now(), visitor.clone());
    let answer = visitor.get(app, path).await;
    (start.elapsed(), answer)
}

/// Sends twenty requests every 30 ms for 1.5 seconds. None takes longer than the time-out. Failed
/// requests answer 503 and change no cookie. They fail fast once the circuit is open. Returns the
/// statuses.
pub(super) async fn send_with_bounded_latency(app: &Router, visitor: &Visitor) -> Vec<StatusCode> {
    let start = Instant::now();
    let mut late = Vec::new();
    let mut statuses = Vec::new();
    while start.elapsed() < Duration::from_millis(1500) {
        let reads =
            (0..20).map(|n| timed(app, visitor, if n % 2 == 0 { "/who" } else { "/count" }));
        let untouched = timed(app, visitor, "/untouched");
        let (answers, (took, answer)) =
            tokio::join!(futures_util::future::join_all(reads), untouched);
        assert_eq!(answer.status, StatusCode::OK);
        assert!(
            took < BUSY,
            "a request without the session is not delayed: {took:?}"
        );
        for (took, answer) in answers {
            assert!(took < TIMEOUT + BUSY, "{took:?}");
            assert!(answer.sets_nothing());
            if answer.status != StatusCode::OK {
                assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
                assert_eq!(answer.header("retry-after"), ["1"]);
                if start.elapsed() > Duration::from_millis(900) {
                    late.push(took);
                }
            }
            statuses.push(answer.status);
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    late.sort();
    if let Some(median) = late.get(late.len() / 2) {
        assert!(
            *median <= Duration::from_millis(5),
            "with the circuit open: {median:?}"
        );
    }
    statuses
}

/// The session is available again within one second, unchanged.
pub(super) async fn recovers(app: &Router, visitor: &mut Visitor, returned: Instant) {
    let mut first = None;
    while first.is_none() {
        let (_, answer) = timed(app, visitor, "/who").await;
        if answer.status == StatusCode::OK {
            assert_eq!(answer.body, "ada", "the session is unchanged");
            first = Some(returned.elapsed());
        }
        assert!(
            returned.elapsed() < Duration::from_secs(1) + BUSY,
            "{:?}",
            returned.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("recovered after {first:?}");
    let jar = visitor.jar.clone();
    for path in ["/set/a/2", "/get/a", "/count"] {
        assert_eq!(
            visitor.get(app, path).await.status,
            StatusCode::OK,
            "{path}"
        );
    }
    assert_eq!(visitor.jar, jar);
}

pub(super) async fn visitor(app: &Router) -> Visitor {
    let mut visitor = Visitor::default();
    assert_eq!(visitor.get(app, "/login/ada").await.status, StatusCode::OK);
    visitor
}

/// The answers to the calls of several kinds of request are lost, one after the other. `direct` is
/// an instance whose answers are not.
pub(super) async fn lost_answers_are_harmless(app: &Router, direct: &Router, proxy: &Proxy) {
    let mut counted = visitor(app).await;
    // so that scripts and statements are prepared
    for path in ["/count", "/renew", "/remember", "/logout"] {
        counted.get(app, path).await;
    }
    let (mut answered, mut counted) = (0, visitor(direct).await);
    let mut count = 0;
    for path in ["/count", "/login/ada", "/renew", "/logout", "/set/a/1"] {
        for n in 1..=3 {
            let mut visitor = visitor(direct).await;
            let before = visitor.clone();
            proxy.lose_answer(n);
            let answer = visitor.get(app, path).await;
            proxy.lose_answer(0);
            let done = answer.status == StatusCode::OK;
            answered += u32::from(done);
            assert!(
                done || answer.status == StatusCode::SERVICE_UNAVAILABLE,
                "{path}, {n}"
            );
            // either the old session or the new one is valid
            match (path, done) {
                ("/logout", _) => {
                    let who = before.clone().get(direct, "/who").await.body;
                    assert!(who.is_empty() || !done, "{n}");
                    // the handler did not run if the session was not loaded
                    assert!(answer.removes() || (!done && who == "ada"), "{n}");
                }
                ("/login/ada" | "/renew", true) => {
                    assert_eq!(visitor.get(direct, "/who").await.body, "ada", "{path}, {n}");
                    assert_eq!(
                        before.clone().get(direct, "/who").await.body,
                        "",
                        "{path}, {n}"
                    );
                }
                _ => assert_eq!(visitor.get(direct, "/who").await.body, "ada", "{path}, {n}"),
            }

            // one request counts once
            proxy.lose_answer(n);
            let answer = counted.get(app, "/count").await;
            proxy.lose_answer(0);
            if answer.status == StatusCode::OK {
                count += 1;
                assert_eq!(answer.body, count.to_string(), "{n}");
            }
            let now = counted.get(direct, "/count").await.body;
            let now: u64 = now.parse().expect("a number");
            assert!(
                now == count + 1 || answer.status != StatusCode::OK && now == count + 2,
                "{now} of {count}"
            );
            count = now;
        }
    }
    assert!(
        answered >= 10,
        "most requests succeed on another connection: {answered} of 15"
    );
}
