//! Legacy cookies in passive requests and views, and what they say about a login.

use tower_sealed_session::SessionLayer;

use super::*;
use crate::{
    passive::{IDLE, MINUTE},
    support::Events,
    view::of,
};

const ADA: &str = r#"{"user":"ada"}"#;
const TEN: Duration = Duration::from_secs(600);

async fn poll(session: Session) -> String {
    session.passive();
    session.owner().unwrap_or_default()
}

async fn recent(session: Session) -> String {
    session.logged_in_within(TEN).to_string()
}

fn with_polls(app: Router) -> Router {
    app.route("/poll", get(poll)).route("/recent", get(recent))
}

fn layer(
    mode: fn(SessionLayerBuilder, LegacyCookie, OffsetDateTime) -> SessionLayerBuilder,
) -> (Router, SessionLayer, TestClock) {
    let (builder, clock) = on_a_clock();
    let builder = builder.idle_timeout(IDLE).absolute_timeout(FORTNIGHT);
    let layer = mode(builder, old_cookie().owner(user), moment(START) + 30 * DAY);
    let layer = layer.build().expect("valid settings");
    (with_polls(app()).layer(layer.clone()), layer, clock)
}

#[tokio::test]
async fn polling_tab_lets_a_session_of_both_cookies_expire() {
    let (app, _, clock) = layer(SessionLayerBuilder::dual_write);
    for (path, signed) in [("/poll", START), ("/owner", START + 3600)] {
        clock.set(moment(START));
        let mut visitor = Visitor::default();
        visitor.post(&app, "/login?user=ada").await;
        for minute in 1..=60 {
            clock.advance(MINUTE);
            let answer = visitor.get(&app, path).await;
            let ended = path == "/poll" && minute >= 15;
            assert_eq!(answer.body.is_empty(), ended, "{path}, minute {minute}");
            assert!(path == "/owner" || answer.sets_nothing());
        }
        assert_eq!(visitor.old().expect("one").1, signed, "{path}");
    }
}

/// Our cookie is needed, so it is set, with the time of the old signature.
#[tokio::test]
async fn legacy_session_that_is_only_polled_moves_and_ends_in_time() {
    for mode in [
        SessionLayerBuilder::migrate,
        SessionLayerBuilder::dual_write,
    ] {
        let (app, _, clock) = layer(mode);
        let mut visitor = with_old(ADA, START);
        for minute in 1..=16 {
            clock.advance(MINUTE);
            let answer = visitor.get(&app, "/poll").await;
            assert_eq!(answer.body.is_empty(), minute >= 15, "minute {minute}");
            assert_eq!(answer.sets_nothing(), minute != 1, "minute {minute}");
        }
        assert!(visitor.has_ours());
    }
}

/// The two cookies have to agree, so both are set, with the time of the last use.
#[tokio::test]
async fn outdated_legacy_cookie_is_replaced_by_a_poll_once() {
    let (app, _, clock) = layer(SessionLayerBuilder::dual_write);
    let mut visitor = Visitor::default();
    visitor.post(&app, "/login?user=ada").await;
    let outdated = old_value("{}", START - 600);
    visitor.jar.insert("session".to_owned(), outdated);
    for minute in 1..=15 {
        clock.advance(MINUTE);
        let answer = visitor.get(&app, "/poll").await;
        assert_eq!(answer.body.is_empty(), minute == 15, "minute {minute}");
        assert_eq!(answer.sets_nothing(), minute != 1, "minute {minute}");
        assert_eq!(visitor.old(), Some((ADA.to_owned(), START)));
    }
}

#[tokio::test]
async fn legacy_session_in_a_view_stays_as_it_is() {
    for mode in [
        SessionLayerBuilder::migrate,
        SessionLayerBuilder::dual_write,
    ] {
        let (app, layer, _) = layer(mode);
        let mut visitor = with_old(ADA, START);
        let events = Events::capture();
        for n in 1..=2 {
            let view = layer.open(&of(&visitor)).await.expect("it opens");
            assert_eq!(view.owner().as_deref(), Some("ada"));
            assert!(!view.logged_in_within(Duration::MAX));
            assert_eq!(events.drain(), ["legacy_read"]);
            assert_eq!(layer.legacy_reads(), n, "a read");
        }
        assert_eq!(visitor.body(&app, "/owner").await, "ada");
        assert!(visitor.has_ours());
    }
}

#[tokio::test]
async fn shared_cookie_is_read_in_a_view() {
    let clock = TestClock::at(moment(START));
    let layer = SignedSessionLayer::with_clock(old_cookie().owner(user), clock.clone());
    let layer = layer.expect("valid settings");
    let view = layer.open(&of(&with_old(ADA, START - 60))).await;
    let view = view.expect("it opens");
    assert_eq!(view.owner().as_deref(), Some("ada"));
    assert_eq!(view.created_at(), moment(START - 60));
    assert!(view.id().is_some() && view.still_valid().await.expect("a clock"));
    let none = layer.open(&of(&with_old("[]", START))).await;
    assert!(none.expect("it opens").is_empty());
}

/// The legacy app signs its cookie with each response, which is no login.
#[tokio::test]
async fn login_of_a_legacy_cookie_is_not_known_until_it_is_repeated_here() {
    for mode in [
        SessionLayerBuilder::migrate,
        SessionLayerBuilder::dual_write,
    ] {
        let (app, _, clock) = layer(mode);
        clock.advance(Duration::from_millis(700));
        let mut visitor = with_old(ADA, START);
        assert_eq!(visitor.body(&app, "/recent").await, "false");
        for path in ["/set?key=a&value=b", "/renew"] {
            visitor.post(&app, path).await;
            assert_eq!(visitor.body(&app, "/recent").await, "false", "{path}");
        }
        visitor.post(&app, "/login?user=ada").await;
        visitor.post(&app, "/set?key=a&value=c").await;
        assert_eq!(visitor.body(&app, "/recent").await, "true");
        clock.advance(TEN);
        assert_eq!(visitor.body(&app, "/recent").await, "true");
        clock.advance(Duration::from_millis(1));
        assert_eq!(visitor.body(&app, "/recent").await, "false");
    }
}

#[tokio::test]
async fn login_of_a_shared_cookie_is_known_only_in_its_request() {
    async fn login_and_ask(session: Session) -> Result<String, Error> {
        session.login("ada")?;
        session.insert("user", "ada")?;
        Ok(recent(session).await)
    }
    let clock = TestClock::at(moment(START));
    let layer = SignedSessionLayer::with_clock(old_cookie().owner(user), clock.clone());
    let app = with_polls(app())
        .route("/login-and-ask", get(login_and_ask))
        .layer(layer.expect("valid settings"));
    let mut visitor = Visitor::default();
    for _ in 0..2 {
        assert_eq!(visitor.body(&app, "/login-and-ask").await, "true");
        assert_eq!(visitor.body(&app, "/owner").await, "ada");
        assert_eq!(visitor.body(&app, "/recent").await, "false");
    }
}
