//! `inspect`.

use std::time::Duration;

use serde_json::{Value, json};
use tower_sealed_session::{
    Prefix, Session, SessionLayer, SessionLayerBuilder,
    store::MemoryStore,
    testing::{self, TestClock},
};

use super::{Kind, Run, TestStore, run, run_with};
use crate::{
    logout::app,
    support::{OTHER_SECRET, SECRET, Visitor, keys, layer},
};

/// When the cookies of these tests are sealed: 2027-01-15 08:00:00.
const SEALED: i64 = 1_800_000_000;

fn sealed_at(seconds: i64) -> TestClock {
    TestClock::at(time::OffsetDateTime::from_unix_timestamp(seconds).expect("in range"))
}

/// The value of a cookie of a layer with these settings.
pub(super) fn cookie(
    set: impl FnOnce(SessionLayerBuilder) -> SessionLayerBuilder,
    fill: impl FnOnce(&Session),
) -> String {
    let builder = SessionLayer::builder(keys()).clock(sealed_at(SEALED));
    let layer = set(builder).build().expect("valid settings");
    let session = testing::session(&layer);
    session.insert("theme", "dark-canary").expect("it is small");
    fill(&session);
    let pair = testing::cookie(&layer, &session).expect("entropy");
    let (_, value) = pair
        .to_str()
        .expect("ASCII")
        .split_once('=')
        .expect("a pair");
    value.to_owned()
}

pub(super) fn ada() -> String {
    cookie(
        |builder| builder,
        |session| session.login("ada-canary").expect("it is small"),
    )
}

pub(super) fn at(value: &str, time: &str, more: &[&str]) -> Run {
    run(&[&["inspect", value, "--at", time], more].concat())
}

pub(super) const NOW: &str = "2027-01-15T08:10:00Z";

#[test]
fn valid_cookie_is_told_with_its_times_and_without_its_values() {
    let run = at(&ada(), NOW, &[]).exits(0);
    assert!(run.stderr.is_empty(), "{run:?}");
    let lines: Vec<_> = run.stdout.lines().collect();
    for wanted in [
        "verdict        valid",
        "kind           session in the cookie",
        "created        2027-01-15 08:00:00 UTC (10 min ago)",
        "unused until   2027-01-15 09:00:00 UTC (in 50 min)",
        "at last until  2027-01-16 08:00:00 UTC (in 23 h 50 min)",
        "remembered     no",
        "owner          yes (--show-values shows it)",
        "entry theme    13 bytes (--show-values shows it)",
    ] {
        assert!(lines.contains(&wanted), "{wanted}: {run:?}");
    }
    assert!(lines.iter().all(|line| line.len() <= 80), "{run:?}");
    assert!(!run.stdout.contains("canary"), "{run:?}");
    let json = at(&ada(), NOW, &["--json"]).exits(0);
    assert!(!json.stdout.contains("canary"), "{json:?}");
}

#[test]
fn values_and_the_owner_are_shown_when_asked() {
    let run = at(&ada(), NOW, &["--show-values"]).exits(0);
    assert!(
        run.stdout.contains("owner          ada-canary\n"),
        "{run:?}"
    );
    assert!(
        run.stdout.contains("entry theme    \"dark-canary\"\n"),
        "{run:?}"
    );
    let json = at(&ada(), NOW, &["--show-values", "--json"])
        .exits(0)
        .json();
    assert_eq!(json["session"]["owner"], "ada-canary");
    assert_eq!(json["session"]["entries"][0]["value"], "dark-canary");
}

#[test]
fn json_has_a_fixed_shape() {
    let value = ada();
    let mut json = at(&value, NOW, &["--json"]).exits(0).json();
    let key = json["key"]["id"].take();
    assert_eq!(key.as_str().map(str::len), Some(8));
    assert_eq!(
        json,
        json!({
            "valid": true,
            "bytes": value.len(),
            "key": {"id": null, "is": "current"},
            "session": {
                "kind": "cookie",
                "set_with_legacy_cookie": false,
                "remembered": false,
                "created": "2027-01-15T08:00:00Z",
                "sealed": "2027-01-15T08:00:00Z",
                "expires": "2027-01-15T09:00:00Z",
                "expires_at_last": "2027-01-16T08:00:00Z",
                "has_owner": true,
                "entries": [{"key": "theme", "bytes": 13}],
            },
        })
    );
    let json = run(&["inspect", "garbage", "--json"]).exits(1).json();
    assert_eq!(
        json,
        json!({"valid": false, "reason": "garbage", "bytes": 7})
    );
}

#[test]
fn cookies_that_are_not_valid_exit_with_1_and_the_reason() {
    let good = ada();
    let middle = good.len() / 2;
    let other = if &good[middle..=middle] == "A" {
        "B"
    } else {
        "A"
    };
    let forged = [&good[..middle], other, &good[middle + 1..]].concat();
    let cases = [
        (&*good, "2027-01-15T08:59:59Z", None),
        (&good, "2027-01-15T09:00:00Z", Some("expired")),
        (&good, "2027-01-15T07:30:00Z", Some("future")),
        (&good, "2027-01-15T10:00:00+01:00", Some("expired")),
        (&forged, NOW, Some("forged")),
        (&good[..middle], NOW, Some("garbage")),
        ("x", NOW, Some("garbage")),
        ("\"\"", NOW, Some("garbage")),
    ];
    for (value, time, reason) in cases {
        let code = i32::from(reason.is_some());
        let json = at(value, time, &["--json"]).exits(code).json();
        assert_eq!(json.get("reason").and_then(Value::as_str), reason);
        assert_eq!(json["valid"], reason.is_none());
        let verdict = match reason {
            Some(reason) => format!("not valid: {reason}"),
            None => "valid\n".to_owned(),
        };
        let told = at(value, time, &[]).exits(code);
        let (_, told) = told.stdout.split_once("verdict").expect("a verdict");
        assert!(told.trim_start().starts_with(&verdict), "{told}");
    }
}

