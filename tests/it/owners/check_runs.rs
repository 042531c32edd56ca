//! When the check runs, and with what.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::Extension,
    http::{Extensions, Method, Request, Version, header::COOKIE, request::Parts},
    routing::get,
};
use tower::ServiceExt as _;
use tower_sealed_session::{
    Error, Owner, Session, SessionLayer, require_owner, store::MemoryStore,
};

use super::{app, logged_in};
use crate::support::{Events, Visitor, get_with, keys, layer};

/// The calls of a check that says yes.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<(String, Parts)>>>);

impl Calls {
    fn of(layer: SessionLayer) -> (SessionLayer, Self) {
        let calls = Self::default();
        let log = calls.clone();
        let layer = layer.check(async move |owner: String, request: Parts| {
            log.0.lock().expect("no panic").push((owner, request));
            // another extractor can come meanwhile
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(true)
        });
        (layer, calls)
    }

    fn take(&self) -> Vec<(String, Parts)> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

fn layers() -> [SessionLayer; 2] {
    [layer(), layer().store(MemoryStore::new())]
}

#[tokio::test]
async fn check_runs_only_if_a_session_with_an_owner_is_used() {
    for layer in layers() {
        let (layer, calls) = Calls::of(layer);
        let app = app(layer.clone());
        // a new visitor, a cart without an owner, and the login itself
        let mut visitor = Visitor::default();
        for path in ["/len", "/cart", "/len", "/maybe", "/members", "/login"] {
            visitor.get(&app, path).await;
            assert_eq!(calls.take().len(), 0, "{path}");
        }
        for (path, runs) in [
            ("/unused", 0),
            ("/len", 1),
            ("/me", 1),
            ("/members", 1),
            ("/cart", 1),
        ] {
            visitor.get(&app, path).await;
            let owners: Vec<_> = calls.take().into_iter().map(|(owner, _)| owner).collect();
            assert_eq!(owners, vec!["ada"; runs], "{path}");
        }
        // it has no owner any more, when it comes again
        visitor.get(&app, "/logout").await;
        assert_eq!(calls.take().len(), 1);
        visitor.get(&app, "/maybe").await;
        assert_eq!(calls.take().len(), 0);
        // no valid cookie
        get_with(&app, "/me", &[b"__Host-Http-session=forged"]).await;
        assert_eq!(calls.take().len(), 0);
    }
}

#[tokio::test]
async fn check_runs_once_for_all_extractors_of_a_request() {
    async fn several(
        _: Session,
        _: Owner,
        _: Option<Session>,
        _: Option<Owner>,
        extensions: Extensions,
    ) -> Result<String, Error> {
        Session::named(&extensions, "__Host-Http-session").await?;
        Owner::from_extensions(&extensions)
            .await
            .map(Owner::into_string)
    }
    async fn racing(extensions: Extensions) -> String {
        let (a, b, c) = tokio::join!(
            Owner::from_extensions(&extensions),
            Session::from_extensions(&extensions),
            Owner::from_extensions(&extensions),
        );
        let owner = b.expect("a session").owner().expect("an owner");
        assert_eq!(a.expect("an owner").as_str(), owner);
        assert_eq!(c.expect("an owner").as_str(), owner);
        owner
    }
    async fn on_threads(extensions: Extensions) -> String {
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let extensions = extensions.clone();
                tokio::spawn(async move { Owner::from_extensions(&extensions).await })
            })
            .collect();
        let mut owner = String::new();
        for task in tasks {
            owner = task
                .await
                .expect("no panic")
                .expect("an owner")
                .into_string();
        }
        owner
    }
    for layer in layers() {
        let (layer, calls) = Calls::of(layer);
        let app = Router::new()
            .route("/several", get(several))
            .route("/racing", get(racing))
            .route("/threads", get(on_threads))
            .route_layer(require_owner())
            .route_layer(require_owner())
            .route("/racing-alone", get(racing))
            .route("/threads-alone", get(on_threads))
            .route("/login", get(super::login))
            .layer(layer.clone());
        let mut ada = logged_in(&app).await;
        for path in [
            "/several",
            "/racing",
            "/threads",
            "/racing-alone",
            "/threads-alone",
        ] {
            assert_eq!(ada.get(&app, path).await.body, "ada", "{path}");
            assert_eq!(calls.take().len(), 1, "{path}");
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Certificate(&'static str);

#[tokio::test]
async fn check_sees_the_request_as_the_layer_does() {
    let (sessions, calls) = Calls::of(layer());
    let app = app(sessions.clone()).layer(Extension(Certificate("cn=ada")));
    let ada = logged_in(&app).await;
    let request = Request::builder()
        .method(Method::PUT)
        .uri("/deep/er/one/two?x=1")
        .version(Version::HTTP_2)
        .header(COOKIE, ada.cookie_line())
        .header("host", "shop.example")
        .header("x-forwarded-for", "192.0.2.1");
    let request = request.body(Body::from("body")).expect("a request");
    app.oneshot(request).await.expect("infallible");
    let (owner, parts) = calls.take().remove(0);
    assert_eq!(owner, "ada");
    assert_eq!(
        (parts.method, parts.version),
        (Method::PUT, Version::HTTP_2)
    );
    assert_eq!(
        parts.uri, "/deep/er/one/two?x=1",
        "with the prefixes that routers take off"
    );
    assert_eq!(parts.headers["host"], "shop.example");
    assert_eq!(parts.headers["x-forwarded-for"], "192.0.2.1");
    assert_eq!(parts.headers[COOKIE], ada.cookie_line());
    assert_eq!(parts.extensions.get(), Some(&Certificate("cn=ada")));
    // the session itself is not there yet
    assert!(Session::from_extensions(&parts.extensions).await.is_err());

    let view = sessions
        .open(&crate::view::of(&ada))
        .await
        .expect("it opens");
    let (_, parts) = calls.take().remove(0);
    assert_eq!(parts.headers.len(), 1);
    assert_eq!(parts.headers[COOKIE], ada.cookie_line());
    assert!(parts.extensions.is_empty());
    assert!(view.still_valid().await.expect("an answer"));
    let (owner, parts) = calls.take().remove(0);
    assert_eq!((&*owner, parts.headers.len()), ("ada", 1));
}

/// It asks about the owner who is logged in now, with the request of the socket.
#[tokio::test]
async fn still_valid_runs_the_check_for_the_owner_of_now() {
    async fn handler(session: Session) -> Result<(), Error> {
        assert!(session.still_valid().await?);
        session.login("grace")?;
        assert!(session.still_valid().await?);
        session.logout();
        // over, so there is nothing to check
        assert!(!session.still_valid().await?);
        Ok(())
    }
    let (layer, calls) = Calls::of(layer());
    let app = app(layer.clone()).merge(Router::new().route("/socket", get(handler)).layer(layer));
    let mut ada = logged_in(&app).await;
    assert_eq!(ada.get(&app, "/socket").await.status, 200);
    let calls = calls.take();
    let owners: Vec<_> = calls.iter().map(|(owner, _)| owner.as_str()).collect();
    assert_eq!(owners, ["ada", "ada", "grace"]);
    assert!(calls.iter().all(|(_, parts)| parts.uri == "/socket"));
}

#[tokio::test]
async fn later_check_replaces_the_one_before() {
    let (sessions, first) = Calls::of(layer());
    let (both, second) = Calls::of(sessions.clone());
    let ada = logged_in(&app(sessions.clone())).await;
    assert_eq!(ada.clone().get(&app(both), "/me").await.body, "ada");
    assert_eq!((first.take().len(), second.take().len()), (0, 1));
    // a clone from before keeps its own
    assert_eq!(ada.clone().get(&app(sessions), "/me").await.body, "ada");
    assert_eq!((first.take().len(), second.take().len()), (1, 0));
}

#[tokio::test]
async fn each_of_several_layers_has_its_own_check() {
    let (inner, of_inner) = Calls::of(layer());
    let outer = SessionLayer::builder(keys())
        .name("outer")
        .build()
        .expect("valid settings");
    let (outer, of_outer) = Calls::of(outer);
    async fn login(inner: Session, extensions: Extensions) -> Result<(), Error> {
        let outer = Session::named(&extensions, "__Host-Http-outer").await?;
        outer.login("root")?;
        inner.login("ada")
    }
    async fn outer_only(extensions: Extensions) -> Result<(), Error> {
        Session::named(&extensions, "__Host-Http-outer")
            .await
            .map(drop)
    }
    let app = Router::new()
        .route("/login", get(login))
        .route("/inner", get(async |_: Owner| ()))
        .route("/outer", get(outer_only))
        .layer(inner)
        .layer(outer);
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login").await;
    for (path, inner, outer) in [("/inner", 1, 0), ("/outer", 0, 1)] {
        assert_eq!(visitor.get(&app, path).await.status, 200);
        assert_eq!(
            (of_inner.take().len(), of_outer.take().len()),
            (inner, outer),
            "{path}"
        );
    }
}

/// Otherwise a stricter check of some routes would silently not run.
#[tokio::test]
async fn inner_layer_of_the_same_name_with_another_check_is_an_event() {
    let plain = layer();
    let (one, _) = Calls::of(plain.clone());
    let (two, _) = Calls::of(plain.clone());
    let events = Events::capture();
    for (outer, inner, warned) in [
        (one.clone(), one.clone(), false),
        (one.clone(), two.clone(), true),
        (plain.clone(), one.clone(), true),
        (one.clone(), plain.clone(), true),
    ] {
        get_with(&app(inner).layer(outer), "/unused", &[]).await;
        let warning = events.drain().contains(&"nested".to_owned());
        assert_eq!(warning, warned);
    }
}
