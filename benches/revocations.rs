//! `cargo bench --bench revocations --features memory`: what a log of revocations costs a request
//! that uses its session. README.md has the figures. `tests/it/cost.rs` has the memory of an entry.
//!
//! The log is in the memory of this process, so that only the layer is measured. All contestants
//! take turns in one run.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, header::COOKIE},
    routing::get,
};
use tower::{ServiceExt as _, layer::util::Identity};
use tower_sealed_session::{
    Error, KeyRing, Revocations, Secret, Session, SessionLayer, store::MemoryStore, testing,
};

const SESSIONS: u64 = 100_000;
const OWNERS: u64 = 1000;
const ROUNDS: usize = 61;
/// The reads of one contestant in one round.
const READS: u32 = 2000;
/// The reads whose times are measured one by one.
const SINGLE: usize = 50_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(measure());
}

async fn measure() {
    let store = MemoryStore::new();
    let log = Revocations::sharing(&store).await.expect("a log");
    let writer = layer().revocations(log);
    end_sessions(&writer, 0..SESSIONS).await;
    // it began before the owners' sessions were ended, so each look needs the owner's tags
    let early = visitor(&writer, "user-42").await;
    for number in 0..OWNERS {
        let owner = format!("other-{number}");
        writer.revoke_owner(&owner).await.expect("a log");
    }
    // it began after all of them, so no look does
    let late = visitor(&writer, &format!("other-{}", OWNERS - 1)).await;

    let log = Revocations::sharing(&store).await.expect("a log");
    assert_eq!(log.len(), SESSIONS + OWNERS);
    let with = app(layer().revocations(log));
    let without = app(layer());
    let floor = routes().layer(Identity::new());
    for (name, cookie) in [("before", &early), ("after", &late)] {
        price(name, [&floor, &without, &with], cookie).await;
    }
    arrivals(&with, &early, &writer).await;
}

fn routes() -> Router {
    async fn read(session: Session) -> Result<String, Error> {
        Ok(session.owner().unwrap_or_default())
    }
    Router::new()
        .route("/read", get(read))
        .route("/floor", get(async || "user-42".to_owned()))
}

fn layer() -> SessionLayer {
    let secret = Secret::new("k2Jc0fTqJHn8e0UQ3xq2v0Vd8mYb1sO4l5rXwZtA9gE=");
    let builder = SessionLayer::builder(KeyRing::new(secret.expect("a good one")));
    let builder = testing::as_another_process(builder);
    builder.build().expect("valid settings")
}

fn app(layer: SessionLayer) -> Router {
    routes().layer(layer)
}

/// The cookie of a session with that owner.
async fn visitor(layer: &SessionLayer, owner: &str) -> HeaderValue {
    let login = Router::new()
        .route(
            "/{owner}",
            get(async |session: Session, path: axum::extract::Path<String>| session.login(path.0)),
        )
        .layer(layer.clone());
    let request = Request::get(format!("/{owner}")).body(Body::empty());
    let response = login.oneshot(request.expect("a request")).await;
    let response = response.expect("infallible");
    let line = response.headers()["set-cookie"].to_str().expect("ASCII");
    let (pair, _) = line.split_once(';').expect("attributes");
    HeaderValue::from_str(pair).expect("a part of a header")
}

async fn send(app: &Router, path: &str, cookie: &HeaderValue) {
    let mut request = Request::get(path).body(Body::empty()).expect("a request");
    request.headers_mut().insert(COOKIE, cookie.clone());
    let response = app.clone().oneshot(request).await.expect("infallible");
    assert!(response.status().is_success());
    black_box(response);
}

/// Logs so many sessions out.
async fn end_sessions(layer: &SessionLayer, numbers: std::ops::Range<u64>) {
    let logout = Router::new()
        .route("/", get(async |session: Session| session.logout()))
        .layer(layer.clone());
    let session = testing::session(layer);
    for _ in numbers {
        session.login("user").expect("it is small");
        let cookie = testing::cookie(layer, &session).expect("entropy");
        send(&logout, "/", &cookie).await;
    }
}

/// The price of a read without and with the log, each without the price of the floor.
async fn price(name: &str, apps: [&Router; 3], cookie: &HeaderValue) {
    let mut ratios = Vec::new();
    let mut prices = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        let mut times = [0.0; 3];
        for n in 0..3 {
            let which = (n + round) % 3;
            let path = if which == 0 { "/floor" } else { "/read" };
            let start = Instant::now();
            for _ in 0..READS {
                send(apps[which], path, cookie).await;
            }
            times[which] = start.elapsed().as_nanos() as f64 / f64::from(READS);
        }
        if round > 0 {
            let [floor, without, with] = times;
            ratios.push((with - floor) / (without - floor));
            prices[0].push(without - floor);
            prices[1].push(with - floor);
        }
    }
    let [without, with] = prices.map(median);
    println!(
        "a session that began {name} the last owner's end: {without:.0} ns without the log, \
         {with:.0} ns with it, {:.2} x",
        median(ratios)
    );
}

/// The 99th percentile of reads while entries arrive at 1000 a second, and while the same work is
/// done for another log.
async fn arrivals(app: &Router, cookie: &HeaderValue, writer: &SessionLayer) {
    let elsewhere = Revocations::sharing(&MemoryStore::new()).await;
    let elsewhere = layer().revocations(elsewhere.expect("a log"));
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        let which = round % 2;
        let busy = [&elsewhere, writer][which].clone();
        let adding = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(10));
            loop {
                tick.tick().await;
                end_sessions(&busy, 0..10).await;
            }
        });
        times[which].push(p99(app, cookie).await as f64);
        adding.abort();
    }
    let [elsewhere, here] = times.map(median);
    println!(
        "99th percentile of a read: {elsewhere:.0} ns, and {here:.0} ns while 1000 entries arrive \
         each second"
    );
}

async fn p99(app: &Router, cookie: &HeaderValue) -> u64 {
    let mut times = Vec::with_capacity(SINGLE);
    for _ in 0..SINGLE {
        let start = Instant::now();
        send(app, "/read", cookie).await;
        times.push(start.elapsed().as_nanos() as u64);
    }
    times.sort_unstable();
    times[SINGLE / 100 * 99]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
