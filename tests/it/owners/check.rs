//! What the app's check decides: with the session in its cookie, and in a store.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::{Method, StatusCode, header::HOST, request::Parts};
use tower_sealed_session::{SessionLayer, store::MemoryStore, testing};

use super::{NAVIGATES, app, location, logged_in, request};
use crate::support::{Events, Visitor, keys, layer, on_a_clock};

/// The accounts that are disabled.
#[derive(Clone, Default)]
struct Disabled(Arc<Mutex<BTreeSet<String>>>);

impl Disabled {
    fn add(&self, owner: &str) {
        self.0.lock().expect("no panic").insert(owner.to_owned());
    }

    fn remove(&self, owner: &str) {
        self.0.lock().expect("no panic").remove(owner);
    }

    fn checked_by(&self, layer: SessionLayer) -> SessionLayer {
        let disabled = self.clone();
        layer.check(async move |owner: String, _: Parts| {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(!disabled.0.lock().expect("no panic").contains(&owner))
        })
    }
}

/// A layer for each place where a session can be.
fn layers() -> [SessionLayer; 4] {
    let store = MemoryStore::new;
    [
        layer(),
        layer().store(store()),
        layer().overflow(store()),
        layer().read_from(store()),
    ]
}

#[tokio::test]
async fn disabled_account_is_anonymous_and_its_cookie_stays() {
    for (mode, layer) in layers().into_iter().enumerate() {
        let disabled = Disabled::default();
        let app = app(disabled.checked_by(layer));
        let mut ada = logged_in(&app).await;
        ada.get(&app, "/cart").await;
        let before = ada.clone();
        disabled.add("ada");
        let events = Events::capture();
        for path in ["/members", "/me"] {
            let answer = ada.get(&app, path).await;
            assert_eq!(
                (answer.status, answer.sets_nothing()),
                (StatusCode::UNAUTHORIZED, true)
            );
            assert_eq!(events.drain(), ["rejected refused"], "{mode}, {path}");
        }
        assert_eq!(ada.get(&app, "/maybe").await.body, "nobody");
        let answer = ada.get(&app, "/len").await;
        assert_eq!((&*answer.body, answer.sets_nothing()), ("0", true));
        assert!(ada == before, "the cookie is as it was");
        events.drain();

        disabled.remove("ada");
        assert_eq!(ada.get(&app, "/me").await.body, "ada");
        assert_eq!(ada.get(&app, "/len").await.body, "1");
        assert_eq!(events.drain(), [""; 0]);
    }
}

#[tokio::test]
async fn refused_visitor_is_sent_to_the_login_page() {
    let disabled = Disabled::default();
    let app = app(disabled.checked_by(layer().login_page("/login")));
    let mut ada = logged_in(&app).await;
    disabled.add("ada");
    for path in ["/members", "/me", "/deep/er/x"] {
        let answer = request(&app, &mut ada, Method::GET, path, NAVIGATES).await;
        assert_eq!(location(&answer), Some(&*format!("/login?next={path}")));
    }
}

/// What a refused visitor writes is a session of its own, and a login takes nothing over.
#[tokio::test]
async fn refused_session_is_not_continued() {
    for (mode, layer) in layers().into_iter().enumerate() {
        let disabled = Disabled::default();
        let guarded = app(disabled.checked_by(layer.clone()));
        let open = app(layer.clone());
        let mut ada = logged_in(&open).await;
        ada.get(&open, "/cart").await;
        let id = layer
            .open(&crate::view::of(&ada))
            .await
            .expect("it opens")
            .id();
        disabled.add("ada");

        let mut writer = ada.clone();
        let answer = writer.get(&guarded, "/cart").await;
        assert_eq!(
            (answer.status, answer.cookies().len()),
            (StatusCode::OK, 1),
            "{mode}"
        );
        let view = layer
            .open(&crate::view::of(&writer))
            .await
            .expect("it opens");
        assert!(
            view.id().is_some() && view.id() != id,
            "{mode}: a new session"
        );
        assert_eq!((view.owner(), view.len()), (None, 1));
        assert_eq!(
            ada.get(&open, "/len").await.body,
            "1",
            "{mode}: the other is as it was"
        );

        // a login of the same owner, as at another tenant
        let mut again = ada.clone();
        let answer = again.get(&guarded, "/login").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{mode}");
        let view = layer
            .open(&crate::view::of(&again))
            .await
            .expect("it opens");
        assert_eq!(
            (view.owner().as_deref(), view.len()),
            (Some("ada"), 0),
            "{mode}"
        );
    }
}

