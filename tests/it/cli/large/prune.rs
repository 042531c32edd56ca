//! `prune` of a large table, `EXPIRED` expired rows, while visitors use the app.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tower_sealed_session::SessionLayer;

use super::{
    super::{Kind, TestStore, prune::write_expired, run},
    all, each, exact,
};
use crate::{
    logout::app,
    support::{Visitor, keys},
};

async fn many_expired_rows_are_pruned_and_no_others(kind: Kind) {
    let store = TestStore::new(kind).await;
    let expired = super::size("EXPIRED", 2000);
    let (living, leaving) = (expired / 10, expired / 100);
    // no request fails because the machine is busy
    let layer = SessionLayer::builder(keys()).store(store.store.clone());
    let layer = layer.store_timeout(Duration::from_secs(10));
    let app = app(layer.build().expect("valid settings"));
    let login = {
        let app = app.clone();
        move |_| {
            let app = app.clone();
            async move {
                let mut visitor = Visitor::default();
                visitor.get(&app, "/login,cart").await;
                visitor
            }
        }
    };
    let visitors = each(living, login.clone()).await;
    for mut visitor in each(leaving, login).await {
        visitor.get(&app, "/logout").await;
    }
    write_expired(&store.store, expired).await;
    let before = exact(&store);
    assert_eq!(before["expired"], expired);
    assert_eq!(all(&before), store.counted_elsewhere().await, "{before}");
    let dry = run(&["prune", "--dry-run", "--json", "--store", &store.url]).exits(0);
    assert_eq!(dry.json(), json!({"would_delete": expired}));

    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (app, stop) = (app.clone(), stop.clone());
            tokio::spawn(async move {
                let (mut visitor, mut counts) = (Visitor::default(), [0; 3]);
                visitor.get(&app, "/login,cart").await;
                let [requests, arrived, left] = &mut counts;
                while !stop.load(Ordering::Relaxed) || *requests == 0 {
                    let answer = visitor.get(&app, "/count").await;
                    assert!(
                        answer.body.starts_with(r#"Some("ada") ["cart""#),
                        "{answer:?}"
                    );
                    *requests += 1;
                    let mut other = Visitor::default();
                    other.get(&app, "/login,cart").await;
                    if *requests % 2 == 0 {
                        other.get(&app, "/logout").await;
                        *left += 1;
                    } else {
                        *arrived += 1;
                    }
                }
                (visitor, counts)
            })
        })
        .collect();
    let start = Instant::now();
    let pruned = run(&["prune", "--json", "--store", &store.url]).exits(0);
    let seconds = start.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    assert_eq!(pruned.json(), json!({"deleted": expired}));

    let (mut requests, mut sessions, mut ended) = (0, living + 8, leaving);
    let mut all_visitors = visitors;
    for task in load {
        let (visitor, [more, arrived, left]) = task.await.expect("nobody lost a session");
        all_visitors.push(visitor);
        requests += more;
        sessions += arrived;
        ended += left;
    }
    println!("{kind:?}: {expired} rows in {seconds:.2} s, beside {requests} visits");
    let after = exact(&store);
    assert_eq!(
        (&after["sessions"], &after["with_owner"], &after["ended"]),
        (&json!(sessions), &json!(sessions), &json!(ended))
    );
    assert_eq!(
        (&after["expired"], all(&after)),
        (&json!(0), sessions + ended)
    );
    assert_eq!(store.counted_elsewhere().await, sessions + ended);
    let all_visitors = Arc::new(all_visitors);
    let lost = each(all_visitors.len() as u64, move |n| {
        let (app, visitors) = (app.clone(), all_visitors.clone());
        async move {
            let mut visitor = visitors[n as usize].clone();
            let seen = visitor.get(&app, "/see").await.body;
            u32::from(!seen.starts_with(r#"Some("ada") ["cart""#))
        }
    });
    assert_eq!(lost.await.iter().sum::<u32>(), 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "`.ci/nightly cli` runs it: it takes minutes"]
async fn sqlite() {
    many_expired_rows_are_pruned_and_no_others(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "`.ci/nightly cli` runs it: it takes minutes"]
async fn postgres() {
    many_expired_rows_are_pruned_and_no_others(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "`.ci/nightly cli` runs it: it takes minutes"]
async fn mariadb() {
    many_expired_rows_are_pruned_and_no_others(Kind::MariaDb).await;
}
