//! Metrics name nobody, and their number does not grow with that of the visitors.

use axum::Router;
use tower_sealed_session::{Revocations, SessionLayer, store::MemoryStore};

use super::recorder::Recorded;
use crate::{
    stores,
    support::{NAME, OTHER_SECRET, Visitor, get_with, keys, secret},
};

const VISITORS: usize = 100_000;

/// More than the visitors of this test cause. Each kind of event has a time series, not each visitor.
const MOST: usize = 450;

async fn apps() -> [Router; 3] {
    let store = MemoryStore::new();
    let log = Revocations::sharing(&store).await.expect("a log");
    let rotated = || keys().fallback(secret(OTHER_SECRET));
    let in_cookies = SessionLayer::new(rotated()).revocations(log);
    let in_store = SessionLayer::new(rotated()).store(store.clone());
    let overflowing = SessionLayer::new(rotated()).overflow(store);
    [in_cookies, in_store, overflowing].map(stores::app)
}

/// One visitor, with names that occur nowhere else.
async fn visit(app: &Router, foreign: &Router, n: usize) -> Visitor {
    let mut visitor = Visitor::default();
    match n % 8 {
        0 => drop(visitor.get(foreign, "/count").await),
        1 => {
            let planted = format!("{NAME}=canary-cookie-{n}");
            get_with(app, "/count", &[planted.as_bytes()]).await;
        }
        _ => {}
    }
    for path in [
        format!("/set/canary-key-{n}/canary-value-{n}"),
        format!("/login/canary-owner-{n}"),
        format!("/get/canary-key-{n}"),
    ] {
        visitor.get(app, &path).await;
    }
    match n % 7 {
        0 => drop(visitor.get(app, "/logout").await),
        1 => drop(visitor.get(app, "/renew").await),
        2 => drop(visitor.get(app, "/big/5000").await),
        _ => {}
    }
    visitor
}

#[tokio::test]
async fn a_hundred_thousand_visitors_leave_no_name_and_no_more_time_series() {
    let recorded = Recorded::begin();
    let apps = apps().await;
    // an instance with another secret sets cookies that the others cannot open
    let foreign = SessionLayer::new(tower_sealed_session::KeyRing::ephemeral().expect("entropy"));
    let foreign = stores::app(foreign);
    let mut early = 0;
    let mut told = Vec::new();
    for n in 0..VISITORS {
        let mut visitor = visit(&apps[n % apps.len()], &foreign, n).await;
        if n == 2000 {
            early = recorded.series().len();
        }
        if n.is_multiple_of(1000) {
            told.push(visitor.get(&apps[n % apps.len()], "/id").await.body);
            told.extend(visitor.jar.into_values());
            // as the exporter does all the time, or it would keep each value
            recorded.text();
        }
    }
    let series = recorded.series();
    println!(
        "{early} time series after 2000 visitors, {} after {VISITORS}",
        series.len()
    );
    assert_eq!(series.len(), early);
    assert!(series.len() < MOST && recorded.count("session_requests_total", &[]) > 300_000);
    let text = recorded.text();
    assert!(!text.contains("canary"));
    assert!(told.len() > 100 && told.iter().all(|told| !text.contains(told.as_str())));
}
