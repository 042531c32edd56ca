//! Migrate mode: the legacy app no longer runs.

use std::time::Duration;

use tower_sealed_session::{KeyRing, SessionLayer};

use super::*;
use crate::support::{Events, get_with, secret};

const ADA: &str = r#"{"user": "ada", "n": 1208925819614629174706176}"#;
const SHOWN: &str = r#"{"n":1208925819614629174706176,"user":"ada"}"#;

#[tokio::test]
async fn old_session_is_migrated_once() {
    let (app, _) = migrating();
    let mut visitor = with_old(ADA, START - 3600);
    let events = Events::capture();
    let answer = visitor.get(&app, "/").await;
    assert_eq!(answer.body, SHOWN);
    assert_eq!(sets(&answer), ["+__Host-Http-session", "-session"]);
    assert_eq!(answer.header("cache-control"), ["no-store"]);
    assert_eq!(events.drain(), ["legacy_read", "refreshed"]);
    assert!(visitor.has_ours() && visitor.old().is_none());

    let answer = visitor.get(&app, "/").await;
    assert_eq!(answer.body, SHOWN);
    assert!(answer.sets_nothing());
    assert_eq!(events.drain(), [""; 0]);
    assert_eq!(visitor.body(&app, "/owner").await, "ada");
    assert_eq!(
        visitor.body(&app, "/created").await,
        (START - 3600).to_string()
    );
}

#[tokio::test]
async fn request_that_ignores_the_session_changes_nothing() {
    let (app, _) = migrating();
    let answer = with_old(ADA, START).get(&app, "/untouched").await;
    assert!(answer.sets_nothing() && answer.header("vary").is_empty());
}

