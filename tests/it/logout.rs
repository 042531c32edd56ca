//! What follows a logout in the same request, and what other requests of the ended session do.
//! With the state in the cookie; `stores::ended` has the same for stores.

use std::time::Duration;

use axum::{Router, extract::Path, routing::get};
use http::StatusCode;
use tokio::sync::{mpsc, oneshot};
use tower_sealed_session::{Error, Session, SessionLayer, testing};

use crate::support::{Answer, Events, Visitor, on_a_clock};

/// Acts one after the other on one session, such as `logout,insert,login`.
pub(crate) async fn acts(session: &Session, what: &str) -> Result<String, Error> {
    for act in what.split(',') {
        match act {
            "login" => session.login("ada")?,
            "bob" => session.login("bob")?,
            "logout" => session.logout(),
            "renew" => session.renew(),
            "remember" => session.remember(Duration::from_secs(9999)),
            "remember-20d" => session.remember(Duration::from_secs(20 * 24 * 3600)),
            "commit" => session.commit().await?,
            "cart" => session.insert("cart", "tea")?,
            "count" => drop(session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?),
            "notice" => session.insert("notice", "Bye")?,
            "see" => {}
            other => unreachable!("{other}"),
        }
    }
    Ok(format!("{:?} {:?}", session.owner(), session.keys()))
}

pub(crate) fn app(layer: SessionLayer) -> Router {
    let act = async |session: Session, Path(what): Path<String>| acts(&session, &what).await;
    Router::new().route("/{acts}", get(act)).layer(layer)
}

/// What a visitor sees after these acts in one request, for sessions that begin with `first`.
pub(crate) async fn after(app: &Router, first: &str, acts: &str) -> (Answer, Visitor, String) {
    let mut visitor = Visitor::default();
    if !first.is_empty() {
        visitor.get(app, first).await;
    }
    let answer = visitor.get(app, acts).await;
    assert_eq!(answer.status, StatusCode::OK, "{first} {acts}");
    let sees = visitor.get(app, "/see").await.body;
    (answer, visitor, sees)
}

