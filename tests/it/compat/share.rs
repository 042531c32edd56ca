//! Both apps stay, on the old cookie.

use super::*;
use crate::support::Events;
use tower_sealed_session::ErrorKind;

const ADA: &str = r#"{"user":"ada"}"#;

#[tokio::test]
async fn one_cookie_is_read_and_written() {
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
async fn it_lives_as_long_as_upstream_says_and_no_use_extends_it() {
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
async fn a_login_has_to_be_told_to_the_other_side() {
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
    // and so can the other side's key go again, which is a logout there
    let answer = visitor.post(&app, "/clear").await;
    assert_eq!(
        (answer.status.as_u16(), sets(&answer)),
        (200, vec!["-session".to_owned()])
    );
}

/// Nothing in the cookie names a session, so equal ones are not confused.
#[tokio::test]
async fn a_logout_does_not_touch_those_who_have_an_equal_cookie() {
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
async fn what_does_not_fit_is_refused_where_it_is_inserted() {
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
async fn it_is_told_that_it_is_not_encrypted() {
    let events = Events::capture();
    let _ = sharing();
    assert_eq!(events.drain(), ["signed"]);
    let weak = Starlette::new(["changeme"]).expect("not empty");
    assert_eq!(events.drain(), ["legacy_secret"]);
    assert_eq!(format!("{weak:?}"), "Starlette { keys: 1 }");
}
