//! `prune`, beside an app that runs.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use time::OffsetDateTime;
use tower_sealed_session::{
    SessionLayer,
    store::{AnyStore, Operate as _},
    testing::TestClock,
};

use super::{Kind, TestStore, large::each, program, run};
use crate::{
    logout::app,
    support::{Visitor, keys},
};

on_each_store! {
    expired_sessions_are_deleted_and_no_others;
    nothing_living_is_pruned_under_load;
}

/// Writes sessions that expired hours ago.
pub(super) async fn write_expired(store: &AnyStore, count: u64) {
    let past = TestClock::at(OffsetDateTime::now_utc() - Duration::from_secs(7200));
    let layer = SessionLayer::builder(keys())
        .clock(past)
        .store(store.clone());
    let app = app(layer.build().expect("valid settings"));
    each(count, move |_| {
        let app = app.clone();
        async move { Visitor::default().get(&app, "/login,cart").await }
    })
    .await;
}

/// All rows of the store, also expired ones.
async fn rows(store: &AnyStore) -> u64 {
    let counted = store
        .count(OffsetDateTime::now_utc())
        .await
        .expect("a store");
    counted.live + counted.expired
}

async fn expired_sessions_are_deleted_and_no_others(kind: Kind) {
    let store = TestStore::new(kind).await;
    let app = app(SessionLayer::new(keys()).store(store.store.clone()));
    let mut visitors = vec![Visitor::default(); 20];
    for visitor in &mut visitors {
        visitor.get(&app, "/login,cart").await;
    }
    // Redis deletes them itself
    let expired = if kind == Kind::Redis { 0 } else { 30 };
    write_expired(&store.store, expired).await;
    assert_eq!(rows(&store.store).await, 20 + expired);

    let dry = ["prune", "--dry-run", "--store", &store.url];
    let told = run(&dry).exits(0).stdout;
    assert_eq!(
        told,
        format!("{expired} expired sessions would be deleted\n")
    );
    let told = run(&[&dry[..], &["--json"]].concat()).exits(0).json();
    assert_eq!(told, json!({"would_delete": expired}));
    assert_eq!(rows(&store.store).await, 20 + expired);

    // no secret is needed
    let told = super::run_with(
        &["prune", "--store", &store.url, "--json"],
        b"",
        |command| command.env_remove("SESSION_SECRET"),
    );
    assert_eq!(told.exits(0).json(), json!({"deleted": expired}));
    assert_eq!(rows(&store.store).await, 20);
    let again = run(&["prune", "--store", &store.url]).exits(0).stdout;
    assert_eq!(again, "0 expired sessions deleted\n");
    for visitor in &mut visitors {
        let seen = visitor.get(&app, "/see").await.body;
        assert_eq!(seen, r#"Some("ada") ["cart"]"#);
    }
}

fn every_second(store: &TestStore) -> Child {
    program(&["prune", "--every", "1s", "--json", "--store", &store.url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

/// Interrupts the program, and returns how many sessions it deleted.
fn interrupt(child: Child) -> u64 {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.expect("kill runs").success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let deleted = text.lines().map(|line| {
        let json: Value = serde_json::from_str(line).expect("JSON");
        json["deleted"].as_u64().expect("a number")
    });
    deleted.sum()
}

/// Each visitor comes before the session's short idle time is over, and the next sweep begins
/// before the last one is forgotten.
async fn nothing_living_is_pruned_under_load(kind: Kind) {
    let store = TestStore::new(kind).await;
    let layer = SessionLayer::builder(keys()).store(store.store.clone());
    let layer = layer.idle_timeout(Duration::from_secs(6));
    let app = app(layer.build().expect("valid settings"));
    let stop = Arc::new(AtomicBool::new(false));
    let requests = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for n in 0..16 {
        let (app, stop, requests) = (app.clone(), stop.clone(), requests.clone());
        tasks.push(tokio::spawn(async move {
            let mut visitor = Visitor::default();
            visitor.get(&app, "/login,cart").await;
            let jar = visitor.jar.clone();
            while !stop.load(Ordering::Relaxed) {
                // some come often, and some just before their idle time is over
                let pause = if n % 2 == 0 { 20 } else { 2500 };
                tokio::time::sleep(Duration::from_millis(pause)).await;
                let answer = visitor.get(&app, "/count").await;
                assert!(
                    answer.body.starts_with(r#"Some("ada") ["cart""#),
                    "{answer:?}"
                );
                requests.fetch_add(1, Ordering::Relaxed);
            }
            assert!(!jar.is_empty());
        }));
    }
    let pruning = every_second(&store);
    let mut written = 0;
    for _ in 0..9 {
        write_expired(&store.store, 20).await;
        written += 20;
        tokio::time::sleep(Duration::from_millis(800)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("nobody lost a session");
    }
    assert!(requests.load(Ordering::Relaxed) > 100);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let deleted = interrupt(pruning);
    match kind {
        Kind::Redis => assert_eq!(deleted, 0),
        _ => assert!(deleted >= written, "{deleted} of {written}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_pruning_ends_when_it_is_interrupted() {
    let store = TestStore::new(Kind::Sqlite).await;
    write_expired(&store.store, 5).await;
    let mut child = every_second(&store);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = || {
        let line = lines.next().expect("a line").expect("UTF-8");
        serde_json::from_str::<Value>(&line).expect("JSON")
    };
    assert_eq!(next(), json!({"deleted": 5}));
    write_expired(&store.store, 7).await;
    assert_eq!(next(), json!({"deleted": 7}));
    assert_eq!(interrupt(child), 0);
}
