//! `Owner` and `require_owner` in axum.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use tower::ServiceExt as _;
use tower_sealed_session::{Error, ErrorKind, Owner, Session, SessionLayer, require_owner};

use super::{app, logged_in};
use crate::support::{Events, NAME, Visitor, get_with, keys, layer};

const GUARDED: [&str; 4] = ["/members", "/members/x", "/me", "/deep/er/x"];

#[tokio::test]
async fn only_sessions_with_an_owner_are_admitted() {
    let app = app(layer());
    let events = Events::capture();
    let mut visitor = Visitor::default();
    for visit in [
        "new",
        "with a cart",
        "logged in",
        "logged out",
        "with a cart again",
    ] {
        match visit {
            "logged in" => drop(visitor.get(&app, "/login").await),
            "logged out" => drop(visitor.get(&app, "/logout").await),
            "with a cart" | "with a cart again" => drop(visitor.get(&app, "/cart").await),
            _ => {}
        }
        events.drain();
        let admitted = visit == "logged in";
        for path in GUARDED {
            let answer = visitor.get(&app, path).await;
            let status = if admitted { 200 } else { 401 };
            assert_eq!(answer.status, status, "{visit}, {path}");
            assert!(answer.sets_nothing());
            if !admitted {
                assert_eq!(answer.header("cache-control"), ["no-store"], "{path}");
                assert_eq!(answer.header("location"), [""; 0]);
            }
        }
        // a refusal is no failure
        assert_eq!(events.drain(), [""; 0], "{visit}");
        let maybe = visitor.get(&app, "/maybe").await;
        assert_eq!(
            (maybe.status, &*maybe.body),
            (StatusCode::OK, if admitted { "ada" } else { "nobody" })
        );
    }
}

#[tokio::test]
async fn cookies_that_are_not_valid_admit_nobody() {
    let app = app(layer());
    let visitor = logged_in(&app).await;
    let line = visitor.cookie_line();
    let mut forged = line.clone().into_bytes();
    let at = forged.len() - 3;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    let other = SessionLayer::builder(keys()).audience("other").build();
    let foreign = logged_in(&super::app(other.expect("valid settings"))).await;
    let lines = [
        forged,
        format!("{NAME}=").into_bytes(),
        format!("{NAME}=ada").into_bytes(),
        foreign.cookie_line().into_bytes(),
    ];
    for path in GUARDED {
        assert_eq!(get_with(&app, path, &[line.as_bytes()]).await.status, 200);
        for line in &lines {
            assert_eq!(get_with(&app, path, &[line]).await.status, 401, "{path}");
        }
    }
}

#[tokio::test]
async fn refused_requests_do_not_reach_the_handler() {
    let calls = Arc::new(AtomicUsize::new(0));
    let handler = {
        let calls = calls.clone();
        async move || {
            calls.fetch_add(1, Ordering::SeqCst);
        }
    };
    let extracted = {
        let calls = calls.clone();
        async move |_: Owner| {
            calls.fetch_add(1, Ordering::SeqCst);
        }
    };
    let app = Router::new()
        .route("/layer", get(handler.clone()).post(handler.clone()))
        .fallback(handler)
        .layer(require_owner())
        .route("/extractor", get(extracted))
        .route("/login", get(super::login))
        .layer(layer());
    for path in ["/layer", "/extractor", "/no-such-route"] {
        assert_eq!(get_with(&app, path, &[]).await.status, 401);
        assert_eq!(calls.load(Ordering::SeqCst), 0);
    }
    let mut visitor = logged_in(&app).await;
    for (path, called) in [("/layer", 1), ("/extractor", 2), ("/no-such-route", 3)] {
        assert_eq!(visitor.get(&app, path).await.status, 200);
        assert_eq!(calls.load(Ordering::SeqCst), called);
    }
}

/// The owner is the one of this moment, not the one that came in.
#[tokio::test]
async fn login_and_logout_of_a_middleware_count() {
    async fn act(session: Session, request: Request, next: Next) -> Result<Response, Error> {
        match request.uri().query() {
            Some("login") => session.login("grace")?,
            Some("logout") => session.logout(),
            _ => {}
        }
        Ok(next.run(request).await)
    }
    let routes = Router::new()
        .route(
            "/layer",
            get(async |s: Session| s.owner().unwrap_or_default()),
        )
        .route_layer(require_owner())
        .route("/extractor", get(async |owner: Owner| owner.into_string()))
        .route_layer(from_fn(act))
        .route("/login", get(super::login))
        .layer(layer());
    for path in ["/layer", "/extractor"] {
        let new = get_with(&routes, &format!("{path}?login"), &[]).await;
        assert_eq!((new.status, &*new.body), (StatusCode::OK, "grace"));
        let mut ada = logged_in(&routes).await;
        assert_eq!(ada.get(&routes, path).await.body, "ada");
        let answer = ada.get(&routes, &format!("{path}?logout")).await;
        assert_eq!(
            (answer.status, answer.removes()),
            (StatusCode::UNAUTHORIZED, true)
        );
    }
}

#[tokio::test]
async fn missing_layer_is_an_error_and_not_a_visitor_without_a_login() {
    async fn maybe(_: Option<Owner>) {}
    let app = Router::new()
        .route("/layer", get("secret"))
        .route_layer(require_owner())
        .route("/extractor", get(async |owner: Owner| owner.into_string()))
        .route("/maybe", get(maybe));
    let events = Events::capture();
    for path in ["/layer", "/extractor", "/maybe"] {
        let answer = get_with(&app, path, &[]).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert!(!answer.body.contains("secret"));
        assert_eq!(events.drain(), ["failed"]);
    }
}

/// A ticket without its store.
#[cfg(feature = "memory")]
#[tokio::test]
async fn session_that_cannot_be_loaded_is_a_503_and_no_refusal() {
    let store = tower_sealed_session::store::MemoryStore::new();
    let visitor = logged_in(&app(layer().store(store))).await;
    let without = app(layer());
    for path in GUARDED {
        let answer = visitor.clone().get(&without, path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.header("retry-after"), ["1"]);
        assert!(answer.sets_nothing() && !answer.body.contains("members"));
    }
}

#[tokio::test]
async fn refusal_is_in_the_extensions_of_the_response() {
    for path in ["/members", "/me"] {
        let request = Request::get(path).body(axum::body::Body::empty());
        let response = app(layer()).oneshot(request.expect("a request")).await;
        let response = response.expect("infallible");
        let error = response.extensions().get::<Error>().expect("the error");
        assert_eq!(error.kind(), ErrorKind::NoOwner);
        assert!(error.to_string().contains("log in"), "{error}");
    }
}

#[tokio::test]
async fn owner_is_a_string_that_logs_do_not_show() {
    async fn look(owner: Owner) -> String {
        assert!(owner.as_str() == "ada" && owner.len() == 3 && owner.as_ref() == "ada");
        assert_eq!(String::from(owner.clone()), "ada");
        format!("{owner} {owner:?}")
    }
    let app = app(layer()).merge(Router::new().route("/look", get(look)).layer(layer()));
    let mut ada = logged_in(&app).await;
    assert_eq!(ada.get(&app, "/look").await.body, "ada Owner { .. }");
}
