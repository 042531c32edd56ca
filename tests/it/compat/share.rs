//! Share mode: both apps use the legacy cookie.

use super::*;
use crate::support::Events;
use tower_sealed_session::ErrorKind;

const ADA: &str = r#"{"user":"ada"}"#;

#[tokio::test]
async fn shared_cookie_is_read_and_written() {
    let (app, clock) = sharing();
    let mut visitor = with_old(r#"{"user": "ada", "\u00eb": 1}"#, START - 60);
    let answer = visitor.get(&app, "/").await;
    assert_eq!(answer.body, r#"{"user":"ada","ë":1}"#);
    assert!(answer.sets_nothing());
    assert_eq!(answer.header("vary"), ["Cookie"]);
    assert_eq!(visitor.body(&app, "/owner").await, "ada");

    clock.advance(Duration::from_millis(1900));
    let answer = visitor.post(&app, "/set?key=a&value=b").await;
    assert_eq!(sets(&answer), ["+session"]);
    assert!(
        answer.header("set-cookie")[0]
            .ends_with("; HttpOnly; SameSite=Lax; Path=/; Max-Age=1209600")
    );
    let written = (r#"{"a":"b","user":"ada","ë":1}"#.to_owned(), START + 1);
    assert_eq!(visitor.old(), Some(written));

    let answer = visitor.post(&app, "/logout").await;
    assert_eq!(sets(&answer), ["-session"]);
    assert_eq!(visitor.body(&app, "/").await, "{}");
}

#[tokio::test]
async fn shared_cookie_has_upstreams_lifetime_and_reads_do_not_extend_it() {
    let (app, clock) = sharing();
    let mut visitor = Visitor::default();
    visitor.post(&app, "/set?key=a&value=b").await;
    clock.advance(7 * DAY);
    assert!(visitor.get(&app, "/").await.sets_nothing());
    clock.advance(7 * DAY + Duration::from_millis(999));
    assert_eq!(visitor.body(&app, "/").await, r#"{"a":"b"}"#);
    clock.advance(Duration::from_millis(1));
    assert_eq!(visitor.body(&app, "/").await, "{}");
}

#[tokio::test]
async fn login_without_the_shared_owner_entry_is_refused() {
    let (app, _) = sharing();
    let mut visitor = Visitor::default();
    let answer = visitor.post(&app, "/only-login").await;
    assert_eq!(answer.status, 500);
    assert!(answer.sets_nothing());
    assert!(
        ErrorKind::OwnerNotShared
            .to_string()
            .contains("LegacyCookie::owner")
    );

    let answer = visitor.post(&app, "/login?user=ada").await;
    assert_eq!(
        (answer.status.as_u16(), sets(&answer)),
        (200, vec!["+session".to_owned()])
    );
    assert_eq!(answer.header("cache-control"), ["no-store"]);
    assert_eq!(visitor.body(&app, "/owner").await, "ada");
    // removing the entry again is a logout in the other app
    let answer = visitor.post(&app, "/clear").await;
    assert_eq!(
        (answer.status.as_u16(), sets(&answer)),
        (200, vec!["-session".to_owned()])
    );
}

/// The cookie has no session id, so equal cookies must not be confused.
#[tokio::test]
async fn logout_does_not_affect_visitors_with_an_equal_cookie() {
    let (app, _) = sharing();
    let (mut one, mut other) = (with_old(ADA, START), with_old(ADA, START));
    one.post(&app, "/logout").await;
    assert_eq!(
        sets(&other.post(&app, "/set?key=a&value=b").await),
        ["+session"]
    );
    assert_eq!(sets(&one.post(&app, "/login?user=ada").await), ["+session"]);
    assert_eq!(
        sets(&one.post(&app, "/set?key=a&value=b").await),
        ["+session"]
    );
}

#[tokio::test]
async fn insert_that_does_not_fit_is_refused() {
    let (app, _) = sharing();
    let mut visitor = Visitor::default();
    let largest = (2900..3100).rev();
    for n in largest {
        let answer = visitor
            .post(&app, &format!("/set?key=k&value={}", "x".repeat(n)))
            .await;
        if answer.status == 200 {
            break;
        }
    }
    let pair = "session".len() + visitor.jar["session"].len();
    assert!((4090..=4096).contains(&pair), "{pair}");
}

#[tokio::test]
async fn unencrypted_cookies_and_weak_secrets_emit_events() {
    let events = Events::capture();
    let _ = sharing();
    assert_eq!(events.drain(), ["signed"]);
    let weak = Starlette::new(["changeme"]).expect("not empty");
    assert_eq!(events.drain(), ["legacy_secret"]);
    assert_eq!(format!("{weak:?}"), "Starlette { keys: 1 }");
}
