//! Session lifetimes and refreshes, on a test clock.

use std::time::Duration;

use axum::{Router, http::HeaderMap, routing::get};
use tower_sealed_session::{
    Error, Session, SessionLayer,
    testing::{self, TestClock},
};

use crate::support::{Answer, Events, Visitor, get_with, keys, on_a_clock};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn app(layer: SessionLayer, clock: TestClock) -> Router {
    let slow = move |session: Session| async move {
        session.len();
        clock.advance(Duration::from_millis(2001));
    };
    async fn login(session: Session) -> Result<(), Error> {
        session.login("ada")
    }
    async fn remember(session: Session) {
        session.remember(7 * DAY);
    }
    async fn who(session: Session) -> String {
        session.owner().unwrap_or_default()
    }
    async fn public(_: Session) -> HeaderMap {
        let public = "public, max-age=60".parse().expect("a value");
        HeaderMap::from_iter([(axum::http::header::CACHE_CONTROL, public)])
    }
    async fn times(session: Session) -> String {
        let seconds = |moment: time::OffsetDateTime| moment.unix_timestamp() - 1_800_000_000;
        format!(
            "{} {}",
            seconds(session.created_at()),
            seconds(session.expires_at())
        )
    }
    async fn renew_times(session: Session) -> String {
        session.renew();
        times(session).await
    }
    Router::new()
        .route("/renew-times", get(renew_times))
        .route("/login", get(login))
        .route("/remember", get(remember))
        .route("/who", get(who))
        .route("/slow", get(slow))
        .route("/public", get(public))
        .route("/times", get(times))
        .route(
            "/renew",
            get(|session: Session| async move { session.renew() }),
        )
        .layer(layer)
}

fn scene() -> (Router, TestClock, Visitor) {
    let (builder, clock) = on_a_clock();
    (
        app(builder.build().expect("valid settings"), clock.clone()),
        clock,
        Visitor::default(),
    )
}

fn max_age(answer: &Answer) -> i64 {
    answer.cookies()[0]
        .max_age()
        .expect("an age")
        .whole_seconds()
}

#[tokio::test]
async fn regular_use_keeps_a_session_until_the_absolute_timeout() {
    let (app, clock, mut visitor) = scene();
    visitor.get(&app, "/login").await;
    let mut gone = Duration::ZERO;
    while gone + 54 * MINUTE < DAY {
        clock.advance(54 * MINUTE);
        gone += 54 * MINUTE;
        assert_eq!(
            visitor.get(&app, "/who").await.body,
            "ada",
            "after {gone:?}"
        );
    }
    clock.advance(DAY - gone);
    assert_eq!(visitor.get(&app, "/who").await.body, "");
}

#[tokio::test]
async fn idle_session_expires() {
    let (app, clock, mut visitor) = scene();
    visitor.get(&app, "/login").await;
    clock.advance(HOUR - Duration::from_millis(1));
    assert_eq!(visitor.clone().get(&app, "/who").await.body, "ada");
    clock.advance(Duration::from_millis(1));
    assert_eq!(visitor.get(&app, "/who").await.body, "");
}

#[tokio::test]
async fn refresh_is_sent_only_when_due() {
    let (app, clock, mut visitor) = scene();
    assert_eq!(max_age(&visitor.get(&app, "/login").await), 3600);
    clock.advance(5 * MINUTE - Duration::from_millis(1));
    assert!(visitor.get(&app, "/who").await.sets_nothing());
    clock.advance(Duration::from_millis(1));
    let refreshed = visitor.get(&app, "/who").await;
    assert_eq!(max_age(&refreshed), 3600);
    assert_eq!(refreshed.header("cache-control"), ["no-store"]);
    assert!(visitor.get(&app, "/who").await.sets_nothing());
}

#[tokio::test]
async fn slow_and_public_responses_do_not_refresh_early() {
    let (app, clock, mut visitor) = scene();
    visitor.get(&app, "/login").await;
    clock.advance(10 * MINUTE);
    assert!(visitor.get(&app, "/slow").await.sets_nothing());
    let public = visitor.get(&app, "/public").await;
    assert!(public.sets_nothing());
    assert_eq!(public.header("cache-control"), ["public, max-age=60"]);
    assert_eq!(public.header("vary"), ["Cookie"]);
    clock.advance(20 * MINUTE);
    assert_eq!(
        visitor.get(&app, "/slow").await.cookies().len(),
        1,
        "half of the idle timeout has passed"
    );
}

#[tokio::test]
async fn remembered_session_has_no_idle_timeout() {
    let (app, clock, mut visitor) = scene();
    visitor.get(&app, "/login").await;
    clock.advance(MINUTE);
    assert_eq!(
        max_age(&visitor.get(&app, "/remember").await),
        7 * 24 * 3600 - 60
    );
    assert!(
        visitor.get(&app, "/remember").await.sets_nothing(),
        "no change"
    );
    clock.advance(7 * DAY - MINUTE - Duration::from_millis(1));
    let answer = visitor.get(&app, "/who").await;
    assert_eq!(answer.body, "ada");
    assert!(answer.sets_nothing(), "nothing to refresh");
    clock.advance(Duration::from_millis(1));
    assert_eq!(visitor.get(&app, "/who").await.body, "");
}

#[tokio::test]
async fn login_starts_a_new_lifetime_without_remember() {
    let (app, clock, mut visitor) = scene();
    visitor.get(&app, "/login").await;
    visitor.get(&app, "/remember").await;
    clock.advance(2 * DAY);
    assert_eq!(max_age(&visitor.get(&app, "/login").await), 3600);
    assert_eq!(
        visitor.get(&app, "/times").await.body,
        format!("{} {}", 2 * 86_400, 2 * 86_400 + 3600)
    );
}

