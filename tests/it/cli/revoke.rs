//! `sessions` and `revoke`, while an app runs with the same store or log.

use std::time::{Duration, Instant};

use axum::Router;
use serde_json::{Value, json};
use time::{OffsetDateTime, UtcOffset};
use tower_sealed_session::{Revocations, SessionLayer};

use super::{Kind, Run, TestStore, run, run_with};
use crate::{
    logout::app,
    support::{Visitor, keys},
};

on_each_store! {
    sessions_in_a_store_are_listed_and_ended;
    sessions_in_cookies_are_ended_by_the_log;
    sessions_from_before_a_time_are_ended_by_the_log;
}

const NOBODY: &str = "None []";
const ADA: &str = r#"Some("ada") ["cart"]"#;

async fn visitor(app: &Router, path: &str) -> Visitor {
    let mut visitor = Visitor::default();
    visitor.get(app, path).await;
    visitor
}

async fn sees(app: &Router, visitor: &Visitor) -> String {
    visitor.clone().get(app, "/see").await.body
}

/// Revokes the session of a visitor, whose cookies stdin brings.
fn revoke_cookie(visitor: &Visitor, where_: &[&str]) -> Run {
    let line = format!("Cookie: {}", visitor.cookie_line());
    let arguments = [&["revoke", "--cookie-from-stdin"], where_].concat();
    run_with(&arguments, line.as_bytes(), |command| command)
}

async fn sessions_in_a_store_are_listed_and_ended(kind: Kind) {
    let store = TestStore::new(kind).await;
    let app = app(SessionLayer::new(keys()).store(store.store.clone()));
    let in_store = ["--store", &*store.url];
    let with_store = |words: &[&str]| run(&[words, &in_store[..]].concat());
    let mut ada = Vec::new();
    for _ in 0..4 {
        ada.push(visitor(&app, "/login,cart").await);
    }
    let bob = visitor(&app, "/bob,cart").await;

    let ended = revoke_cookie(&ada[0], &in_store).exits(0);
    assert_eq!((&*ended.stdout, &*ended.stderr), ("ended\n", ""));
    assert_eq!(sees(&app, &ada[0]).await, NOBODY);
    assert_eq!(sees(&app, &ada[1]).await, ADA);
    let again = revoke_cookie(&ada[0], &in_store).exits(1);
    assert_eq!(again.stdout, "no such session\n");

    let listed = with_store(&["sessions", "ada", "--json"]).exits(0).json();
    let listed = listed.as_array().expect("a list");
    assert_eq!(listed.len(), 3);
    let name = listed[0]["name"].as_str().expect("a name");
    for field in ["created", "last_used", "expires"] {
        assert!(
            listed[0][field]
                .as_str()
                .is_some_and(|it| it.ends_with('Z'))
        );
    }
    let table = with_store(&["sessions", "ada"]).exits(0);
    assert_eq!(table.stdout.matches("\n  last used  ").count(), 3);
    assert_eq!(table.stderr, "3 sessions\n");
    // a name has random digits
    let shown = table.stdout.lines().filter(|line| line.starts_with(' '));
    assert_eq!(shown.clone().count(), 9);
    assert!(shown.clone().all(|line| !line.contains("ada")), "{table:?}");
    assert!(
        table.stdout.lines().all(|line| line.len() <= 80),
        "{table:?}"
    );

    let one = ["revoke", "--owner", "ada", "--session", name];
    assert_eq!(with_store(&one).exits(0).stdout, "ended\n");
    assert_eq!(with_store(&one).exits(1).stdout, "no such session\n");
    with_store(&["revoke", "--owner", "bob", "--session", name]).exits(1);
    with_store(&["revoke", "--owner", "ada", "--session", "x"]).exits(1);
    let mut living = Vec::new();
    for visitor in &ada {
        living.push(sees(&app, visitor).await);
    }
    living.sort();
    assert_eq!(living, [NOBODY, NOBODY, ADA, ADA]);

    let everything = with_store(&["revoke", "--everything"]).exits(2);
    assert!(everything.stderr.contains("--log"), "{everything:?}");

    let all = [&["revoke", "--owner", "-", "--json"], &in_store[..]].concat();
    let all = run_with(&all, b"ada\n", |command| command).exits(0);
    assert_eq!(all.json(), json!({"revoked": true, "deleted": 2}));
    for visitor in &ada {
        assert_eq!(sees(&app, visitor).await, NOBODY);
    }
    let none = with_store(&["sessions", "ada"]).exits(0);
    assert_eq!((&*none.stdout, &*none.stderr), ("", "0 sessions\n"));
    let none = with_store(&["revoke", "--owner", "ada"]).exits(0);
    assert_eq!(none.stdout, "0 sessions ended\n");
    assert!(sees(&app, &bob).await.contains("bob"));
    // who was not named can log in again
    assert_eq!(sees(&app, &visitor(&app, "/login,cart").await).await, ADA);
}

