//! `stats` tells what the store has, and `stats --exact` tells sessions from everything else.

use std::time::Duration;

use serde_json::json;
use tower_sealed_session::{KeyRing, SessionLayer, store::MemoryStore, testing::TestClock};

use super::{Kind, TestStore, run, run_with, write};
use crate::{
    logout::app,
    support::{OTHER_SECRET, SECRET, Visitor, keys, secret},
};

on_each_store! {
    exact_count_tells_what_each_row_is;
}

async fn exact_count_tells_what_each_row_is(kind: Kind) {
    let store = TestStore::new(kind).await;
    let empty = run(&["stats", "--exact", "--json", "--store", &store.url])
        .exits(0)
        .json();
    assert_eq!(empty, expected([0; 7], 0, 0));

    let layer = || SessionLayer::new(keys()).store(store.store.clone());
    let here = app(layer());
    for _ in 0..3 {
        Visitor::default().get(&here, "/login,cart").await;
    }
    for _ in 0..4 {
        Visitor::default().get(&here, "/cart").await;
    }
    for _ in 0..5 {
        let mut visitor = Visitor::default();
        visitor.get(&here, "/login,cart").await;
        visitor.get(&here, "/logout").await;
    }
    // two sessions move to another store
    let new = MemoryStore::new();
    let moving = SessionLayer::new(keys()).store(new);
    let moving = app(moving.read_from(store.store.clone()));
    for _ in 0..2 {
        let mut visitor = Visitor::default();
        visitor.get(&here, "/login,cart").await;
        let seen = visitor.get(&moving, "/see").await.body;
        assert_eq!(seen, r#"Some("ada") ["cart"]"#);
    }
    let file = r#"{"a": {"user_id": "a"}, "b": {"user_id": "b"}, "c": {"user_id": "c"}}"#;
    let file = write(&store.folder.0, "sessions.json", file);
    run(&["import", &file, "--store", &store.url]).exits(0);
    let other = KeyRing::new(secret(OTHER_SECRET));
    let other = app(SessionLayer::new(other).store(store.store.clone()));
    for _ in 0..6 {
        Visitor::default().get(&other, "/login,cart").await;
    }
    // Redis does not keep them
    let expired = if kind == Kind::Redis { 0 } else { 8 };
    let past = TestClock::at(time::OffsetDateTime::now_utc() - Duration::from_secs(7200));
    let past = SessionLayer::builder(keys())
        .clock(past)
        .store(store.store.clone());
    let past = app(past.build().expect("valid settings"));
    for _ in 0..expired {
        Visitor::default().get(&past, "/login,cart").await;
    }

    let rows = tower_sealed_session::store::Operate::scan(&store.store, None);
    let rows = rows.await.expect("a store").sessions;
    let sizes: Vec<_> = rows.iter().map(|(_, row)| row.bytes.len() as u64).collect();
    let (bytes, largest) = (sizes.iter().sum(), sizes.iter().max().copied());
    let exact = ["stats", "--exact", "--store", &store.url];
    let told = run(&[&exact[..], &["--json"]].concat()).exits(0).json();
    let counts = [7, 3, 5, 2, 3, 6, expired];
    assert_eq!(told, expected(counts, bytes, largest.expect("rows")));
    let table = run(&exact).exits(0).stdout;
    for line in [
        "sessions          7",
        "  with an owner   3",
        "ended recently    5",
        "moved             2",
        "imported          3",
        "of other secrets  6",
        &format!("expired           {expired}, not deleted yet"),
    ] {
        assert!(table.lines().any(|it| it == line), "{line}: {table}");
    }
    // with both secrets, all of them are sessions
    let both = run_with(&[&exact[..], &["--json"]].concat(), b"", |command| {
        let command = command.env("SESSION_SECRET", OTHER_SECRET);
        command.env("SESSION_SECRET_FALLBACKS", SECRET)
    });
    let both = both.exits(0).json();
    assert_eq!(
        (&both["sessions"], &both["unreadable"]),
        (&json!(13), &json!(0))
    );

    // without --exact, no secret is needed
    let estimate = run_with(
        &["stats", "--json", "--store", &store.url],
        b"",
        |command| command.env_remove("SESSION_SECRET"),
    );
    let estimate = estimate.exits(0).json();
    assert!(
        estimate["live"].is_u64() && estimate["expired"].is_u64(),
        "{estimate}"
    );
    if estimate["exact"] == true {
        assert_eq!(
            (&estimate["live"], &estimate["expired"]),
            (&json!(23), &json!(expired))
        );
    }
    let table = run(&["stats", "--store", &store.url]).exits(0).stdout;
    assert!(table.contains("not expired  "), "{table}");
}

fn expected(counts: [u64; 7], bytes: u64, largest: u64) -> serde_json::Value {
    let [
        sessions,
        with_owner,
        ended,
        moved,
        imported,
        unreadable,
        expired,
    ] = counts;
    json!({
        "sessions": sessions,
        "with_owner": with_owner,
        "ended": ended,
        "moved": moved,
        "imported": imported,
        "unreadable": unreadable,
        "expired": expired,
        "bytes": bytes,
        "largest_bytes": largest,
    })
}

/// More rows than one part of a scan has.
#[tokio::test(flavor = "multi_thread")]
async fn exact_count_reads_a_large_store_to_its_end() {
    for kind in [Kind::Sqlite, Kind::Redis] {
        let store = TestStore::new(kind).await;
        let app = app(SessionLayer::new(keys()).store(store.store.clone()));
        for n in 0..1300 {
            let path = if n % 2 == 0 { "/login" } else { "/cart" };
            Visitor::default().get(&app, path).await;
        }
        let told = run(&["stats", "--exact", "--json", "--store", &store.url]);
        let told = told.exits(0).json();
        assert_eq!(
            (&told["sessions"], &told["with_owner"]),
            (&json!(1300), &json!(650))
        );
    }
}