#[tokio::test]
async fn renewal_keeps_the_lifetime() {
    let (app, clock, mut visitor) = scene();
    visitor.get(&app, "/login").await;
    clock.advance(30 * MINUTE);
    assert_eq!(visitor.get(&app, "/renew").await.cookies().len(), 1);
    assert_eq!(visitor.get(&app, "/times").await.body, "0 5400");
    assert_eq!(visitor.get(&app, "/who").await.body, "ada");
}

#[tokio::test]
async fn shorter_limits_apply_to_existing_cookies() {
    let (app, clock, mut visitor) = scene();
    visitor.get(&app, "/login").await;
    visitor.get(&app, "/remember").await;
    clock.advance(20 * MINUTE);
    let tight = SessionLayer::builder(keys())
        .clock(clock.clone())
        .max_remember(10 * MINUTE)
        .build()
        .expect("valid settings");
    assert_eq!(
        visitor
            .get(&self::app(tight, clock.clone()), "/who")
            .await
            .body,
        ""
    );
    assert_eq!(
        visitor.get(&app, "/who").await.body,
        "ada",
        "the cookie was not removed"
    );
}

#[tokio::test]
async fn longer_limits_do_not_extend_existing_sessions() {
    let (builder, clock) = on_a_clock();
    let tight = builder.absolute_timeout(10 * MINUTE);
    let tight = app(tight.build().expect("valid settings"), clock.clone());
    let loose = SessionLayer::builder(keys()).clock(clock.clone());
    let loose = app(loose.build().expect("valid settings"), clock.clone());
    let mut visitor = Visitor::default();
    visitor.get(&tight, "/login").await;
    clock.advance(10 * MINUTE - Duration::from_millis(1));
    assert_eq!(visitor.clone().get(&loose, "/who").await.body, "ada");
    clock.advance(Duration::from_millis(1));
    assert_eq!(visitor.get(&loose, "/who").await.body, "");
}

/// A change or a due refresh counts as a use, because the response sends it. A plain read does not.
#[tokio::test]
async fn expires_at_matches_the_cookie_that_will_be_sent() {
    let (app, clock, mut visitor) = scene();
    visitor.get(&app, "/login").await;
    clock.advance(4 * MINUTE);
    assert_eq!(visitor.clone().get(&app, "/times").await.body, "0 3600");
    let renewed = visitor.clone().get(&app, "/renew-times").await;
    assert_eq!(renewed.body, "0 3840");
    clock.advance(MINUTE);
    assert_eq!(visitor.get(&app, "/times").await.body, "0 3900");
}

/// Only a test can make a cookie of an empty session. A refresh would be useless.
#[tokio::test]
async fn empty_session_is_not_refreshed() {
    let (builder, clock) = on_a_clock();
    let layer = builder.build().expect("valid settings");
    let cookie = testing::cookie(&layer, &testing::session(&layer)).expect("a cookie");
    clock.advance(10 * MINUTE);
    let answer = get_with(&app(layer, clock), "/who", &[cookie.as_bytes()]).await;
    assert!(answer.sets_nothing());
}

#[tokio::test]
async fn no_refresh_if_idle_timeout_exceeds_the_absolute_timeout() {
    let (builder, clock) = on_a_clock();
    let layer = builder.idle_timeout(DAY).build().expect("valid settings");
    let (app, mut visitor) = (app(layer, clock.clone()), Visitor::default());
    assert_eq!(max_age(&visitor.get(&app, "/login").await), 24 * 3600);
    clock.advance(23 * HOUR);
    let answer = visitor.get(&app, "/who").await;
    assert!(answer.body == "ada" && answer.sets_nothing());
}

#[tokio::test]
async fn browser_session_has_max_age_only_after_remember() {
    let (builder, clock) = on_a_clock();
    let layer = builder
        .browser_session(true)
        .build()
        .expect("valid settings");
    let (app, mut visitor) = (app(layer, clock), Visitor::default());
    assert_eq!(
        visitor.get(&app, "/login").await.cookies()[0].max_age(),
        None
    );
    assert_eq!(
        max_age(&visitor.get(&app, "/remember").await),
        7 * 24 * 3600
    );
}

#[tokio::test]
async fn each_kind_of_change_emits_its_own_event() {
    let (app, clock, mut visitor) = scene();
    let events = Events::capture();
    for (path, wanted) in [
        ("/who", &[][..]),
        ("/login", &["created"]),
        ("/who", &[]),
        ("/remember", &["changed"]),
        ("/renew", &["renewed"]),
        ("/login", &["ended login", "renewed"]),
    ] {
        visitor.get(&app, path).await;
        assert_eq!(events.drain(), wanted, "{path}");
    }
    clock.advance(10 * MINUTE);
    visitor.get(&app, "/who").await;
    assert_eq!(events.drain(), ["refreshed"]);
}

/// Changes are not dropped silently: the response is an error and the cookie is not changed.
#[tokio::test]
async fn session_that_expires_before_the_response_is_an_error() {
    let (builder, clock) = on_a_clock();
    let layer = builder.build().expect("valid settings");
    let slow = clock.clone();
    let late = move |session: Session| async move {
        session.insert("a", 1).expect("small");
        slow.advance(DAY);
    };
    async fn switch(session: Session) -> Result<(), Error> {
        session.login("eve")?;
        session.remember(Duration::from_millis(900));
        Ok(())
    }
    let app = Router::new()
        .route("/late", get(late))
        .route("/switch", get(switch))
        .layer(layer);
    let events = Events::capture();
    for path in ["/switch", "/late"] {
        let answer = Visitor::default().get(&app, path).await;
        assert!(
            answer.status.is_server_error() && answer.sets_nothing(),
            "{path}"
        );
        assert_eq!(events.drain(), ["failed"]);
    }
}
