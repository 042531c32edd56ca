//! Metrics name nobody, and their number does not grow with that of the visitors.

use axum::Router;
use tower_sealed_session::{Revocations, SessionLayer, store::MemoryStore};

use super::recorder::Recorded;
use crate::{
    stores,
    support::{NAME, OTHER_SECRET, Visitor, get_with, keys, secret},
};

const VISITORS: usize = 100_000;

/// Three layers with a store and a log have fewer. Most are the buckets of histograms.
const MOST: usize = 600;

async fn apps() -> [Router; 3] {
    let store = MemoryStore::new();
    let log = Revocations::sharing(&store).await.expect("a log");
    let rotated = || keys().fallback(secret(OTHER_SECRET));
    let in_cookies = SessionLayer::new(rotated()).revocations(log);
    let in_store = SessionLayer::new(rotated()).store(store.clone());
    let overflowing = SessionLayer::new(rotated()).overflow(store);
    [in_cookies, in_store, overflowing].map(stores::app)
}

/// One visitor, with names that occur nowhere else. One in fifty makes more than one request.
async fn visit(app: &Router, foreign: &Router, n: usize) -> Visitor {
    let mut visitor = Visitor::default();
    let set = format!("/set/canary-key-{n}/canary-value-{n}");
    let login = format!("/login/canary-owner-{n}");
    if !n.is_multiple_of(50) {
        match n % 3 {
            0 => drop(visitor.get(app, &set).await),
            1 => drop(visitor.get(app, &login).await),
            _ => {
                let planted = format!("{NAME}=canary-cookie-{n}");
                get_with(app, "/count", &[planted.as_bytes()]).await;
            }
        }
        return visitor;
    }
    if n.is_multiple_of(8) {
        visitor.get(foreign, "/count").await;
    }
    for path in [set, login, format!("/get/canary-key-{n}")] {
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
        if n == 20_000 {
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
        "{early} time series after 20000 visitors, {} after {VISITORS}",
        series.len()
    );
    assert_eq!(series.len(), early);
    assert!(series.len() < MOST);
    assert!(recorded.count("session_requests_total", &[]) > VISITORS as u64);
    let text = recorded.text();
    assert!(!text.contains("canary"));
    assert!(told.len() > 100 && told.iter().all(|told| !text.contains(told.as_str())));
}
