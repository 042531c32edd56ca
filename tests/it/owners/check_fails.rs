//! A check that fails, panics or hangs gives no session.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    http::{Extensions, StatusCode, request::Parts},
    routing::get,
};
use futures_util::{FutureExt as _, poll};
use tokio::time::Instant;
use tower_sealed_session::{
    Error, ErrorKind, Owner, Session, SessionLayer, require_owner, store::MemoryStore,
};

use super::{app, logged_in};
use crate::support::{Events, Visitor, layer};

const PANIC: &str = "canary-panic-91c2";

/// What the check does, by its name in the events.
fn failing(layer: SessionLayer, how: &'static str) -> SessionLayer {
    layer.check(async move |owner: String, _: Parts| {
        assert_eq!(owner, "ada");
        match how {
            "error" => Err("the database is away"),
            "error later" => {
                tokio::task::yield_now().await;
                Err("the database is away")
            }
            "panicked" => panic!("{PANIC} of {owner}"),
            "panicked later" => {
                tokio::task::yield_now().await;
                panic!("{PANIC} of {owner}")
            }
            _ => pending().await,
        }
    })
}

const FAILURES: [&str; 5] = [
    "error",
    "error later",
    "panicked",
    "panicked later",
    "timed_out",
];

#[tokio::test(start_paused = true)]
async fn failing_check_is_a_503_and_never_a_session() {
    for layer in [layer(), layer().store(MemoryStore::new())] {
        let ada = logged_in(&app(layer.clone())).await;
        for how in FAILURES {
            let guarded = app(failing(layer.clone(), how));
            for path in [
                "/members",
                "/me",
                "/deep/er/x",
                "/len",
                "/maybe",
                "/cart",
                "/logout",
                "/login",
            ] {
                let events = Events::capture();
                let answer = ada.clone().get(&guarded, path).await;
                assert_eq!(
                    answer.status,
                    StatusCode::SERVICE_UNAVAILABLE,
                    "{how}, {path}"
                );
                assert_eq!(answer.header("retry-after"), ["1"]);
                assert_eq!(answer.header("cache-control"), ["no-store"]);
                assert!(answer.sets_nothing());
                assert!(!answer.body.contains("ada") && !answer.body.contains("database"));
                let text = events.text();
                assert_eq!(text.matches("event=\"check_failed\"").count(), 1, "{text}");
                assert!(
                    text.contains("ERROR")
                        && text.contains(&format!("cause=\"{}\"", how.trim_end_matches(" later")))
                );
                assert_eq!(
                    text.contains("the database is away"),
                    how.starts_with("error")
                );
                assert!(!text.contains("ada") && !text.contains(PANIC), "{text}");
            }
            // others are not affected
            assert_eq!(guarded_by_nobody(&guarded).await, "nobody");
            assert_eq!(
                ada.clone().get(&guarded, "/unused").await.status,
                StatusCode::OK
            );
        }
        assert_eq!(ada.clone().get(&app(layer), "/me").await.body, "ada");
    }
}

async fn guarded_by_nobody(app: &Router) -> String {
    Visitor::default().get(app, "/maybe").await.body
}

#[tokio::test]
async fn error_has_the_apps_error_as_its_source() {
    #[derive(Debug)]
    struct Away;
    impl std::fmt::Display for Away {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the directory is away")
        }
    }
    impl std::error::Error for Away {}
    let ada = logged_in(&app(layer())).await;
    let layer = layer().check(async |_: String, _: Parts| Err(Away));
    let error = layer
        .open(&crate::view::of(&ada))
        .await
        .expect_err("no answer");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("check of the owner"), "{error}");
    let source = std::error::Error::source(&error).expect("a source");
    assert!(source.downcast_ref::<Away>().is_some());
}