/// Waits until the app, which reads the log at intervals, refuses the visitor.
async fn is_refused(app: &Router, visitor: &Visitor) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while sees(app, visitor).await != NOBODY {
        assert!(Instant::now() < deadline, "it is accepted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn sessions_in_cookies_are_ended_by_the_log(kind: Kind) {
    let store = TestStore::new(kind).await;
    let log = Revocations::connect(&store.url).await.expect("a log");
    let app = app(SessionLayer::new(keys()).revocations(log));
    let in_log = ["--log", &*store.url];
    let (first, second) = (
        visitor(&app, "/login,cart").await,
        visitor(&app, "/login,cart").await,
    );
    let bob = visitor(&app, "/bob,cart").await;

    revoke_cookie(&first, &in_log).exits(0);
    is_refused(&app, &first).await;
    assert_eq!(sees(&app, &second).await, ADA);

    let owner = run(&["revoke", "--owner", "ada", "--log", &store.url]).exits(0);
    assert_eq!(owner.stdout, "ended\n");
    is_refused(&app, &second).await;
    assert!(sees(&app, &bob).await.contains("bob"));

    // the log may also be in the environment
    let everything = run_with(&["revoke", "--everything", "--json"], b"", |command| {
        command.env("REVOCATIONS_URL", &store.url)
    });
    assert_eq!(everything.exits(0).json(), json!({"revoked": true}));
    is_refused(&app, &bob).await;
    // a store is needed for the name of one session
    let one = run(&[
        "revoke",
        "--owner",
        "ada",
        "--session",
        "x",
        "--log",
        &store.url,
    ]);
    assert!(one.exits(2).stderr.contains("--store"));
}

/// A time as RFC 3339 writes it.
fn written(time: OffsetDateTime, offset: &str) -> String {
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{offset}")
}

async fn sessions_from_before_a_time_are_ended_by_the_log(kind: Kind) {
    let store = TestStore::new(kind).await;
    let log = Revocations::connect(&store.url).await.expect("a log");
    let layer = SessionLayer::new(keys()).revocations(log);
    let (in_cookies, in_store) = (app(layer.clone()), app(layer.store(store.store.clone())));
    let old = [
        (&in_cookies, visitor(&in_cookies, "/login,cart").await),
        (&in_store, visitor(&in_store, "/login,cart").await),
    ];
    // arguments have whole seconds, and so has the first one that is later
    let next = OffsetDateTime::now_utc().unix_timestamp() + 1;
    let time = OffsetDateTime::from_unix_timestamp(next).expect("in range");
    while OffsetDateTime::now_utc() < time {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let new = [
        (&in_cookies, visitor(&in_cookies, "/login,cart").await),
        (&in_store, visitor(&in_store, "/login,cart").await),
    ];

    let before = |time: &str, more: &[&str]| {
        let arguments = ["revoke", "--before", time, "--log", &store.url];
        run(&[&arguments[..], more].concat())
    };
    for (time, told) in [
        ("yesterday", "2026-11-25T09:30:00Z"),
        ("2026-11-27", "2026-11-25T09:30:00Z"),
        ("1969-12-31T23:59:59Z", "after 1970"),
        (
            &*written(time + Duration::from_secs(3600), "Z"),
            "at most 30 s",
        ),
    ] {
        let refused = before(time, &[]).exits(2);
        assert!(refused.stdout.is_empty(), "{refused:?}");
        assert!(refused.stderr.contains(told), "{refused:?}");
    }
    before(&written(time, "Z"), &["--everything"]).exits(2);
    before(&written(time, "Z"), &["--owner", "ada"]).exits(2);
    for (app, visitor) in old.iter().chain(&new) {
        assert_eq!(sees(app, visitor).await, ADA);
    }

    // the same moment at another offset
    let east = time.to_offset(UtcOffset::from_hms(5, 30, 0).expect("in range"));
    let ended = before(&written(east, "+05:30"), &[]).exits(0);
    assert_eq!((&*ended.stdout, &*ended.stderr), ("ended\n", ""));
    let again = before(&written(time, "Z"), &["--store", &store.url, "--json"]);
    assert_eq!(again.exits(0).json(), json!({"revoked": true}));
    for (app, visitor) in &old {
        is_refused(app, visitor).await;
    }
    for (app, visitor) in &new {
        assert_eq!(sees(app, visitor).await, ADA);
    }

    let nowhere = run(&[
        "revoke",
        "--before",
        &written(time, "Z"),
        "--store",
        &store.url,
    ])
    .exits(2);
    assert!(nowhere.stderr.contains("--log"), "{nowhere:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn app_with_a_store_and_a_log_has_both_ended() {
    let (store, log) = (
        TestStore::new(Kind::Sqlite).await,
        TestStore::new(Kind::Redis).await,
    );
    let layer = SessionLayer::new(keys()).store(store.store.clone());
    let revocations = Revocations::connect(&log.url).await.expect("a log");
    let app = app(layer.revocations(revocations));
    let (first, second) = (
        visitor(&app, "/login,cart").await,
        visitor(&app, "/login,cart").await,
    );
    let bob = visitor(&app, "/bob").await;
    let both = ["--store", &*store.url, "--log", &*log.url];
    revoke_cookie(&first, &both).exits(0);
    is_refused(&app, &first).await;
    assert_eq!(sees(&app, &second).await, ADA);
    run(&[&["revoke", "--owner", "ada"], &both[..]].concat()).exits(0);
    is_refused(&app, &second).await;
    let left = run(&["sessions", "ada", "--json", "--store", &store.url]);
    assert_eq!(left.exits(0).json(), json!([]));
    run(&[&["revoke", "--everything"], &both[..]].concat()).exits(0);
    is_refused(&app, &bob).await;
}

#[test]
fn revoke_refuses_what_does_not_name_sessions() {
    let store = ["--store", "sqlite:/no/such/file"];
    let cases: [&[&str]; 6] = [
        &[],
        &["--session", "x"],
        &["--cookie-from-stdin", "--owner", "ada"],
        &["--cookie-from-stdin", "--everything"],
        &["--owner", "ada", "--everything"],
        &["--owner", ""],
    ];
    for case in cases {
        let refused = run(&[&["revoke"], case, &store[..]].concat());
        assert!([2, 4].contains(&refused.code), "{case:?} {refused:?}");
        assert!(refused.stdout.is_empty());
    }
    let nowhere = run(&["revoke", "--owner", "ada"]).exits(2);
    assert!(nowhere.stderr.contains("--log"), "{nowhere:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn input_that_is_not_one_session_revokes_nothing() {
    let store = TestStore::new(Kind::Sqlite).await;
    let app = app(SessionLayer::new(keys()).store(store.store.clone()));
    let ada = visitor(&app, "/login,cart").await;
    let line = ada.cookie_line();
    let revoke = |stdin: &str| {
        let arguments = ["revoke", "--cookie-from-stdin", "--store", &store.url];
        run_with(&arguments, stdin.as_bytes(), |command| command)
    };
    for stdin in ["", "Cookie: a=b", &format!("Cookie: {line}; {line}")] {
        let refused = revoke(stdin).exits(3);
        assert!(refused.stderr.contains("one cookie"), "{refused:?}");
    }
    for stdin in ["garbage", &line[..line.len() - 1]] {
        assert_eq!(revoke(stdin).exits(1).stdout, "no such session\n");
    }
    for owner in ["", &"x".repeat(256)] {
        for command in [&["revoke", "--owner", owner][..], &["sessions", owner]] {
            let refused = run(&[command, &["--store", &store.url]].concat()).exits(2);
            assert!(refused.stderr.contains("1 to 255 bytes"), "{refused:?}");
        }
    }
    assert_eq!(sees(&app, &ada).await, ADA);
    // with another secret, there is no such session
    let other: Value = run_with(
        &["sessions", "ada", "--json", "--store", &store.url],
        b"",
        |command| command.env("SESSION_SECRET", crate::support::OTHER_SECRET),
    )
    .exits(0)
    .json();
    assert_eq!(other, json!([]));
}
