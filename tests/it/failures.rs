//! Failures: a missing layer, failing handlers, panics, and sessions that cannot be saved.

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_sealed_session::{Error, ErrorKind, Session, testing};

use crate::support::{Events, Visitor, get_with, layer, on_a_clock};

async fn count(session: Session) -> Result<String, Error> {
    session
        .update("n", |n: Option<u64>| n.unwrap_or(0) + 1)
        .map(|n| n.to_string())
}

#[tokio::test]
async fn rejection_without_the_layer_shows_the_missing_line() {
    let app = Router::new()
        .route("/", get(count))
        .route(
            "/option",
            get(|session: Option<Session>| async move { session.is_none().to_string() }),
        )
        .route(
            "/result",
            get(|session: Result<Session, Error>| async move {
                format!("{:?}", session.expect_err("no layer").kind())
            }),
        );
    let answer = get_with(&app, "/", &[]).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        answer.body.contains(".layer(SessionLayer::from_env()?)"),
        "{}",
        answer.body
    );
    assert_eq!(get_with(&app, "/option", &[]).await.body, "true");
    assert_eq!(get_with(&app, "/result", &[]).await.body, "MissingLayer");
}

#[tokio::test]
async fn rejection_mentions_routes_added_after_the_layer() {
    let app = Router::new().layer(layer()).route("/", get(count));
    assert!(
        get_with(&app, "/", &[])
            .await
            .body
            .contains("after its routes")
    );
}

#[tokio::test]
async fn writes_before_an_error_response_are_kept() {
    for status in [
        StatusCode::BAD_REQUEST,
        StatusCode::NOT_FOUND,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::BAD_GATEWAY,
    ] {
        let handler = move |session: Session| async move { (status, count(session).await) };
        let app = Router::new().route("/", get(handler)).layer(layer());
        let mut visitor = Visitor::default();
        assert_eq!(visitor.get(&app, "/").await.body, "1");
        let answer = visitor.get(&app, "/").await;
        assert_eq!((answer.status, &*answer.body), (status, "2"));
    }
}

#[tokio::test]
async fn writes_before_a_session_error_are_kept() {
    async fn handler(session: Session) -> Result<(), Error> {
        session.insert("kept", 1)?;
        session.insert("essay", "x".repeat(5000))
    }
    let layer = layer();
    let app = Router::new().route("/", get(handler)).layer(layer.clone());
    let answer = get_with(&app, "/", &[]).await;
    assert_eq!(
        (answer.status, &*answer.body),
        (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    );
    assert_eq!(
        testing::received(&layer, &answer.headers)
            .expect("a session")
            .keys(),
        ["kept"]
    );
}

/// If the panic passes through the layer, the browser keeps its old cookie.
#[tokio::test]
async fn panic_in_a_handler_keeps_the_session() {
    async fn panics(session: Session) -> Result<(), Error> {
        session.insert("n", 100)?;
        panic!("on purpose")
    }
    let routes = || {
        Router::new()
            .route("/", get(count))
            .route("/panic", get(panics))
    };
    let caught_inside = routes().layer(CatchPanicLayer::new()).layer(layer());
    let caught_outside = routes().layer(layer()).layer(CatchPanicLayer::new());
    for (app, wanted) in [(caught_inside, "101"), (caught_outside, "2")] {
        let mut visitor = Visitor::default();
        visitor.get(&app, "/").await;
        assert_eq!(
            visitor.get(&app, "/panic").await.status,
            StatusCode::INTERNAL_SERVER_ERROR
        );
        assert_eq!(visitor.get(&app, "/").await.body, wanted);
    }
}

#[tokio::test]
async fn unsaved_session_becomes_a_new_500_response_with_the_error() {
    let (builder, clock) = on_a_clock();
    let handler = move |session: Session| {
        clock.set(time::OffsetDateTime::UNIX_EPOCH - std::time::Duration::from_secs(1));
        async move {
            session.insert("a", 1)?;
            let headers = [
                ("location", "/done"),
                ("etag", "\"1\""),
                ("set-cookie", "theirs=1"),
                ("content-length", "4"),
            ];
            Ok::<Response, Error>((StatusCode::SEE_OTHER, headers, "done").into_response())
        }
    };
    let app = Router::new()
        .route("/", get(handler))
        .layer(builder.build().expect("valid settings"));
    let events = Events::capture();
    let response = app
        .oneshot(Request::get("/").body(Body::empty()).expect("a request"))
        .await
        .expect("infallible");
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let error = response.extensions().get::<Error>().expect("the error");
    assert_eq!(error.kind(), ErrorKind::Clock);
    let mut names: Vec<_> = response.headers().keys().map(ToString::to_string).collect();
    names.sort();
    assert_eq!(names, ["cache-control", "content-length"]);
    assert_eq!(response.headers()["content-length"], "0");
    assert_eq!(events.drain(), ["failed"]);
}

/// Without a change nothing can be lost, so the response is sent as it is.
#[tokio::test]
async fn failed_refresh_does_not_fail_the_request() {
    let (builder, clock) = on_a_clock();
    let layer = builder.build().expect("valid settings");
    let session = testing::session(&layer);
    session.insert("a", 1).expect("small");
    let cookie = testing::cookie(&layer, &session).expect("a cookie");
    clock.advance(std::time::Duration::from_secs(600));
    let handler = move |session: Session| {
        clock.set(time::OffsetDateTime::UNIX_EPOCH - std::time::Duration::from_secs(1));
        async move { session.len().to_string() }
    };
    let app = Router::new().route("/", get(handler)).layer(layer);
    let answer = get_with(&app, "/", &[cookie.as_bytes()]).await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "1"));
    assert!(answer.sets_nothing());
}