/// The handler gets the error, and every extractor of the request gets the same.
#[tokio::test]
async fn failed_check_is_not_repeated_in_its_request() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let ada = logged_in(&app(layer())).await;
    let handler = async |session: Result<Session, Error>, extensions: Extensions| {
        let again = Owner::from_extensions(&extensions).await;
        format!(
            "{:?} {:?}",
            session.expect_err("no answer").kind(),
            again.expect_err("no answer").kind()
        )
    };
    let app = Router::new().route("/", get(handler)).layer(layer().check(
        async move |_: String, _: Parts| {
            count.fetch_add(1, Ordering::SeqCst);
            Err("once")
        },
    ));
    let answer = ada.clone().get(&app, "/").await;
    assert_eq!(answer.body, "Unavailable Unavailable");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn hanging_check_is_given_up_in_time() {
    let ada = logged_in(&app(layer())).await;
    let limits = [(None, 5000), (Some(Duration::from_millis(20)), 20)];
    for (limit, millis) in limits {
        let mut layer = failing(layer(), "timed_out");
        if let Some(limit) = limit {
            layer = layer.check_timeout(limit);
        }
        let start = Instant::now();
        let answer = ada.clone().get(&app(layer), "/members").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        let elapsed = start.elapsed().as_millis();
        assert!((millis..millis + 5).contains(&elapsed), "{elapsed} ms");
    }
}

#[tokio::test]
async fn still_valid_fails_if_its_check_does() {
    let ada = logged_in(&app(layer())).await;
    let works = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let switch = works.clone();
    let layer =
        layer().check(
            async move |_: String, _: Parts| match switch.load(Ordering::SeqCst) {
                true => Ok(true),
                false => Err("away"),
            },
        );
    let view = layer.open(&crate::view::of(&ada)).await.expect("it opens");
    assert!(view.still_valid().await.expect("an answer"));
    works.store(false, Ordering::SeqCst);
    let error = view.still_valid().await.expect_err("no answer");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    works.store(true, Ordering::SeqCst);
    assert!(view.still_valid().await.expect("an answer"));
}

/// A request that is dropped while it is checked leaves nothing behind.
#[tokio::test]
async fn dropped_request_does_not_disturb_the_next_one() {
    for layer in [layer(), layer().store(MemoryStore::new())] {
        let ada = logged_in(&app(layer.clone())).await;
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let layer = layer.check(async move |_: String, _: Parts| {
            match count.fetch_add(1, Ordering::SeqCst) {
                0..3 => pending().await,
                _ => Ok::<_, std::convert::Infallible>(true),
            }
        });
        let app = app(layer);
        let events = Events::capture();
        for path in ["/members", "/me", "/cart"] {
            let mut visitor = ada.clone();
            let mut request = std::pin::pin!(visitor.get(&app, path));
            while calls.load(Ordering::SeqCst) == 0 {
                assert!(poll!(request.as_mut()).is_pending());
            }
            assert!(request.now_or_never().is_none());
        }
        assert_eq!(calls.load(Ordering::SeqCst), 3);
        assert_eq!(events.drain(), [""; 0]);
        assert_eq!(ada.clone().get(&app, "/me").await.body, "ada");
    }
}

/// An extractor that nobody polls any more cannot block the others for longer than two limits.
#[tokio::test(start_paused = true)]
async fn extractor_that_nobody_polls_blocks_no_other_for_long() {
    let handler = async |extensions: Extensions| {
        let mut first = Box::pin(Session::from_extensions(&extensions));
        assert!(poll!(first.as_mut()).is_pending());
        let second = Session::from_extensions(&extensions).await;
        drop(first);
        format!("{:?}", second.expect_err("no answer").kind())
    };
    let ada = logged_in(&app(layer())).await;
    let layer = failing(layer(), "timed_out").check_timeout(Duration::from_secs(1));
    let app = Router::new().route("/", get(handler)).layer(layer);
    let start = Instant::now();
    assert_eq!(ada.clone().get(&app, "/").await.body, "Unavailable");
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[test]
fn check_without_a_tokio_timer_is_a_503() {
    let runtime = |enable_time: bool| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        if enable_time {
            builder.enable_time();
        }
        builder.build().expect("a runtime")
    };
    let ada = runtime(true).block_on(async { logged_in(&app(layer())).await });
    let layer = layer().check(async |_: String, _: Parts| Ok::<_, std::convert::Infallible>(true));
    let guarded = Router::new()
        .route("/", get("members"))
        .layer(require_owner())
        .layer(layer);
    for (timer, status) in [(true, 200), (false, 503)] {
        let answer = runtime(timer).block_on(ada.clone().get(&guarded, "/"));
        assert_eq!(answer.status, status);
    }
}
