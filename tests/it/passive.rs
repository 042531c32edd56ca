//! Requests that are no activity: a tab that polls.

use std::time::Duration;

use axum::{
    Router,
    extract::Request,
    http::Extensions,
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use tower_sealed_session::{
    Clock as _, Error, KeyRing, Session, SessionLayer, SessionLayerBuilder, testing::TestClock,
};

use crate::support::{Events, OTHER_SECRET, SECRET, Visitor, keys, on_a_clock, secret};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const IDLE: Duration = Duration::from_secs(15 * 60);

/// An app with a passive and an active way to ask for the time left.
pub(crate) fn app(layer: SessionLayer, clock: &TestClock) -> Router {
    let left = {
        let clock = clock.clone();
        move |session: &Session| match session.owner() {
            Some(_) => (session.expires_at() - clock.now())
                .whole_seconds()
                .to_string(),
            None => String::new(),
        }
    };
    let passive = {
        let left = left.clone();
        async move |session: Session| {
            session.passive();
            left(&session)
        }
    };
    async fn set(session: Session, value: axum::extract::Path<String>) -> Result<(), Error> {
        session.passive();
        session.insert("a", &*value)
    }
    async fn commit(session: Session) -> Result<(), Error> {
        session.passive();
        session.insert("a", "committed")?;
        session.commit().await
    }
    Router::new()
        .route("/login", get(async |s: Session| s.login("ada")))
        .route("/poll", get(passive))
        .route("/visit", get(async move |s: Session| left(&s)))
        .route("/set/{value}", get(set))
        .route("/commit", get(commit))
        .route(
            "/fill",
            get(async |s: Session| s.insert("fill", "x".repeat(5000))),
        )
        .route(
            "/renew",
            get(async |s: Session| {
                s.passive();
                s.renew();
            }),
        )
        .layer(layer)
}

pub(crate) fn built(builder: SessionLayerBuilder) -> SessionLayer {
    builder.idle_timeout(IDLE).build().expect("valid settings")
}

/// A tab that asks once a minute lets the session end if it is passive, and keeps it otherwise.
pub(crate) async fn only_activity_keeps_it(app: &Router, clock: &TestClock, visitor: &Visitor) {
    let start = clock.now();
    for path in ["/poll", "/visit"] {
        clock.set(start);
        let mut visitor = visitor.clone();
        for minute in 1..=60 {
            clock.advance(MINUTE);
            let answer = visitor.get(app, path).await;
            let ended = path == "/poll" && minute >= 15;
            assert_eq!(answer.body.is_empty(), ended, "{path}, minute {minute}");
            if path == "/poll" && !ended {
                assert!(answer.sets_nothing());
                assert_eq!(answer.body, (900 - 60 * minute).to_string());
            }
        }
    }
}

#[tokio::test]
async fn polling_tab_lets_its_session_expire() {
    let (builder, clock) = on_a_clock();
    let app = app(built(builder), &clock);
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login").await;
    only_activity_keeps_it(&app, &clock, &visitor).await;
}

#[tokio::test]
async fn passive_request_tells_the_time_left_without_extending_it() {
    let (builder, clock) = on_a_clock();
    let app = app(built(builder), &clock);
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login").await;
    clock.advance(10 * MINUTE);
    let answer = visitor.clone().get(&app, "/poll").await;
    assert_eq!((&*answer.body, answer.sets_nothing()), ("300", true));
    assert_eq!(answer.header("cache-control"), ["private"]);
    let answer = visitor.get(&app, "/visit").await;
    assert_eq!((&*answer.body, answer.cookies().len()), ("900", 1));
}

#[tokio::test]
async fn change_in_a_passive_request_is_sent_and_is_activity() {
    let (builder, clock) = on_a_clock();
    let app = app(built(builder), &clock);
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login").await;
    for (path, sent) in [
        ("/set/1", true),
        ("/set/1", false),
        ("/commit", true),
        ("/renew", true),
        ("/login", true),
    ] {
        clock.advance(5 * MINUTE);
        let before = visitor.clone().get(&app, "/poll").await.body;
        let answer = visitor.get(&app, path).await;
        assert_eq!(answer.sets_nothing(), !sent, "{path}");
        let after = visitor.get(&app, "/poll").await.body;
        assert_eq!(
            after,
            if sent { "900".to_owned() } else { before },
            "{path}"
        );
    }
}

/// A middleware and a handler have the same session.
#[tokio::test]
async fn middleware_can_mark_the_requests_of_some_paths() {
    async fn mark(session: Session, request: Request, next: Next) -> Response {
        let polls = request.uri().path() == "/visit";
        let answer = next.run(request).await;
        // the handler may have ended in the meantime, but the response is not sent yet
        if polls {
            session.passive();
        }
        answer
    }
    let (builder, clock) = on_a_clock();
    let layer = built(builder);
    let routes = app(layer.clone(), &clock).layer(from_fn(mark)).layer(layer);
    let mut visitor = Visitor::default();
    visitor.get(&routes, "/login").await;
    clock.advance(10 * MINUTE);
    assert!(visitor.get(&routes, "/visit").await.sets_nothing());
}

#[tokio::test]
async fn each_of_several_layers_is_marked_on_its_own() {
    async fn poll(inner: Session, extensions: Extensions) -> Result<String, Error> {
        inner.passive();
        let outer = Session::named(&extensions, "__Host-Http-outer").await?;
        Ok(format!("{} {}", inner.len(), outer.len()))
    }
    async fn login(inner: Session, extensions: Extensions) -> Result<(), Error> {
        let outer = Session::named(&extensions, "__Host-Http-outer").await?;
        outer.login("root")?;
        inner.login("ada")
    }
    let (builder, clock) = on_a_clock();
    let outer = SessionLayer::builder(keys())
        .clock(clock.clone())
        .name("outer");
    let app = Router::new()
        .route("/poll", get(poll))
        .route("/login", get(login))
        .layer(built(builder))
        .layer(built(outer));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login").await;
    clock.advance(10 * MINUTE);
    let answer = visitor.get(&app, "/poll").await;
    let names: Vec<_> = answer
        .cookies()
        .iter()
        .map(|c| c.name().to_owned())
        .collect();
    assert_eq!(names, ["__Host-Http-outer"]);
}

#[tokio::test]
async fn passive_request_does_not_seal_with_the_new_secret() {
    let (builder, clock) = on_a_clock();
    let old = app(built(builder), &clock);
    let keys = KeyRing::new(secret(OTHER_SECRET)).fallback(secret(SECRET));
    let new = app(
        built(SessionLayer::builder(keys).clock(clock.clone())),
        &clock,
    );
    let mut visitor = Visitor::default();
    visitor.get(&old, "/login").await;
    clock.advance(6 * MINUTE);
    assert!(visitor.get(&new, "/poll").await.sets_nothing());
    assert_eq!(visitor.get(&new, "/visit").await.cookies().len(), 1);
}

#[tokio::test]
async fn too_late_a_call_is_an_event_and_one_after_a_logout_is_none() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let keep = async move |session: Session| {
        session.logout();
        session.passive();
        sender.send(session).expect("it is received");
    };
    let app = Router::new()
        .route("/", get(keep))
        .layer(built(on_a_clock().0));
    let events = Events::capture();
    let answer = Visitor::default().get(&app, "/").await;
    assert!(answer.removes());
    assert_eq!(events.drain(), ["removed"]);
    receiver.recv().await.expect("a session").passive();
    assert_eq!(events.drain(), ["late_write"]);
}
