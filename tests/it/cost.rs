//! Costs: allocations per request, and no work for requests that do not use the session.

use axum::{Router, body::Body, http::Request, routing::get};
use tower::{ServiceExt as _, layer::util::Identity};
use tower_sealed_session::{Error, Session, SessionLayer, testing};

use crate::support::{Events, NAME, Visitor, get_with, layer};

fn routes() -> Router {
    async fn read(session: Session) -> Result<String, Error> {
        Ok(session.get::<u64>("n")?.unwrap_or(0).to_string())
    }
    async fn write(session: Session) -> Result<String, Error> {
        let n = session.get::<u64>("n")?.unwrap_or(0) + 1;
        session.insert("n", n)?;
        Ok(n.to_string())
    }
    Router::new()
        .route("/", get(|| async { "1" }))
        .route("/read", get(read))
        .route("/write", get(write))
}

/// The number of allocations of the second of two equal requests, from routing to dropping the
/// response.
fn allocations(app: &Router, path: &str, cookie: Option<&[u8]>) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let mut count = 0;
    for _ in 0..2 {
        let mut request = Request::get(path).body(Body::empty()).expect("a request");
        if let Some(cookie) = cookie {
            // part of a shared buffer, as in hyper
            let buffer = axum::body::Bytes::copy_from_slice(cookie);
            let _shared = buffer.clone();
            let value = axum::http::HeaderValue::from_maybe_shared(buffer).expect("a value");
            request.headers_mut().insert("cookie", value);
        }
        let app = app.clone();
        let info = allocation_counter::measure(|| {
            drop(runtime.block_on(app.oneshot(request)).expect("infallible"));
        });
        count = info.count_total;
    }
    count
}

#[test]
fn unused_session_costs_at_most_four_allocations() {
    let floor = routes().layer(Identity::new());
    let ours = routes().layer(layer());
    let huge = format!("{NAME}={}", "A".repeat(64 * 1024));
    for cookie in [None, Some(&b"a=1"[..]), Some(huge.as_bytes())] {
        let own = allocations(&ours, "/", cookie) - allocations(&floor, "/", cookie);
        println!(
            "untouched, {} bytes of cookies: {own} allocations",
            cookie.map_or(0, <[u8]>::len)
        );
        assert!(own <= 4, "{own}");
    }
}

#[test]
fn read_costs_four_allocations_and_write_seven_at_any_size() {
    let floor = routes().layer(Identity::new());
    let layer = layer();
    let ours = routes().layer(layer.clone());
    for entries in [1, 30] {
        let session = testing::session(&layer);
        session.insert("n", 1).expect("small");
        for n in 1..entries {
            session
                .insert(&format!("v{n:02}"), "x".repeat(73))
                .expect("it fits");
        }
        let own = testing::cookie(&layer, &session).expect("a cookie");
        for others in [0, 50] {
            let others: Vec<u8> = (0..others)
                .flat_map(|n| format!("other{n}=value; ").into_bytes())
                .collect();
            let cookies = [&others, own.as_bytes()].concat();
            let plain = allocations(&floor, "/", Some(&cookies));
            for (path, limit) in [("/read", 4), ("/write", 7)] {
                // both allocate their own response text
                let own = allocations(&ours, path, Some(&cookies)) - plain - 1;
                println!("{path}, {entries} entries: {own} allocations");
                assert!(own <= limit, "{path}: {own}");
            }
        }
    }
}

/// The bytes that `n` inserts allocate, in total and at most at one time.
fn bytes_for_inserts(layer: &SessionLayer, keys: &[String]) -> (u64, u64) {
    let session = testing::session(layer);
    let info = allocation_counter::measure(|| {
        for key in keys {
            session.insert(key, 1).expect("it fits");
        }
        assert!(!session.keys().is_empty());
    });
    (info.bytes_total, info.bytes_max)
}

#[test]
fn inserts_allocate_what_they_add() {
    let mut keys: Vec<String> = (0..300).map(|n| format!("k{n:03}")).collect();
    for order in ["in order", "backwards"] {
        let of = |n| bytes_for_inserts(&layer(), &keys[..n]).0;
        let (few, many) = (of(30), of(300));
        println!("{order}: 30 inserts: {few} bytes, 300 inserts: {many} bytes");
        assert!(few <= 4_000, "{few}");
        assert!(many <= 60_000, "{many}");
        keys.reverse();
    }
}

#[cfg(feature = "memory")]
#[test]
fn inserts_into_a_stored_session_allocate_what_they_add() {
    let layer = layer().store(tower_sealed_session::store::MemoryStore::new());
    let keys: Vec<String> = (0..8000).map(|n| format!("k{n:04}")).collect();
    let of = |n| bytes_for_inserts(&layer, &keys[..n]).0;
    let (few, many) = (of(400), of(8000));
    println!("400 inserts: {few} bytes, 8000 inserts: {many} bytes");
    assert!(many <= 24 * few, "{few} {many}");

    let one_key = vec!["k".to_owned(); 100_000];
    let (_, at_most) = bytes_for_inserts(&layer, &one_key);
    assert!(at_most < 32_000, "{at_most}");
}

#[tokio::test]
async fn unused_session_is_not_opened_and_adds_no_header() {
    let app = routes().layer(layer());
    let events = Events::capture();
    let answer = get_with(&app, "/", &[format!("{NAME}=garbage").as_bytes()]).await;
    assert_eq!(events.drain(), [""; 0], "the cookie was not opened");
    for header in ["set-cookie", "vary", "cache-control"] {
        assert!(answer.header(header).is_empty(), "{header}");
    }
}

#[tokio::test]
async fn changes_to_an_empty_session_set_no_cookie() {
    async fn ask(session: Session) -> String {
        session.renew();
        session.remember(std::time::Duration::from_secs(60));
        session.clear();
        format!("{} {:?}", session.len(), session.id().is_ok())
    }
    let app = Router::new().route("/", get(ask)).layer(layer());
    let answer = Visitor::default().get(&app, "/").await;
    assert_eq!(answer.body, "0 true");
    assert!(answer.sets_nothing());
}

/// What the entries of an instance take: an instance that starts reads all of them. A nightly job
/// sets `REVOKED_SESSIONS` to a million.
#[cfg(feature = "memory")]
#[test]
fn revoked_session_takes_at_most_forty_bytes() {
    use tower_sealed_session::{Revocations, store::MemoryStore};

    let count =
        std::env::var("REVOKED_SESSIONS").map_or(50_000, |count| count.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let store = MemoryStore::new();
    let open = || {
        runtime
            .block_on(Revocations::sharing(&store))
            .expect("a log")
    };
    // this runtime has no time to read the log while it is used
    let layer = layer().revocations(open().lenient());
    let app = Router::new()
        .route("/", get(async |session: Session| session.logout()))
        .layer(layer.clone());
    let session = testing::session(&layer);
    for _ in 0..count {
        session.login("ada").expect("it is small");
        let cookie = testing::cookie(&layer, &session).expect("entropy");
        runtime.block_on(get_with(&app, "/", &[cookie.as_bytes()]));
    }
    let mut logs = Vec::with_capacity(1);
    let held = allocation_counter::measure(|| logs.push(open())).bytes_current;
    assert_eq!(logs[0].len(), count);
    let each = held as f64 / count as f64;
    println!("{count} revoked sessions: {held} bytes, {each:.1} bytes each");
    assert!(each <= 40.0, "{each}");
}