#[tokio::test]
async fn write_migrates_the_session_too() {
    let (app, _) = migrating();
    let mut visitor = with_old(ADA, START);
    let answer = visitor.post(&app, "/set?key=n&value=x").await;
    assert_eq!(sets(&answer), ["+__Host-Http-session", "-session"]);
    assert_eq!(visitor.body(&app, "/").await, r#"{"n":"x","user":"ada"}"#);
}

/// The migration refreshes the session, even shortly before the end of the old lifetime.
#[tokio::test]
async fn migration_counts_as_a_use() {
    let (app, clock) = {
        let (builder, clock) = builder();
        let builder = builder.absolute_timeout(30 * DAY);
        let layer = builder.migrate(old_cookie(), moment(START) + 30 * DAY);
        (app().layer(layer.build().expect("valid settings")), clock)
    };
    let mut visitor = with_old(ADA, START - 14 * 86_400 + 60);
    assert_eq!(visitor.body(&app, "/").await, SHOWN);
    clock.advance(13 * DAY);
    assert_eq!(visitor.body(&app, "/").await, SHOWN);
}

#[tokio::test]
async fn our_cookie_takes_precedence() {
    let (app, clock) = migrating();
    let mut visitor = Visitor::default();
    visitor.post(&app, "/set?key=a&value=ours").await;
    clock.advance(Duration::from_secs(60));
    visitor.jar.extend(with_old(ADA, START + 60).jar);
    let events = Events::capture();
    let answer = visitor.get(&app, "/").await;
    assert_eq!(answer.body, r#"{"a":"ours"}"#);
    assert!(answer.sets_nothing());
    assert_eq!(events.drain(), [""; 0]);
    // the next write removes the legacy cookie
    let answer = visitor.post(&app, "/set?key=a&value=more").await;
    assert_eq!(sets(&answer), ["+__Host-Http-session", "-session"]);
}

#[tokio::test]
async fn cookie_with_an_unknown_key_does_not_block_the_migration() {
    let (app, _) = migrating();
    let mut visitor = with_old(ADA, START);
    let foreign = KeyRing::new(secret(crate::support::OTHER_SECRET));
    let foreign = SessionLayer::new(foreign);
    let session = tower_sealed_session::testing::session(&foreign);
    session.insert("a", 1).expect("small");
    let cookie = tower_sealed_session::testing::cookie(&foreign, &session).expect("a cookie");
    let (_, value) = cookie
        .to_str()
        .expect("ASCII")
        .split_once('=')
        .expect("a pair");
    visitor.jar.insert(OURS.to_owned(), value.to_owned());
    assert_eq!(visitor.body(&app, "/").await, SHOWN);
}

#[tokio::test]
async fn logout_removes_both_cookies_even_if_the_old_one_was_not_sent() {
    let (app, _) = migrating();
    for came in [true, false] {
        let json = format!(r#"{{"user": "ada", "came": {came}}}"#);
        let mut visitor = with_old(&json, START);
        if !came {
            visitor.get(&app, "/").await;
            assert!(visitor.old().is_none());
        }
        let answer = visitor.post(&app, "/logout").await;
        // the removal of a cookie that was sent comes last
        match came {
            true => assert_eq!(sets(&answer), ["-__Host-Http-session", "-session"]),
            false => assert_eq!(sets(&answer), ["-session", "-__Host-Http-session"]),
        }
        assert!(visitor.jar.is_empty());
        assert_eq!(visitor.body(&app, "/").await, "{}");
    }
}

/// Our limits apply to the legacy cookie, counted from its signature.
#[tokio::test]
async fn our_timeouts_apply_to_migrated_sessions() {
    let hour = Duration::from_secs(3600);
    for (idle, absolute, alive) in [(hour, DAY, 3599), (DAY, hour, 3599)] {
        let (builder, clock) = builder();
        let builder = builder.idle_timeout(idle).absolute_timeout(absolute);
        let layer = builder.migrate(old_cookie().owner(user), moment(START) + 30 * DAY);
        let app = app().layer(layer.build().expect("valid settings"));
        assert_eq!(with_old(ADA, START - alive).body(&app, "/").await, SHOWN);
        assert_eq!(with_old(ADA, START - alive - 1).body(&app, "/").await, "{}");

        // a browser that kept both cookies and ignored `Max-Age`
        let mut visitor = with_old(ADA, START);
        let old = visitor.jar["session"].clone();
        visitor.get(&app, "/").await;
        visitor.jar.insert("session".to_owned(), old.clone());
        clock.advance(hour);
        let events = Events::capture();
        let answer = visitor.get(&app, "/").await;
        assert_eq!(answer.body, "{}");
        assert!(answer.sets_nothing());
        assert_eq!(
            events.drain(),
            ["rejected expired", "legacy_rejected expired"]
        );
        // the same with the legacy cookie only
        visitor.jar.remove(OURS);
        assert_eq!(visitor.body(&app, "/").await, "{}");
    }
}

#[tokio::test]
async fn migration_stops_at_its_end_date() {
    let (builder, clock) = builder();
    let layer = builder.migrate(old_cookie(), moment(START) + DAY);
    let layer = layer.build().expect("valid settings");
    let app = app().layer(layer.clone());
    clock.set(moment(START) + DAY - Duration::from_millis(1));
    assert_eq!(with_old(ADA, START).body(&app, "/").await, SHOWN);
    assert_eq!(layer.legacy_reads(), 1);
    clock.set(moment(START) + DAY);
    let answer = with_old(ADA, START).get(&app, "/").await;
    assert_eq!(answer.body, "{}");
    assert!(answer.sets_nothing());
    assert_eq!(layer.legacy_reads(), 1);
}

#[tokio::test]
async fn migrated_sessions_are_counted() {
    let (builder, _) = builder();
    let layer = builder.migrate(old_cookie(), moment(START) + DAY);
    let layer = layer.build().expect("valid settings");
    let app = app().layer(layer.clone());
    let events = Events::capture();
    for n in 1..=3 {
        let mut visitor = with_old(ADA, START);
        visitor.get(&app, "/").await;
        assert!(events.text().contains(&format!("count={n}")));
        visitor.get(&app, "/").await;
        assert_eq!(layer.legacy_reads(), n);
    }
    with_old("[]", START).get(&app, "/").await;
    Visitor::default().get(&app, "/").await;
    assert_eq!(layer.legacy_reads(), 3);
}

/// Parallel requests with the same old cookie share one session. If one of them ends it, it is
/// ended for all.
#[tokio::test]
async fn logout_is_not_undone_by_a_request_in_flight() {
    for end in ["/logout", "/login?user=ada", "/renew"] {
        let (app, _) = migrating();
        let json = format!(r#"{{"user": "ada", "end": "{end}"}}"#);
        let visitor = with_old(&json, START);
        let mut first = visitor.clone();
        first.post(&app, end).await;
        for path in ["/", "/set?key=a&value=b"] {
            let mut late = visitor.clone();
            let answer = match path {
                "/" => late.get(&app, path).await,
                _ => late.post(&app, path).await,
            };
            assert!(answer.sets_nothing(), "{end} {path}: {:?}", sets(&answer));
        }
    }
}

/// Two visitors with equal sessions, signed in the same second, do not affect each other.
#[tokio::test]
async fn equal_anonymous_sessions_are_independent() {
    let (app, _) = migrating();
    let mut visitors = [(); 2].map(|()| with_old(r#"{"lang": "en"}"#, START));
    let mut ids = Vec::new();
    for visitor in &mut visitors {
        ids.push(visitor.body(&app, "/id").await);
    }
    assert_ne!(ids[0], ids[1]);
    visitors[0].post(&app, "/logout").await;
    visitors[1].post(&app, "/set?key=a&value=b").await;
    assert_eq!(
        visitors[1].body(&app, "/").await,
        r#"{"a":"b","lang":"en"}"#
    );
}

#[tokio::test]
async fn our_cookie_of_the_same_name_replaces_the_old_one() {
    let (builder, _) = builder();
    let builder = builder.insecure_http();
    let layer = builder.migrate(old_cookie(), moment(START) + DAY);
    let app = app().layer(layer.build().expect("valid settings"));
    let mut visitor = with_old(r#"{"one": "name"}"#, START);
    let answer = visitor.get(&app, "/").await;
    assert_eq!(sets(&answer), ["+session"]);
    assert_eq!(visitor.body(&app, "/").await, r#"{"one":"name"}"#);
    let answer = visitor.post(&app, "/logout").await;
    assert_eq!(sets(&answer), ["-session"]);
}

#[tokio::test]
async fn newest_valid_old_cookie_counts() {
    let (app, _) = migrating();
    let pair = |json: &str, at: i64| format!("session={}", old_value(json, at));
    let cases = [
        (
            vec![pair(r#"{"n":1}"#, START - 9), pair(r#"{"n":2}"#, START - 8)],
            r#"{"n":2}"#,
        ),
        (
            vec![pair(r#"{"n":1}"#, START - 8), pair(r#"{"n":2}"#, START - 9)],
            r#"{"n":1}"#,
        ),
        // Starlette reads the last one
        (
            vec![pair(r#"{"n":1}"#, START), pair(r#"{"n":2}"#, START)],
            r#"{"n":2}"#,
        ),
        (
            vec![
                pair(r#"{"n":1}"#, START),
                "session=x".into(),
                "session=null".into(),
            ],
            r#"{"n":1}"#,
        ),
        (vec!["session=null".into(), "session=".into()], "{}"),
    ];
    for (pairs, shown) in cases {
        for lines in [vec![pairs.join("; ")], pairs] {
            let lines: Vec<_> = lines.iter().map(String::as_bytes).collect();
            assert_eq!(get_with(&app, "/", &lines).await.body, shown);
        }
    }
}

/// Starlette removes its cookie by setting it to `null`. A leftover `null` emits no event.
#[tokio::test]
async fn null_and_empty_cookies_are_ignored() {
    let (app, _) = migrating();
    let events = Events::capture();
    for line in [&b"session=null"[..], b"session=", b"sessions=x; xsession=y"] {
        assert_eq!(get_with(&app, "/", &[line]).await.body, "{}");
    }
    assert_eq!(events.drain(), [""; 0]);
}

/// A session that does not fit our cookie is not migrated.
#[tokio::test]
async fn session_too_large_for_our_cookie_stays_in_the_old_one() {
    let (app, _) = migrating();
    let json = format!(r#"{{"a":"{}"}}"#, "x".repeat(3010));
    let mut visitor = with_old(&json, START - 3600);
    assert!(visitor.jar["session"].len() < 4096);
    let events = Events::capture();
    for _ in 0..2 {
        let answer = visitor.get(&app, "/").await;
        assert_eq!(answer.body, json);
        assert!(answer.sets_nothing());
        assert_eq!(events.drain(), ["legacy_read", "dropped too_large"]);
    }
}