#[test]
fn key_is_current_fallback_or_unknown() {
    let good = ada();
    for (current, fallbacks, is, code) in [
        (SECRET, "", "current", 0),
        (OTHER_SECRET, SECRET, "fallback", 0),
        (OTHER_SECRET, "", "unknown", 1),
    ] {
        let run = run_with(&["inspect", &good, "--at", NOW, "--json"], b"", |command| {
            let command = command.env("SESSION_SECRET", current);
            command.env("SESSION_SECRET_FALLBACKS", fallbacks)
        });
        assert_eq!(run.exits(code).json()["key"]["is"], is);
    }
    // another name or audience has other keys
    for other in [["--cookie", "session"], ["--audience", "admin"]] {
        let json = at(&good, NOW, &[&other[..], &["--json"]].concat());
        assert_eq!(json.exits(1).json()["reason"], "unknown_key");
    }
}

#[test]
fn other_names_audiences_and_timeouts_of_the_app_count() {
    let plain = cookie(|it| it.prefix(Prefix::None).name("sid"), |_| ());
    at(&plain, NOW, &["--cookie", "sid"]).exits(0);
    let secure = cookie(|it| it.prefix(Prefix::Secure).name("sid"), |_| ());
    at(&secure, NOW, &["--cookie", "__Secure-sid"]).exits(0);
    let host = cookie(|it| it.prefix(Prefix::Host), |_| ());
    at(&host, NOW, &["--cookie", "__Host-session"]).exits(0);
    let admin = cookie(|it| it.audience("admin"), |_| ());
    at(&admin, NOW, &["--audience", "admin"]).exits(0);
    at(&ada(), NOW, &["--idle-timeout", "5m"]).exits(1);
    at(
        &ada(),
        NOW,
        &["--idle-timeout", "5m", "--absolute-timeout", "5m"],
    )
    .exits(1);
    let remembered = cookie(
        |builder| builder,
        |session| session.remember(Duration::from_secs(10 * 86_400)),
    );
    let run = at(&remembered, "2027-01-24T08:00:00Z", &[]).exits(0);
    assert!(run.stdout.contains("remembered     yes\n"), "{run:?}");
    assert!(!run.stdout.contains("unused until"), "{run:?}");
    let limited = at(
        &remembered,
        "2027-01-24T08:00:00Z",
        &["--max-remember", "5d"],
    );
    limited.exits(1);
    for bad in [["--cookie", "a b"], ["--idle-timeout", "0s"]] {
        let refused = at("x", NOW, &bad).exits(2);
        assert!(refused.stdout.is_empty(), "{refused:?}");
    }
}

#[tokio::test]
async fn ticket_is_told_as_one() {
    let app = app(SessionLayer::new(keys()).store(MemoryStore::new()));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login,cart").await;
    let run = run(&["inspect", &visitor.cookie_line()]).exits(0);
    assert!(run.stdout.contains("ticket"), "{run:?}");
    // only the store knows
    assert!(!run.stdout.contains("owner "), "{run:?}");
    assert!(!run.stdout.contains("unused until"), "{run:?}");
    let json = super::run(&["inspect", &visitor.cookie_line(), "--json"]);
    let json = json.exits(0).json();
    assert_eq!(json["session"]["kind"], "ticket");
    assert!(json["session"].get("has_owner").is_none(), "{json}");
}

on_each_store! {
    store_is_asked_whether_the_session_lives;
}

async fn store_is_asked_whether_the_session_lives(kind: Kind) {
    let store = TestStore::new(kind).await;
    let app = app(SessionLayer::new(keys()).store(store.store.clone()));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login,cart").await;
    let line = visitor.cookie_line();
    let ask = ["inspect", &line, "--ask-store", "--store", &store.url];
    let json = [&ask[..], &["--json"]].concat();
    let told = run(&json).exits(0).json();
    assert_eq!(
        (&told["valid"], &told["accepted_with_store"]),
        (&json!(true), &json!(true))
    );
    visitor.get(&app, "/logout").await;
    let told = run(&json).exits(1).json();
    assert_eq!(
        (&told["valid"], &told["accepted_with_store"]),
        (&json!(false), &json!(false))
    );
    let told = run(&ask).exits(1);
    assert!(
        told.stdout.contains("the store has no such session"),
        "{told:?}"
    );
    // by itself, the cookie is valid
    run(&["inspect", &line]).exits(0);
}

#[tokio::test]
async fn store_that_cannot_be_asked_is_exit_code_4() {
    let mut store = TestStore::new(Kind::Redis).await;
    store.redis.as_mut().expect("a server").kill();
    let session = testing::session(&layer());
    session.insert("a", 1).expect("it is small");
    let pair = testing::cookie(&layer(), &session).expect("entropy");
    let pair = pair.to_str().expect("ASCII");
    let ask = ["inspect", pair, "--ask-store", "--store", &store.url];
    let refused = run(&ask).exits(4);
    assert!(
        refused.stdout.is_empty() && !refused.stderr.is_empty(),
        "{refused:?}"
    );
    run(&["inspect", pair, "--ask-store", "--at", NOW]).exits(2);
    let none = run(&["inspect", pair, "--ask-store"]).exits(2);
    assert!(none.stderr.contains("SESSION_STORE_URL"), "{none:?}");
}
