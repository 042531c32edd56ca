//! A Redis server that dies, hangs, is cut off, and comes back.

use std::time::{Duration, Instant};

use axum::Router;
use http::StatusCode;
use tower_sealed_session::{
    SessionLayer,
    store::{RedisStore, StoreErrorKind},
};

use super::{
    app,
    backend::{Backend, built},
    proxy::Proxy,
    redis_server::RedisServer,
};
use crate::support::{Answer, Visitor, keys};

/// What a call may take, and what a busy machine may add.
const TIMEOUT: Duration = Duration::from_millis(250);
const BUSY: Duration = Duration::from_millis(150);

fn over(store: RedisStore) -> Router {
    app(built(SessionLayer::builder(keys())).store(store))
}

async fn timed(app: &Router, visitor: &Visitor, path: &str) -> (Duration, Answer) {
    let (start, mut visitor) = (Instant::now(), visitor.clone());
    let answer = visitor.get(app, path).await;
    (start.elapsed(), answer)
}

/// A second and a half of requests, twenty at a time every 30 ms: none takes longer than its time-out, and those that fail say
/// so, touch no cookie, and end early once it is known.
async fn is_bounded(app: &Router, visitor: &Visitor) -> Vec<StatusCode> {
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
            "who does not ask for the session does not notice: {took:?}"
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

/// Within a second the session is there again, as it was.
async fn recovers(app: &Router, visitor: &mut Visitor, returned: Instant) {
    let mut first = None;
    while first.is_none() {
        let (_, answer) = timed(app, visitor, "/who").await;
        if answer.status == StatusCode::OK {
            assert_eq!(answer.body, "ada", "an outage logs nobody out");
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

async fn visitor(app: &Router) -> Visitor {
    let mut visitor = Visitor::default();
    assert_eq!(visitor.get(app, "/login/ada").await.status, StatusCode::OK);
    visitor
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_an_early_503_until_it_is_back() {
    let mut server = RedisServer::start(&[]);
    let app = over(RedisStore::connect(&server.url()).await.expect("a server"));
    let mut visitor = visitor(&app).await;
    server.kill();
    let statuses = is_bounded(&app, &visitor).await;
    assert!(
        statuses
            .iter()
            .all(|status| *status == StatusCode::SERVICE_UNAVAILABLE)
    );
    server.restart();
    recovers(&app, &mut visitor, Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_an_early_503_until_it_goes_on() {
    let server = RedisServer::start(&[]);
    let app = over(RedisStore::connect(&server.url()).await.expect("a server"));
    let mut visitor = visitor(&app).await;
    server.stop();
    let statuses = is_bounded(&app, &visitor).await;
    assert!(
        statuses
            .iter()
            .all(|status| *status == StatusCode::SERVICE_UNAVAILABLE)
    );
    server.go_on();
    recovers(&app, &mut visitor, Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_dead_without_a_word_is_replaced() {
    let server = RedisServer::start(&[]);
    let proxy = Proxy::before(server.port).await;
    let app = over(RedisStore::connect(&proxy.url()).await.expect("a server"));
    let mut visitor = visitor(&app).await;
    proxy.black_hole();
    let fault = Instant::now();
    recovers(&app, &mut visitor, fault).await;

    // nobody asks meanwhile, and yet nobody meets the dead one
    proxy.black_hole();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let (took, answer) = timed(&app, &visitor, "/who").await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "ada"));
    assert!(took < BUSY, "{took:?}");

    // nor is there another one to be had
    proxy.refuse(true);
    proxy.black_hole();
    let statuses = is_bounded(&app, &visitor).await;
    assert!(
        statuses
            .iter()
            .all(|status| *status == StatusCode::SERVICE_UNAVAILABLE)
    );
    proxy.refuse(false);
    recovers(&app, &mut visitor, Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_harmless_whichever_it_is() {
    let server = RedisServer::start(&[]);
    let proxy = Proxy::before(server.port).await;
    let app = over(RedisStore::connect(&proxy.url()).await.expect("a server"));
    let direct = over(RedisStore::connect(&server.url()).await.expect("a server"));
    let mut counted = visitor(&app).await;
    // the scripts are there
    for path in ["/count", "/renew", "/remember", "/logout"] {
        counted.get(&app, path).await;
    }
    let (mut answered, mut counted) = (0, visitor(&direct).await);
    let mut count = 0;
    for path in ["/count", "/login/ada", "/renew", "/logout", "/set/a/1"] {
        for n in 1..=3 {
            let mut visitor = visitor(&direct).await;
            let before = visitor.clone();
            proxy.lose_answer(n);
            let answer = visitor.get(&app, path).await;
            proxy.lose_answer(0);
            let done = answer.status == StatusCode::OK;
            answered += u32::from(done);
            assert!(
                done || answer.status == StatusCode::SERVICE_UNAVAILABLE,
                "{path}, {n}"
            );
            // exactly the old session or the new one
            match (path, done) {
                ("/logout", _) => {
                    assert!(answer.removes());
                    let who = before.clone().get(&direct, "/who").await.body;
                    assert!(who.is_empty() || !done, "{n}");
                }
                ("/login/ada" | "/renew", true) => {
                    assert_eq!(
                        visitor.get(&direct, "/who").await.body,
                        "ada",
                        "{path}, {n}"
                    );
                    assert_eq!(
                        before.clone().get(&direct, "/who").await.body,
                        "",
                        "{path}, {n}"
                    );
                }
                _ => assert_eq!(
                    visitor.get(&direct, "/who").await.body,
                    "ada",
                    "{path}, {n}"
                ),
            }

            // what is asked for once is done once
            proxy.lose_answer(n);
            let answer = counted.get(&app, "/count").await;
            proxy.lose_answer(0);
            if answer.status == StatusCode::OK {
                count += 1;
                assert_eq!(answer.body, count.to_string(), "{n}");
            }
            let now = counted.get(&direct, "/count").await.body;
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
        "mostly another connection is there at once: {answered} of 15"
    );
}

#[tokio::test]
async fn what_redis_refuses_is_told_and_no_password_is() {
    let told = |error: tower_sealed_session::store::StoreError| {
        use std::error::Error as _;
        let all = format!(
            "{error} {error:?} {:?}",
            error.source().map(ToString::to_string)
        );
        assert!(!all.contains("hunter2"), "{all}");
        (error.kind(), error.to_string())
    };
    let connect = async |url: &str| RedisStore::connect(url).await.map(drop);
    let server = RedisServer::start(&["--requirepass", "hunter2hunter2"]);
    let at = format!("127.0.0.1:{}", server.port);
    for (url, kind, text) in [
        (
            "redis://:hunter2@".to_owned() + &at,
            StoreErrorKind::Denied,
            "password",
        ),
        (
            "redis://".to_owned() + &at,
            StoreErrorKind::Denied,
            "password",
        ),
        (
            "redis://:hunter2@127.0.0.1:1".to_owned(),
            StoreErrorKind::Unreachable,
            "no redis answers at 127.0.0.1:1",
        ),
        (
            "redis://:hunter2@nowhere.invalid".to_owned(),
            StoreErrorKind::Unreachable,
            "the host is unknown",
        ),
        (
            "rediss://:hunter2@".to_owned() + &at,
            StoreErrorKind::Config,
            "TLS",
        ),
        (
            "redis://:1/hunter2@".to_owned() + &at,
            StoreErrorKind::Config,
            "%2F",
        ),
        ("hunter2".to_owned(), StoreErrorKind::Config, "redis://user"),
        (
            "http://:hunter2@localhost".to_owned(),
            StoreErrorKind::Config,
            "redis://user",
        ),
        (
            "redis://:hunter2@localhost:port/x".to_owned(),
            StoreErrorKind::Config,
            "redis://user",
        ),
    ] {
        let (is, says) = told(connect(&url).await.expect_err("it cannot be"));
        assert!(is == kind && says.contains(text), "{is:?}: {says}");
    }
    let store = RedisStore::connect(&format!("redis://:hunter2hunter2@{at}"))
        .await
        .expect("a server");
    assert!(!format!("{store:?}").contains("hunter2"));
    let app = over(store);
    let mut ada = visitor(&app).await;
    let command = async |arguments: &[&str]| {
        let client = redis::Client::open(format!("redis://:hunter2hunter2@{at}")).expect("a URL");
        let mut connection = client
            .get_multiplexed_async_connection()
            .await
            .expect("a server");
        let mut command = redis::cmd(arguments[0]);
        command
            .arg(&arguments[1..])
            .query_async::<()>(&mut connection)
            .await
            .expect("it does");
    };
    for (set, kind) in [
        (
            &["CONFIG", "SET", "maxmemory", "1"][..],
            StoreErrorKind::Full,
        ),
        (&["CONFIG", "SET", "maxmemory", "0"], StoreErrorKind::Other),
        (&["REPLICAOF", "127.0.0.1", "1"], StoreErrorKind::ReadOnly),
        (&["REPLICAOF", "NO", "ONE"], StoreErrorKind::Other),
    ] {
        command(set).await;
        let answer = ada.get(&app, "/count").await;
        if kind == StoreErrorKind::Other {
            assert_eq!(answer.status, StatusCode::OK, "{set:?}");
            continue;
        }
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{set:?}");
        assert_eq!(
            ada.get(&app, "/who").await.body,
            "ada",
            "what only reads goes on"
        );
    }
}

#[tokio::test]
async fn no_key_is_ever_without_an_end_and_nothing_is_left_after_it() {
    let server = RedisServer::start(&[]);
    let store = RedisStore::connect(&server.url())
        .await
        .expect("a server")
        .prefix("app:");
    let layer = SessionLayer::builder(keys()).idle_timeout(Duration::from_secs(1));
    let app = app(built(layer).store(store));
    let client = redis::Client::open(server.url()).expect("a URL");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("a server");
    let mut seen = 0;
    for n in 0..20 {
        let mut visitor = Visitor::default();
        for path in [
            "/set/a/1",
            "/login/ada",
            "/renew",
            if n % 2 == 0 { "/logout" } else { "/count" },
        ] {
            visitor.get(&app, path).await;
            let keys: Vec<String> = redis::cmd("KEYS")
                .arg("*")
                .query_async(&mut connection)
                .await
                .expect("keys");
            for key in keys {
                assert!(key.starts_with("app:"), "{key}");
                let left: i64 = redis::cmd("PTTL")
                    .arg(&key)
                    .query_async(&mut connection)
                    .await
                    .expect("a time");
                assert!(left != -1, "{key} never ends");
                seen += 1;
            }
        }
    }
    assert!(seen > 100);
    // what is left of sessions that were ended has its own end, minutes later; of those that were only used, nothing stays
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let sets: Vec<String> = redis::cmd("KEYS")
        .arg("app:owner:*")
        .query_async(&mut connection)
        .await
        .expect("keys");
    assert_eq!(sets, [""; 0]);
}

#[tokio::test]
async fn the_app_s_own_connection_serves_as_well() {
    let Backend::Redis(server) = Backend::redis().await else {
        unreachable!("it is Redis")
    };
    let client = redis::Client::open(server.url()).expect("a URL");
    let connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("a server");
    let app = over(RedisStore::from_connection(connection));
    let mut visitor = visitor(&app).await;
    assert_eq!(visitor.get(&app, "/count").await.body, "1");
}