/// The acts after a logout, and what they leave behind. In every mode.
pub(crate) const AFTER_LOGOUT: [(&str, &str); 9] = [
    ("/logout", "None []"),
    ("/logout,notice", r#"None ["notice"]"#),
    ("/cart,logout,notice", r#"None ["notice"]"#),
    ("/logout,count,count", r#"None ["n"]"#),
    ("/logout,notice,login", r#"Some("ada") ["notice"]"#),
    ("/logout,bob", r#"Some("bob") []"#),
    ("/logout,renew,remember", "None []"),
    ("/logout,notice,logout", "None []"),
    ("/logout,notice,commit,logout,cart", r#"None ["cart"]"#),
];

#[tokio::test]
async fn writes_after_a_logout_begin_a_new_session() {
    let (builder, _) = on_a_clock();
    let app = app(builder.build().expect("valid settings"));
    for first in ["", "/login,cart"] {
        for (acts, wanted) in AFTER_LOGOUT {
            let (answer, _, sees) = after(&app, first, acts).await;
            assert_eq!(sees, wanted, "{first} {acts}");
            let no_store = answer.header("cache-control") == ["no-store"];
            assert!(no_store, "{first} {acts}");
            let removes = wanted == "None []";
            assert_eq!(answer.removes(), removes, "{first} {acts}");
        }
    }
}

#[tokio::test]
async fn session_after_a_logout_is_new() {
    let handler = async |session: Session| -> Result<String, Error> {
        let (id, created) = (session.id()?, session.created_at());
        session.logout();
        assert_eq!(session.owner(), None);
        assert!(session.is_empty() && !session.logged_in_within(Duration::MAX));
        assert!(!session.still_valid().await?);
        let family = |id: tower_sealed_session::SessionId| id.as_bytes()[..8].to_vec();
        assert_ne!(family(session.id()?), family(id));
        Ok((session.created_at() - created).whole_seconds().to_string())
    };
    let (builder, clock) = on_a_clock();
    let layer = builder.build().expect("valid settings");
    let app = app(layer.clone())
        .route("/leave", get(handler))
        .layer(layer);
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login").await;
    clock.advance(Duration::from_secs(60));
    assert_eq!(visitor.get(&app, "/leave").await.body, "60");
}

/// The cookies of an ended session are known to this process for a minute.
#[tokio::test]
async fn ended_session_is_anonymous_here_for_a_minute() {
    for (end, in_flight) in [
        ("/logout", StatusCode::OK),
        ("/login", StatusCode::SERVICE_UNAVAILABLE),
        ("/bob", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let (builder, clock) = on_a_clock();
        let layer = testing::as_another_process(builder).build();
        let app = app(layer.expect("valid settings"));
        let mut visitor = Visitor::default();
        visitor.get(&app, "/login,cart").await;
        let copy = visitor.clone();
        visitor.get(&app, end).await;
        let get = async |path: &str| copy.clone().get(&app, path).await;
        let events = Events::capture();
        assert_eq!(get("/see").await.body, "None []");
        assert!(events.drain().contains(&"rejected ended".to_owned()));
        // the request may have been sent before the end, so its changes must not begin a session
        let answer = get("/notice").await;
        assert_eq!((answer.status, answer.sets_nothing()), (in_flight, true));
        let retried = answer.header("retry-after") == ["1"];
        assert_eq!(retried, in_flight != StatusCode::OK);
        // a login always works
        assert!(!get("/login").await.sets_nothing());
        // after ten seconds, it begins a new session
        clock.advance(Duration::from_secs(10));
        assert_eq!(get("/see").await.body, "None []");
        let answer = get("/notice").await;
        assert_eq!(answer.body, r#"None ["notice"]"#);
        assert!(!answer.sets_nothing());
        clock.advance(Duration::from_secs(50));
        assert_eq!(
            get("/see").await.body,
            r#"Some("ada") ["cart"]"#,
            "without a store, a copy is valid again"
        );
    }
}

/// The browser that did not get the answer of a renewal goes on with its old cookie.
#[tokio::test]
async fn writes_with_a_replaced_cookie_are_refused_for_ten_seconds() {
    let (builder, clock) = on_a_clock();
    let layer = testing::as_another_process(builder).build();
    let app = app(layer.expect("valid settings"));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login,cart").await;
    assert!(!visitor.clone().get(&app, "/renew").await.sets_nothing());
    for path in ["/notice", "/renew", "/count"] {
        let answer = visitor.clone().get(&app, path).await;
        let status = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(
            (answer.status, answer.sets_nothing()),
            (status, true),
            "{path}"
        );
    }
    assert_eq!(
        visitor.get(&app, "/see").await.body,
        r#"Some("ada") ["cart"]"#
    );
    clock.advance(Duration::from_secs(10));
    visitor.get(&app, "/notice").await;
    let sees = visitor.get(&app, "/see").await.body;
    assert_eq!(sees, r#"Some("ada") ["cart", "notice"]"#);
}

/// A request that is open until the test lets it go on.
pub(crate) struct Slow {
    pub(crate) app: Router,
    opened: mpsc::UnboundedReceiver<oneshot::Sender<String>>,
}

impl Slow {
    pub(crate) fn new(layer: SessionLayer) -> Self {
        let (open, opened) = mpsc::unbounded_channel();
        let handler = async move |session: Session| -> Result<String, Error> {
            session.len();
            let (go, gone) = oneshot::channel::<String>();
            open.send(go).expect("the test listens");
            acts(&session, &gone.await.expect("the test goes on")).await
        };
        let app = app(layer.clone()).merge(Router::new().route("/slow", get(handler)).layer(layer));
        Self { app, opened }
    }

    /// Sends a slow request, then runs `between`, then lets the request do `act`.
    pub(crate) async fn around(
        &mut self,
        visitor: &Visitor,
        act: &str,
        between: impl AsyncFnOnce(),
    ) -> Answer {
        let (app, mut copy) = (self.app.clone(), visitor.clone());
        let slow = tokio::spawn(async move { copy.get(&app, "/slow").await });
        let go = self.opened.recv().await.expect("it opens");
        between().await;
        go.send(act.to_owned()).expect("it waits");
        slow.await.expect("no panic")
    }
}

/// Case: a long poll that was opened before a logout is answered long after it.
#[tokio::test]
async fn ended_session_stays_ended_for_requests_from_before_however_long_they_take() {
    for (end, act) in [
        ("/logout", "cart"),
        ("/logout", "renew"),
        ("/logout", "see"),
        ("/login", "cart"),
        ("/login", "see"),
        ("/renew", "cart"),
        ("/renew", "renew"),
        ("/renew", "see"),
    ] {
        let (builder, clock) = on_a_clock();
        let builder = builder.idle_timeout(Duration::from_secs(120));
        let layer = testing::as_another_process(builder).build();
        let mut slow = Slow::new(layer.expect("valid settings"));
        let app = slow.app.clone();
        let mut visitor = Visitor::default();
        visitor.get(&app, "/login").await;
        let first = visitor.clone();
        let answer = slow.around(&first, act, async || {
            visitor.get(&app, end).await;
            for other in 0..50 {
                clock.advance(Duration::from_secs(2));
                let mut visitor = Visitor::default();
                visitor.get(&app, "/login").await;
                visitor
                    .get(&app, if other % 2 == 0 { "/renew" } else { "/logout" })
                    .await;
            }
        });
        let answer = answer.await;
        assert!(answer.sets_nothing(), "{end} {act}");
        let dropped = end == "/logout" || act == "see";
        assert_eq!(answer.status == StatusCode::OK, dropped, "{end} {act}");
    }
}

/// Case: a request straddles the end of its session.
#[tokio::test]
async fn request_that_straddles_the_end_keeps_its_response() {
    let (builder, clock) = on_a_clock();
    let mut slow = Slow::new(builder.build().expect("valid settings"));
    let app = slow.app.clone();
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login,remember").await;
    clock.advance(Duration::from_secs(9998));
    let events = Events::capture();
    let first = visitor.clone();
    let answer = slow.around(&first, "cart", async || {
        clock.advance(Duration::from_secs(2))
    });
    let answer = answer.await;
    assert_eq!(answer.body, r#"Some("ada") ["cart"]"#);
    assert!(answer.sets_nothing());
    assert!(events.drain().contains(&"dropped expired".to_owned()));
    // a lifetime that has passed is an error of the handler
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login").await;
    for _ in 0..4 {
        clock.advance(Duration::from_secs(2500));
        visitor.get(&app, "/see").await;
    }
    let answer = visitor.clone().get(&app, "/remember").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
}

/// Audit A9: a login in flight must not bring back the entries of a session that was logged out.
#[tokio::test]
async fn login_in_flight_does_not_bring_back_the_entries_of_an_ended_session() {
    for (end, act, wanted) in [
        ("/logout", "login", r#"Some("ada") []"#),
        ("/logout", "notice,login", r#"Some("ada") ["notice"]"#),
        ("/bob", "login", r#"Some("ada") []"#),
        ("/renew", "login", r#"Some("ada") ["cart"]"#),
        ("/login", "login", r#"Some("ada") ["cart"]"#),
        (
            "/login",
            "notice,login",
            r#"Some("ada") ["cart", "notice"]"#,
        ),
        ("/login", "bob", r#"Some("bob") []"#),
    ] {
        let (builder, _) = on_a_clock();
        let mut slow = Slow::new(builder.build().expect("valid settings"));
        let app = slow.app.clone();
        let mut visitor = Visitor::default();
        visitor.get(&app, "/login,cart").await;
        let first = visitor.clone();
        let answer = slow.around(&first, act, async || drop(visitor.get(&app, end).await));
        let answer = answer.await;
        visitor.keep(&answer);
        assert_eq!(visitor.get(&app, "/see").await.body, wanted, "{end} {act}");
    }
}

/// Case 7, in a cookie: the answer of a login is lost, or its button is clicked twice.
#[tokio::test]
async fn repeated_login_keeps_the_cart() {
    for (first, again, wanted) in [
        ("/cart", "/login", r#"Some("ada") ["cart"]"#),
        ("/login,cart", "/login", r#"Some("ada") ["cart"]"#),
        (
            "/cart",
            "/notice,login",
            r#"Some("ada") ["cart", "notice"]"#,
        ),
        ("/cart", "/bob", r#"Some("bob") []"#),
        ("/cart", "/logout,login", r#"Some("ada") []"#),
        ("/bob,cart", "/login", r#"Some("ada") []"#),
    ] {
        let (builder, _) = on_a_clock();
        let app = app(builder.build().expect("valid settings"));
        let mut visitor = Visitor::default();
        visitor.get(&app, first).await;
        assert!(!visitor.clone().get(&app, "/login").await.sets_nothing());
        let answer = visitor.get(&app, again).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(
            visitor.get(&app, "/see").await.body,
            wanted,
            "{first} {again}"
        );
    }
}
