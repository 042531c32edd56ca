//! A Redis server that crashes, hangs, is unreachable, and recovers.

use std::time::{Duration, Instant};

use http::StatusCode;
use tower_sealed_session::{
    SessionLayer,
    store::{RedisStore, StoreError, StoreErrorKind},
};

use super::{
    app,
    backend::{Backend, built},
    faults::{
        BUSY, lost_answers_are_harmless, over, recovers, send_with_bounded_latency, timed, visitor,
    },
    proxy::Proxy,
    redis_server::RedisServer,
};
use crate::support::{Events, Visitor, keys};

fn url(proxy: &Proxy) -> String {
    format!("redis://{}/0", proxy.address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_server_answers_503_fast_until_it_restarts() {
    let mut server = RedisServer::start(&[]);
    let app = over(RedisStore::connect(&server.url()).await.expect("a server"));
    let mut visitor = visitor(&app).await;
    server.kill();
    let statuses = send_with_bounded_latency(&app, &visitor).await;
    assert!(
        statuses
            .iter()
            .all(|status| *status == StatusCode::SERVICE_UNAVAILABLE)
    );
    server.restart();
    recovers(&app, &mut visitor, Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_server_answers_503_fast_until_it_continues() {
    let server = RedisServer::start(&[]);
    let app = over(RedisStore::connect(&server.url()).await.expect("a server"));
    let mut visitor = visitor(&app).await;
    server.stop();
    let statuses = send_with_bounded_latency(&app, &visitor).await;
    assert!(
        statuses
            .iter()
            .all(|status| *status == StatusCode::SERVICE_UNAVAILABLE)
    );
    server.go_on();
    recovers(&app, &mut visitor, Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silently_dead_connection_is_replaced() {
    let server = RedisServer::start(&[]);
    let proxy = Proxy::before(server.port).await;
    let app = over(RedisStore::connect(&url(&proxy)).await.expect("a server"));
    let mut visitor = visitor(&app).await;
    proxy.black_hole();
    let fault = Instant::now();
    recovers(&app, &mut visitor, fault).await;

    // a connection that dies while idle is replaced before the next request
    proxy.black_hole();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let (took, answer) = timed(&app, &visitor, "/who").await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "ada"));
    assert!(took < BUSY, "{took:?}");

    // new connections are refused too
    proxy.refuse(true);
    proxy.black_hole();
    let statuses = send_with_bounded_latency(&app, &visitor).await;
    assert!(
        statuses
            .iter()
            .all(|status| *status == StatusCode::SERVICE_UNAVAILABLE)
    );
    proxy.refuse(false);
    recovers(&app, &mut visitor, Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_lost_answer_is_harmless() {
    let server = RedisServer::start(&[]);
    let proxy = Proxy::before(server.port).await;
    let app = over(RedisStore::connect(&url(&proxy)).await.expect("a server"));
    let direct = over(RedisStore::connect(&server.url()).await.expect("a server"));
    lost_answers_are_harmless(&app, &direct, &proxy).await;
}

#[tokio::test]
async fn redis_errors_tell_the_reason_but_no_password() {
    let describe = |error: tower_sealed_session::store::StoreError| {
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
            match cfg!(feature = "redis-tls") {
                true => StoreErrorKind::TimedOut,
                false => StoreErrorKind::Config,
            },
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
        let (found, message) = describe(connect(&url).await.expect_err("an error"));
        assert!(
            found == kind && message.contains(text),
            "{found:?}: {message}"
        );
    }
    let store = RedisStore::connect(&format!("redis://:hunter2hunter2@{at}"))
        .await
        .expect("a server");
    assert!(!format!("{store:?}").contains("hunter2"));
    let app = over(store);
    let mut ada = visitor(&app).await;
    let events = Events::capture();
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
            Some(StoreErrorKind::Full),
        ),
        (&["CONFIG", "SET", "maxmemory", "0"], None),
        (
            &["REPLICAOF", "127.0.0.1", "1"],
            Some(StoreErrorKind::ReadOnly),
        ),
        (&["REPLICAOF", "NO", "ONE"], None),
    ] {
        command(set).await;
        if kind.is_none() {
            recovers(&app, &mut ada, Instant::now()).await;
        }
        events.text();
        let answer = ada.get(&app, "/count").await;
        let log = events.text();
        assert!(!log.contains("hunter2"), "{log}");
        let Some(kind) = kind else {
            assert_eq!(answer.status, StatusCode::OK, "{set:?}");
            assert!(!log.contains("store_failed"), "{log}");
            continue;
        };
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{set:?}");
        let name = match kind {
            StoreErrorKind::Full => "full",
            _ => "read_only",
        };
        assert!(
            log.contains(&format!("call=\"save\" kind=\"{name}\"")),
            "{log}"
        );
        assert!(log.contains(&StoreError::new(kind).to_string()), "{log}");
        let read = ada.get(&app, "/who").await;
        match kind {
            StoreErrorKind::Full => assert_eq!(read.body, "ada", "reads still work"),
            // a replica may have old sessions
            _ => assert_eq!(read.status, StatusCode::SERVICE_UNAVAILABLE),
        }
    }
    // the operator sees which command is denied
    for (set, wanted) in [
        (
            &["ACL", "SETUSER", "default", "-get"][..],
            [
                "kind=\"denied\"",
                "check user, password and permissions",
                "'get'",
            ],
        ),
        (
            &["ACL", "SETUSER", "default", "+get", "-evalsha", "-eval"],
            [
                "kind=\"denied\"",
                "check user, password and permissions",
                "'evalsha'",
            ],
        ),
    ] {
        command(set).await;
        events.text();
        let answer = ada.get(&app, "/count").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{set:?}");
        let log = events.text();
        for part in wanted {
            assert!(log.contains(part), "{part} is not in: {log}");
        }
    }
}

#[tokio::test]
async fn every_key_expires() {
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
                assert!(left != -1, "{key} has no expiry");
                // an index stays for up to an hour and a minute after its last session
                let most = if key.contains("owner") { 3661 } else { 600 };
                assert!(left <= (most + 1) * 1000, "{key}: {left}");
                seen += 1;
            }
        }
    }
    assert!(seen > 100);
    // a session that was logged out has left the index
    let indexes: Vec<String> = redis::cmd("KEYS")
        .arg("app:owner:*")
        .query_async(&mut connection)
        .await
        .expect("keys");
    let members: usize = redis::cmd("ZCARD")
        .arg(&indexes)
        .query_async(&mut connection)
        .await
        .expect("a number");
    assert_eq!((indexes.len(), members), (1, 10));
}

#[tokio::test]
async fn existing_connection_of_the_app_can_be_used() {
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
