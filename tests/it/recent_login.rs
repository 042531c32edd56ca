//! Whether the owner logged in recently enough for what matters.

use std::time::Duration;

use axum::{Router, extract::Path, routing::get};
use tower_sealed_session::{Clock as _, Session, testing};

use crate::support::{Visitor, on_a_clock};

const TEN: Duration = Duration::from_secs(600);
const MILLI: Duration = Duration::from_millis(1);

#[test]
fn login_is_recent_up_to_the_limit_by_the_layers_clock() {
    let (builder, clock) = on_a_clock();
    let layer = builder.build().expect("valid settings");
    let session = testing::session(&layer);
    session.insert("cart", "tea").expect("small");
    assert!(!session.logged_in_within(Duration::MAX), "anonymous");
    session.login("ada").expect("short");
    assert!(session.logged_in_within(Duration::ZERO));
    clock.advance(TEN);
    assert!(session.logged_in_within(TEN), "asked at the call");
    assert!(!session.logged_in_within(TEN - MILLI));
    clock.advance(MILLI);
    assert!(!session.logged_in_within(TEN));
    session.logout();
    assert!(!session.logged_in_within(Duration::MAX));
}

#[test]
fn login_may_be_a_minute_ahead_of_the_clock_but_no_more() {
    let (builder, clock) = on_a_clock();
    let layer = builder.build().expect("valid settings");
    let session = testing::session(&layer);
    session.login("ada").expect("short");
    let login = clock.now();
    clock.set(login - Duration::from_secs(60));
    assert!(session.logged_in_within(Duration::ZERO));
    clock.set(login - Duration::from_secs(60) - MILLI);
    assert!(!session.logged_in_within(Duration::MAX));
    clock.set(time::OffsetDateTime::UNIX_EPOCH - MILLI);
    assert!(!session.logged_in_within(Duration::MAX), "no time");
}

#[tokio::test]
async fn use_and_renewal_do_not_count_and_a_new_login_does() {
    async fn recent(session: Session) -> String {
        session.logged_in_within(TEN).to_string()
    }
    async fn act(session: Session, Path(what): Path<String>) {
        match &*what {
            "login" => session.login("ada").expect("short"),
            "renew" => session.renew(),
            "remember" => session.remember(Duration::from_secs(86_400)),
            other => session.insert("a", other).expect("small"),
        }
    }
    let (builder, clock) = on_a_clock();
    let app = Router::new()
        .route("/recent", get(recent))
        .route("/{what}", get(act))
        .layer(builder.build().expect("valid settings"));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/cart").await;
    assert_eq!(visitor.get(&app, "/recent").await.body, "false");
    visitor.get(&app, "/login").await;
    for what in ["write", "renew", "remember"] {
        clock.advance(TEN - MILLI);
        visitor.get(&app, &format!("/{what}")).await;
        assert_eq!(
            visitor.get(&app, "/recent").await.body,
            (what == "write").to_string(),
            "{what}"
        );
    }
    visitor.get(&app, "/login").await;
    assert_eq!(visitor.get(&app, "/recent").await.body, "true");
}
