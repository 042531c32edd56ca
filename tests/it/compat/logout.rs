//! What follows a logout in the same request, with a legacy cookie beside ours or instead of it.

use super::*;
use crate::logout::{AFTER_LOGOUT, acts, app as acting};

/// The process remembers a while that this session ended, so no other test has the same one.
const ADA: &str = r#"{"test":"logout","user":"ada"}"#;
const SEEN: &str = r#"Some("ada") ["test", "user"]"#;
const NOTICE: &str = r#"{"notice":"Bye"}"#;

fn until() -> OffsetDateTime {
    moment(START) + 30 * DAY
}

/// Both cookies are set, and neither is removed alone.
#[tokio::test]
async fn dual_write_sets_both_cookies_of_the_new_session() {
    let (builder, _) = builder();
    let layer = builder.dual_write(old_cookie().owner(user), until());
    let app = acting(layer.build().expect("valid settings"));
    let mut visitor = with_old(ADA, START);
    assert_eq!(visitor.body(&app, "/see").await, SEEN);
    let answer = visitor.get(&app, "/logout,notice").await;
    assert_eq!(sets(&answer), [&format!("+{OURS}"), "+session"]);
    assert_eq!(visitor.old().expect("one").0, NOTICE);
    assert_eq!(visitor.body(&app, "/see").await, r#"None ["notice"]"#);
    let answer = visitor.get(&app, "/logout").await;
    let mut removed = sets(&answer);
    removed.sort();
    assert_eq!(removed, [&format!("-{OURS}"), "-session"]);
}

#[tokio::test]
async fn migrate_removes_the_legacy_cookie_with_the_session() {
    let (builder, _) = builder();
    let layer = builder.migrate(old_cookie().owner(user), until());
    let app = acting(layer.build().expect("valid settings"));
    let mut visitor = with_old(ADA, START + 1);
    let answer = visitor.get(&app, "/logout,notice").await;
    assert_eq!(sets(&answer), [&format!("+{OURS}"), "-session"]);
    assert_eq!(visitor.body(&app, "/see").await, r#"None ["notice"]"#);
    // a copy of the legacy cookie is refused for a minute, since its id is a hash of it
    let mut copy = with_old(ADA, START + 1);
    assert_eq!(copy.body(&app, "/see").await, "None []");
}

/// A shared cookie has no id, so the new session only replaces the old one.
#[tokio::test]
async fn shared_cookie_holds_the_new_session() {
    let shared = old_cookie().owner(user);
    let layer = SignedSessionLayer::new(shared).expect("valid settings");
    let app = Router::new()
        .route(
            "/{acts}",
            get(
                async |session: Session, axum::extract::Path(what): axum::extract::Path<String>| {
                    acts(&session, &what).await
                },
            ),
        )
        .layer(layer);
    let now = OffsetDateTime::now_utc().unix_timestamp();
    for (what, wanted) in AFTER_LOGOUT {
        // a login also needs the entry of the owner
        if what.contains("login") || what.contains("bob") {
            continue;
        }
        let mut visitor = with_old(ADA, now);
        let answer = visitor.get(&app, what).await;
        let sign = if wanted == "None []" { '-' } else { '+' };
        assert_eq!(sets(&answer), [format!("{sign}session")], "{what}");
        assert_eq!(visitor.body(&app, "/see").await, wanted, "{what}");
    }
}

/// Audit A11: one header with very many forged cookies.
#[tokio::test]
async fn forged_cookies_are_one_event_and_few_hashes() {
    const GOOD: &str = r#"{"test":"forged"}"#;
    let (app, _) = migrating();
    let forged: String = (0..10_000).map(|n| format!("session=x{n}; ")).collect();
    let good = format!("session={}", old_value(GOOD, START));
    let events = crate::support::Events::capture();
    for (line, body) in [
        (format!("{forged}{good}"), "{}"),
        (format!("{good}; {forged}"), GOOD),
    ] {
        let answer = crate::support::get_with(&app, "/", &[line.as_bytes()]).await;
        assert_eq!(answer.body, body);
        let mut told = events.drain();
        told.retain(|event| event.starts_with("legacy_rejected"));
        assert_eq!(told, ["legacy_rejected forged"]);
    }
}
