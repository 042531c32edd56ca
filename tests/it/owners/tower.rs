//! `require_owner` in plain Tower.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::http::{Method, Request, Response, StatusCode, header::COOKIE};
use tower::{Layer, Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_sealed_session::{
    Error, ErrorKind, Owner, RequireOwner, SessionLayer, require_owner, testing,
};

use crate::support::layer;

fn by_ada(layer: &SessionLayer) -> Request<()> {
    let session = testing::session(layer);
    session.login("ada").expect("short");
    let mut request = Request::new(());
    let cookie = testing::cookie(layer, &session).expect("a cookie");
    request.headers_mut().insert(COOKIE, cookie);
    request
}

/// It must be ready before it is called, and a clone is not ready.
struct Strict {
    ready: bool,
    calls: usize,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            calls: 0,
        }
    }
}

impl Service<Request<()>> for Strict {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "not ready");
        self.calls += 1;
        ready(Ok(Response::new(format!("call {}", self.calls))))
    }
}

#[tokio::test]
async fn service_that_was_ready_is_the_one_that_is_called() {
    let sessions = layer();
    let strict = Strict {
        ready: false,
        calls: 0,
    };
    let mut service = sessions.layer(require_owner().layer(strict));
    for _ in 0..3 {
        let answer = service
            .ready()
            .await
            .expect("infallible")
            .call(by_ada(&sessions))
            .await;
        assert_eq!(answer.expect("infallible").body(), "call 1");
        let refused = service
            .ready()
            .await
            .expect("infallible")
            .call(Request::new(()))
            .await;
        let refused = refused.expect("infallible");
        assert_eq!(
            (refused.status(), &**refused.body()),
            (StatusCode::UNAUTHORIZED, "")
        );
    }
}

#[tokio::test]
async fn errors_of_the_service_and_of_its_readiness_pass_through() {
    let sessions = layer();
    let failing = service_fn(async |_: Request<()>| Err::<Response<String>, _>("failed"));
    let service = sessions.layer(require_owner().layer(failing));
    let error = service.clone().oneshot(by_ada(&sessions)).await;
    assert_eq!(error.expect_err("its own error"), "failed");
    let refused = service.oneshot(Request::new(())).await.expect("no error");
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);

    #[derive(Clone)]
    struct NeverReady;
    impl Service<Request<()>> for NeverReady {
        type Response = Response<String>;
        type Error = &'static str;
        type Future = Ready<Result<Response<String>, &'static str>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            Poll::Ready(Err("not ready"))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            unreachable!("it is not ready")
        }
    }
    let service = require_owner().layer(NeverReady);
    let error = service
        .oneshot(Request::new(()))
        .await
        .expect_err("an error");
    assert_eq!(error, "not ready");
}

#[tokio::test]
async fn service_without_a_session_layer_answers_500() {
    let echo = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new("secret")));
    let service = ServiceBuilder::new().layer(require_owner()).service(echo);
    let answer = service.oneshot(Request::new(())).await.expect("infallible");
    assert_eq!(
        (answer.status(), *answer.body()),
        (StatusCode::INTERNAL_SERVER_ERROR, "")
    );
    let error = answer.extensions().get::<Error>().expect("the error");
    assert_eq!(error.kind(), ErrorKind::MissingLayer);
}

#[tokio::test]
async fn owner_is_read_from_the_extensions() {
    let sessions = layer().login_page("/login");
    let who = service_fn(async |request: Request<()>| {
        let owner = Owner::from_extensions(request.extensions()).await;
        Ok::<_, Infallible>(Response::new(match owner {
            Ok(owner) => owner.into_string(),
            Err(error) => format!("{:?}", error.kind()),
        }))
    });
    let service = sessions.layer(who);
    let answer = service.clone().oneshot(by_ada(&sessions)).await;
    assert_eq!(answer.expect("infallible").body(), "ada");
    let answer = service.oneshot(Request::new(())).await;
    assert_eq!(answer.expect("infallible").body(), "NoOwner");
}

#[tokio::test]
async fn refusal_leads_to_the_login_page_in_plain_tower() {
    let sessions = layer().login_page("/login");
    let echo = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new())));
    let service = sessions.layer(require_owner().layer(echo));
    for (method, location) in [
        (Method::GET, "/login?next=/a%3Fb"),
        (Method::POST, "/login"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri("https://shop.example/a?b");
        let request = request.header("sec-fetch-mode", "navigate").body(());
        let answer = service.clone().oneshot(request.expect("a request")).await;
        let answer = answer.expect("infallible");
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(answer.headers()["location"], location);
    }
}

#[test]
fn layer_is_send_and_so_is_its_future() {
    fn is_send<T: Send>(_: &T) {}
    let sessions = layer();
    let echo = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new())));
    let mut service = sessions.layer(require_owner().layer(echo));
    is_send(&service.call(by_ada(&sessions)));
    is_send::<RequireOwner>(&require_owner());
}
