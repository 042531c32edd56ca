//! Failures: a missing layer, failing handlers, panics, and sessions that cannot be saved.

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{Request, StatusCode},
    middleware::map_response,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_sealed_session::{Error, ErrorKind, Secret, Session, SessionLayer, testing};

use crate::support::{Events, Visitor, get_with, keys, layer, on_a_clock};

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
    let log = events.text();
    let [line] = failed(&log)[..] else {
        panic!("one event: {log}")
    };
    assert!(
        line.contains("ERROR") && line.contains("kind=Clock"),
        "{line}"
    );
    assert!(
        line.contains("error=the clock shows a time before 1970: set"),
        "{line}"
    );
}

/// The lines of the event `failed`.
fn failed(log: &str) -> Vec<&str> {
    let lines = log.lines();
    lines
        .filter(|line| line.contains("event=\"failed\""))
        .collect()
}

#[derive(serde::Deserialize, Debug)]
struct Cart {}

#[tokio::test]
async fn error_that_a_handler_returns_is_one_event_with_its_text() {
    async fn fails(session: Session, Path(how): Path<String>) -> Result<(), Error> {
        session.insert("cart", "tea")?;
        match &*how {
            "large" => session.insert("essay", "x".repeat(5000)),
            "type" => session.get::<Cart>("cart").map(drop),
            "whole" => session.read::<Vec<u8>>().map(drop),
            "encoding" => session.insert(
                "temperature",
                std::collections::BTreeMap::from([((1, 2), 3)]),
            ),
            "key" => session.insert("", 1),
            "owner" => session.login(""),
            other => unreachable!("{other}"),
        }
    }
    // the error passes other layers, and a session layer of another name
    let outer = SessionLayer::builder(keys()).name("outer").build();
    let app = Router::new()
        .nest("/in", Router::new().route("/{how}", get(fails)))
        .layer(map_response(async |response: Response| response))
        .layer(layer())
        .layer(outer.expect("valid settings"));
    let events = Events::capture();
    for (how, kind, told) in [
        (
            "large",
            "TooLarge",
            "the limit is 4096; largest entries: \"essay\" (5002 bytes)",
        ),
        (
            "type",
            "WrongType",
            "the entry \"cart\" does not deserialize as it::failures::Cart",
        ),
        (
            "whole",
            "WrongType",
            "the session as a whole does not deserialize as",
        ),
        (
            "encoding",
            "Encoding",
            "the entry \"temperature\" does not serialize to JSON",
        ),
        ("key", "InvalidKey", "must have 1 to 255 bytes"),
        ("owner", "InvalidOwner", "must have 1 to 255 bytes"),
    ] {
        let answer = get_with(&app, &format!("/in/{how}"), &[]).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.body, "Internal Server Error");
        let log = events.text();
        let [line] = failed(&log)[..] else {
            panic!("{how}: one event: {log}")
        };
        assert!(
            line.contains("ERROR") && line.contains(&format!("kind={kind} ")),
            "{line}"
        );
        assert!(line.contains("error=") && line.contains(told), "{line}");
    }

    let app = Router::new().route("/", get(count));
    get_with(&app, "/", &[]).await;
    let log = events.text();
    assert!(
        failed(&log).len() == 1 && log.contains("MissingLayer") && log.contains(".layer("),
        "{log}"
    );
}

/// A `main` that returns an error prints it with `Debug`.
#[test]
fn debug_of_errors_prints_prose() {
    let session = testing::session(&layer());
    let large = session
        .insert("essay", "x".repeat(5000))
        .expect_err("large");
    let errors: [Box<dyn std::error::Error>; 4] = [
        Box::new(large),
        Box::new(session.login("").expect_err("empty")),
        Box::new(Secret::new("hunter2").expect_err("short")),
        Box::new(
            SessionLayer::builder(keys())
                .name("")
                .build()
                .expect_err("empty"),
        ),
    ];
    for error in errors {
        assert_eq!(format!("{error:?}"), error.to_string());
        assert_eq!(format!("{error:#?}"), error.to_string());
        assert!(error.to_string().contains(' '));
    }
}

#[tokio::test]
async fn error_that_a_handler_deals_with_is_no_event() {
    async fn deals(session: Session) -> String {
        let error = session
            .insert("essay", "x".repeat(5000))
            .expect_err("too large");
        format!("{:?}", error.kind())
    }
    async fn own_page(session: Session) -> Result<(), (StatusCode, String)> {
        let inserted = session.insert("essay", "x".repeat(5000));
        inserted.map_err(|error| (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))
    }
    let app = Router::new()
        .route("/deals", get(deals))
        .route("/own", get(own_page))
        .route(
            "/result",
            get(async |session: Result<Session, Error>| session.is_ok().to_string()),
        )
        .layer(layer());
    let events = Events::capture();
    for path in ["/deals", "/own", "/result"] {
        get_with(&app, path, &[]).await;
        assert_eq!(events.drain(), [""; 0], "{path}");
    }
}

/// As in the documentation of `Error`.
#[tokio::test]
async fn outer_layer_shows_the_errors_of_handlers_and_of_commits_as_its_own_page() {
    async fn show_error(response: Response) -> Response {
        let Some(error) = response.extensions().get::<Error>() else {
            return response;
        };
        let page = format!("<h1>{:?}</h1>", error.kind());
        let (parts, _) = response.into_parts();
        (parts, Html(page)).into_response()
    }
    let (builder, clock) = on_a_clock();
    let handler = async |session: Session| session.insert("essay", "x".repeat(5000));
    let unsaved = move |session: Session| {
        clock.set(time::OffsetDateTime::UNIX_EPOCH - std::time::Duration::from_secs(1));
        async move { session.insert("a", 1) }
    };
    let app = Router::new()
        .route("/handler", get(handler))
        .route(
            "/fine",
            get(async |session: Session| session.len().to_string()),
        )
        .route("/commit", get(unsaved))
        .layer(builder.build().expect("valid settings"))
        .layer(map_response(show_error));
    assert_eq!(get_with(&app, "/fine", &[]).await.body, "0");
    for (path, page) in [
        ("/handler", "<h1>TooLarge</h1>"),
        ("/commit", "<h1>Clock</h1>"),
    ] {
        let answer = get_with(&app, path, &[]).await;
        assert_eq!(
            (answer.status, &*answer.body),
            (StatusCode::INTERNAL_SERVER_ERROR, page)
        );
        assert_eq!(answer.header("cache-control"), ["no-store"]);
        assert_eq!(answer.header("content-type"), ["text/html; charset=utf-8"]);
        assert_eq!(answer.header("content-length"), [page.len().to_string()]);
    }
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