/// With a store, both end it. So a copy of the cookie is of no use when the check says yes again.
#[tokio::test]
async fn logout_and_login_end_a_refused_session_in_the_store() {
    for path in ["/logout", "/login"] {
        let disabled = Disabled::default();
        let layer = layer().store(MemoryStore::new());
        let guarded = app(disabled.checked_by(layer.clone()));
        let ada = logged_in(&guarded).await;
        disabled.add("ada");
        let mut refused = ada.clone();
        let answer = refused.get(&guarded, path).await;
        assert!(answer.status.is_success() || answer.status.is_redirection());
        assert_eq!(answer.cookies().len(), 1);
        disabled.remove("ada");
        assert_eq!(ada.clone().get(&guarded, "/me").await.status, 401, "{path}");
        let expected = if path == "/login" { 200 } else { 401 };
        assert_eq!(refused.get(&guarded, "/me").await.status, expected);
    }
}

#[tokio::test]
async fn session_of_one_tenant_is_anonymous_at_another() {
    async fn is_at_home(owner: String, request: Parts) -> Result<bool, &'static str> {
        let host = request.headers.get(HOST).ok_or("no host")?;
        Ok(host.as_bytes().strip_suffix(b".example") == Some(owner.as_bytes()))
    }
    let app = app(layer().check(is_at_home));
    let mut visitor = logged_in(&app).await;
    for (host, status) in [
        ("ada.example", 200),
        ("grace.example", 401),
        ("ada.example", 200),
    ] {
        let headers = [("host", host)];
        let answer = request(&app, &mut visitor, Method::GET, "/me", &headers).await;
        assert_eq!(answer.status, status, "{host:?}");
    }
}

#[tokio::test]
async fn view_is_checked_and_asks_again_while_a_socket_is_open() {
    for layer in layers() {
        let disabled = Disabled::default();
        let layer = disabled.checked_by(layer);
        let app = app(layer.clone());
        let ada = logged_in(&app).await;
        let headers = crate::view::of(&ada);
        let view = layer.open(&headers).await.expect("it opens");
        assert_eq!(view.owner().as_deref(), Some("ada"));
        assert!(view.still_valid().await.expect("an answer"));
        disabled.add("ada");
        assert!(!view.still_valid().await.expect("an answer"));
        let refused = layer.open(&headers).await.expect("it opens");
        assert_eq!((refused.owner(), refused.id()), (None, None));
        disabled.remove("ada");
        assert!(view.still_valid().await.expect("an answer"));
    }
}

#[tokio::test]
async fn list_of_an_owners_sessions_asks_no_check() {
    let disabled = Disabled::default();
    let layer = disabled.checked_by(layer().store(MemoryStore::new()));
    let app = app(layer.clone());
    logged_in(&app).await;
    disabled.add("ada");
    // the operator's list shows the sessions of a disabled account too
    let listed = layer.list_owner("ada").await.expect("it answers");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].view().owner().as_deref(), Some("ada"));
}

#[tokio::test]
async fn expired_and_ended_sessions_are_not_checked() {
    let (builder, clock) = on_a_clock();
    let disabled = Disabled::default();
    disabled.add("ada");
    let layer = disabled.checked_by(builder.build().expect("valid settings"));
    let app = app(layer.clone());
    let ada = logged_in(&app).await;
    clock.advance(Duration::from_secs(3600));
    let events = Events::capture();
    assert_eq!(ada.clone().get(&app, "/maybe").await.body, "nobody");
    assert_eq!(events.drain(), ["rejected expired"]);
}

#[test]
fn settings_of_the_check_are_checked() {
    async fn yes(_: String, _: Parts) -> Result<bool, Infallible> {
        Ok(true)
    }
    let second = Duration::from_secs(1);
    let without = SessionLayer::builder(keys()).check_timeout(second).build();
    let without = without.expect_err("no check").to_string();
    assert!(
        without.contains("check_timeout") && without.contains("`check`"),
        "{without}"
    );
    for limit in [Duration::ZERO, Duration::from_micros(999), 61 * second] {
        let builder = SessionLayer::builder(keys());
        let error = builder.check_timeout(limit).check(yes).build();
        let error = error.expect_err("out of range").to_string();
        assert!(error.contains("invalid `check_timeout`"), "{error}");
        let panic = std::panic::catch_unwind(|| layer().check(yes).check_timeout(limit));
        let panic = panic.expect_err("a panic");
        assert_eq!(panic.downcast_ref::<String>(), Some(&error));
    }
    let panic = std::panic::catch_unwind(|| layer().check_timeout(second)).expect_err("a panic");
    assert_eq!(panic.downcast_ref::<String>(), Some(&without));
    for limit in [second / 1000, 60 * second] {
        let builder = SessionLayer::builder(keys()).check_timeout(limit);
        assert!(builder.check(yes).build().is_ok());
    }
}

/// The helpers for tests make and open sessions without a request.
#[tokio::test]
async fn helpers_for_tests_run_no_check() {
    let disabled = Disabled::default();
    disabled.add("ada");
    let layer = disabled.checked_by(layer());
    let app = app(layer.clone());
    let answer = Visitor::default().get(&app, "/login").await;
    let session = testing::received(&layer, &answer.headers).expect("a session");
    assert_eq!(session.owner().as_deref(), Some("ada"));
}
