//! Concurrent requests of one visitor, with the state in the cookie.
//!
//! The guide `security` lists the limits under "What is not promised". The requests are sure to
//! overlap: each slow handler opens its session, signals that, and waits for a permit.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::Path,
    http::{Extensions, Request, Response},
    routing::get,
};
use futures_util::FutureExt as _;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::{Semaphore, mpsc};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_sealed_session::{
    Error, ErrorKind, Session, SessionLayer,
    testing::{self, TestClock},
};

use crate::support::{Answer, Events, Visitor, get_with, keys, layer, on_a_clock};

/// An app whose requests under `/slow` open the session and then wait for a permit.
#[derive(Clone)]
struct Stage {
    app: Router,
    layer: SessionLayer,
    clock: TestClock,
    gate: Arc<Semaphore>,
    opened: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<()>>>,
}

async fn act(session: &Session, what: &str) -> Result<String, Error> {
    match what {
        "a" | "b" | "c" => session.insert(what, 1)?,
        "login" => session.login("ada")?,
        "login-eve" => session.login("eve")?,
        "renew" => session.renew(),
        "logout" => session.logout(),
        "clear" => session.clear(),
        "valid" => return Ok(session.still_valid().await?.to_string()),
        "renew-valid" => {
            session.renew();
            return Ok(session.still_valid().await?.to_string());
        }
        _ => {}
    }
    Ok(format!("{:?} {:?}", session.owner(), session.keys()))
}

impl Stage {
    fn new() -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let (opened, receiver) = mpsc::unbounded_channel();
        let (builder, clock) = on_a_clock();
        let layer = builder.build().expect("valid settings");
        let waits = gate.clone();
        let slow = move |session: Session, Path(what): Path<String>| async move {
            session.len();
            opened.send(()).expect("the test listens");
            waits.acquire().await.expect("open").forget();
            act(&session, &what).await
        };
        let app = Router::new()
            .route("/slow/{what}", get(slow))
            .route(
                "/{what}",
                get(async |session: Session, Path(what): Path<String>| act(&session, &what).await),
            )
            .layer(layer.clone());
        Self {
            app,
            layer,
            clock,
            gate,
            opened: Arc::new(tokio::sync::Mutex::new(receiver)),
        }
    }

    /// A visitor with entry `a` who requested `first` ten minutes ago, so that a refresh is due.
    async fn visitor(&self, first: &str) -> Visitor {
        let mut visitor = Visitor::default();
        visitor.get(&self.app, "/a").await;
        visitor.get(&self.app, first).await;
        self.clock.advance(Duration::from_secs(600));
        visitor
    }

    /// Runs `slow` so that `fast` begins and ends while `slow` is open. The browser receives the
    /// response of `fast` first.
    async fn overlap(&self, visitor: &mut Visitor, slow: &str, fast: &str) -> (Answer, Answer) {
        self.overlap_for(Duration::ZERO, visitor, slow, fast).await
    }

    /// The same; `slow` stays open for `open`.
    async fn overlap_for(
        &self,
        open: Duration,
        visitor: &mut Visitor,
        slow: &str,
        fast: &str,
    ) -> (Answer, Answer) {
        let path = format!("/slow/{slow}");
        let mut copy = visitor.clone();
        let (stage, opened) = (self.clone(), self.opened.clone());
        let running = tokio::spawn(async move { copy.get(&stage.app, &path).await });
        opened.lock().await.recv().await.expect("it opens");
        let fast = visitor.get(&self.app, fast).await;
        self.clock.advance(open);
        self.gate.add_permits(1);
        let slow = running.await.expect("no panic");
        visitor.keep(&slow);
        (slow, fast)
    }

    async fn sees(&self, visitor: &Visitor) -> String {
        visitor.clone().get(&self.app, "/look").await.body
    }
}

#[tokio::test]
async fn last_response_of_parallel_writes_wins() {
    let stage = Stage::new();
    let mut visitor = stage.visitor("/look").await;
    stage.overlap(&mut visitor, "b", "/c").await;
    assert_eq!(
        stage.sees(&visitor).await,
        r#"None ["a", "b"]"#,
        "the write of c is lost"
    );
}

#[tokio::test]
async fn logout_during_a_slow_request_stays_final() {
    for slow in ["b", "renew", "clear", "look"] {
        let stage = Stage::new();
        let mut visitor = stage.visitor("/login").await;
        let events = Events::capture();
        let (answer, logout) = stage.overlap(&mut visitor, slow, "/logout").await;
        assert!(logout.removes());
        assert!(answer.sets_nothing(), "{slow}");
        assert_eq!(stage.sees(&visitor).await, "None []", "{slow}");
        assert_eq!(
            events.drain().contains(&"dropped ended".to_owned()),
            slow != "look"
        );
    }
}

#[tokio::test]
async fn login_during_a_slow_request_is_kept() {
    for slow in ["b", "renew", "clear", "look"] {
        let stage = Stage::new();
        let mut visitor = stage.visitor("/look").await;
        let (answer, _) = stage.overlap(&mut visitor, slow, "/login").await;
        assert!(answer.sets_nothing(), "{slow}");
        assert_eq!(stage.sees(&visitor).await, r#"Some("ada") ["a"]"#, "{slow}");
    }
}

#[tokio::test]
async fn slow_login_wins_over_other_requests() {
    for (fast, entries) in [
        ("/logout", "[]"),
        ("/renew", r#"["a"]"#),
        ("/login-eve", "[]"),
    ] {
        let stage = Stage::new();
        let mut visitor = stage.visitor("/look").await;
        stage.overlap(&mut visitor, "login", fast).await;
        let wanted = format!(r#"Some("ada") {entries}"#);
        assert_eq!(stage.sees(&visitor).await, wanted, "{fast}");
    }
}

#[tokio::test]
async fn slow_logout_wins_over_other_requests() {
    for fast in ["/login", "/renew", "/b", "/logout"] {
        let stage = Stage::new();
        let mut visitor = stage.visitor("/login").await;
        let (logout, _) = stage.overlap(&mut visitor, "logout", fast).await;
        assert!(logout.removes(), "{fast}");
        assert_eq!(stage.sees(&visitor).await, "None []", "{fast}");
    }
}

#[tokio::test]
async fn first_of_two_renewals_wins() {
    let stage = Stage::new();
    let mut visitor = stage.visitor("/login").await;
    let (second, first) = stage.overlap(&mut visitor, "renew", "/renew").await;
    assert_eq!((second.sets_nothing(), first.cookies().len()), (true, 1));
    assert_eq!(second.status, http::StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(stage.sees(&visitor).await, r#"Some("ada") ["a"]"#);
}

/// A refresh sends the whole session. After a slow request it is skipped. After a fast request it
/// overwrites other changes, as any write does.
#[tokio::test]
async fn slow_refresh_does_not_overwrite_newer_writes() {
    for (millis, sets, wanted) in [
        (2001, false, r#"Some("ada") ["a", "b"]"#),
        (2000, true, r#"Some("ada") ["a"]"#),
    ] {
        let stage = Stage::new();
        let mut visitor = stage.visitor("/login").await;
        let open = Duration::from_millis(millis);
        let (look, _) = stage.overlap_for(open, &mut visitor, "look", "/b").await;
        assert_eq!(!look.sets_nothing(), sets);
        assert_eq!(stage.sees(&visitor).await, wanted);
    }
}

#[tokio::test]
async fn session_ended_by_another_request_is_not_valid() {
    for (fast, wanted) in [
        ("/look", "true"),
        ("/b", "true"),
        ("/logout", "false"),
        ("/renew", "false"),
        ("/login", "false"),
    ] {
        let stage = Stage::new();
        let mut visitor = stage.visitor("/login").await;
        let (answer, _) = stage.overlap(&mut visitor, "valid", fast).await;
        assert_eq!(answer.body, wanted, "{fast}");
    }
}

#[tokio::test]
async fn renewal_after_a_logout_is_not_valid() {
    let stage = Stage::new();
    let mut visitor = stage.visitor("/login").await;
    let (answer, _) = stage.overlap(&mut visitor, "renew-valid", "/logout").await;
    assert_eq!(answer.body, "false");
    let alone = visitor.clone().get(&stage.app, "/login").await;
    assert_eq!(alone.cookies().len(), 1);
}

/// Layers of one process share the memory of ended sessions, unless a test separates them.
#[tokio::test]
async fn as_another_process_forgets_the_sessions_that_other_layers_ended() {
    let instance = |separate: bool| {
        let builder = SessionLayer::builder(keys());
        let builder = match separate {
            true => testing::as_another_process(builder),
            false => builder,
        };
        let handler = async |session: Session, Path(what): Path<String>| act(&session, &what).await;
        let layer = builder.build().expect("valid settings");
        Router::new().route("/{what}", get(handler)).layer(layer)
    };
    for (separate, sets_a_cookie) in [(false, false), (true, true)] {
        let mut visitor = Visitor::default();
        visitor.get(&instance(false), "/login").await;
        let mut copy = visitor.clone();
        visitor.get(&instance(false), "/logout").await;
        let answer = copy.get(&instance(separate), "/b").await;
        assert_eq!(
            !answer.sets_nothing(),
            sets_a_cookie,
            "separate: {separate}"
        );
    }
}

/// A handle kept after the response, as by a web socket, follows the session that was sent.
#[tokio::test]
async fn handle_after_the_response_is_valid_while_the_sent_session_is() {
    for (what, sent) in [
        ("look", true),
        ("b", true),
        ("renew", true),
        ("login", true),
        ("login-eve", true),
        ("logout", false),
    ] {
        let layer = layer();
        let (app, mut handles) = app_with_handles(&layer);
        let mut visitor = Visitor::default();
        visitor.get(&app, "/login").await;
        let old = visitor.clone();
        let first = handles.recv().await.expect("a handle");
        assert!(first.still_valid().await.expect("a clock"));
        visitor.get(&app, &format!("/{what}")).await;
        let kept = matches!(what, "look" | "b");
        assert_eq!(first.still_valid().await.expect("a clock"), kept, "{what}");
        let handle = handles.recv().await.expect("a handle");
        let valid = async || handle.still_valid().await.expect("a clock");
        assert_eq!(valid().await, sent, "{what}");
        // a logout with the old cookie ends the renewed session, but no login that followed
        let renewed = matches!(what, "login" | "login-eve");
        old.clone().get(&app, "/logout").await;
        assert_eq!(valid().await, renewed, "{what}");
        visitor.get(&app, "/logout").await;
        assert!(!valid().await, "{what}");
    }
}

/// The changes were dropped because another request ended the session, or no response was sent.
#[tokio::test]
async fn handle_whose_session_was_not_sent_is_not_valid() {
    // the session was ended by another request
    let (app, mut handles) = app_with_handles(&layer());
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login").await;
    handles.recv().await.expect("a handle");
    let copy = visitor.clone();
    copy.clone().get(&app, "/logout").await;
    assert!(copy.clone().get(&app, "/b").await.sets_nothing());
    handles.recv().await.expect("that of the logout");
    let handle = handles.recv().await.expect("a handle");
    assert!(!handle.still_valid().await.expect("a clock"));
    // the request was cancelled, or the session was not saved because the clock failed; the clock
    // works again when the handle is asked
    let (builder, clock) = on_a_clock();
    let layer = builder.build().expect("valid settings");
    let now = tower_sealed_session::Clock::now(&clock);
    for what in ["b", "renew", "login", "login-eve"] {
        for cancelled in [true, false] {
            let session = testing::session(&layer);
            session.login("ada").expect("short");
            let cookie = testing::cookie(&layer, &session).expect("a cookie");
            let (give, take) = std::sync::mpsc::channel();
            let clock = clock.clone();
            let serve = |request: Request<()>| {
                let (give, clock) = (give.clone(), clock.clone());
                async move {
                    let session = Session::from_extensions(request.extensions()).await?;
                    act(&session, what).await?;
                    give.send(session).expect("the test listens");
                    if cancelled {
                        std::future::pending::<()>().await;
                    }
                    clock.set(time::OffsetDateTime::UNIX_EPOCH - Duration::from_secs(1));
                    Ok::<_, Error>(Response::new(()))
                }
            };
            let request = Request::get("/").header("cookie", cookie).body(());
            let service = layer.layer(service_fn(serve));
            let response = service.oneshot(request.expect("a request")).now_or_never();
            assert_eq!(response.is_none(), cancelled);
            clock.set(now);
            let handle = take.recv().expect("a handle");
            assert!(
                !handle.still_valid().await.expect("a clock"),
                "{what} {cancelled}"
            );
        }
    }
}

/// An app whose handlers send their session handle to the test.
fn app_with_handles(layer: &SessionLayer) -> (Router, mpsc::UnboundedReceiver<Session>) {
    let (give, take) = mpsc::unbounded_channel();
    let handler = move |session: Session, Path(what): Path<String>| async move {
        give.send(session.clone()).expect("the test listens");
        act(&session, &what).await
    };
    let app = Router::new()
        .route("/{what}", get(handler))
        .layer(layer.clone());
    (app, take)
}

/// A change after the request was cancelled or answered is refused with `Late`, not dropped
/// silently.
#[tokio::test]
async fn changes_after_the_request_are_late() {
    let layer = layer();
    let (give, mut take) = mpsc::unbounded_channel();
    let held = move |session: Session, extensions: axum::http::Extensions| {
        let give = give.clone();
        async move {
            session.insert("a", 1).expect("small");
            give.send((session, extensions)).expect("the test listens");
            std::future::pending::<()>().await;
        }
    };
    let app = Router::new().route("/", get(held)).layer(layer);
    let request = axum::http::Request::get("/").body(axum::body::Body::empty());
    let events = Events::capture();
    let response = tower::ServiceExt::oneshot(app, request.expect("a request"));
    let cancelled = tokio::time::timeout(Duration::from_millis(50), response);
    cancelled.await.expect_err("it waits");
    let (session, extensions) = take.recv().await.expect("a session");
    assert_eq!(
        session.insert("b", 1).expect_err("late").kind(),
        ErrorKind::Late
    );
    let commit = session.commit().await;
    assert_eq!(commit.expect_err("late").kind(), ErrorKind::Late);
    let again = Session::from_extensions(&extensions)
        .await
        .expect("the same");
    assert_eq!(
        again.login("ada").expect_err("late").kind(),
        ErrorKind::Late
    );
    assert_eq!(
        events.drain(),
        ["dropped unanswered", "late_write", "late_write"]
    );

    let (give, mut take) = mpsc::unbounded_channel();
    let untouched = move |extensions: axum::http::Extensions| async move {
        give.send(extensions).expect("the test listens");
    };
    let app = Router::new()
        .route("/", get(untouched))
        .layer(crate::support::layer());
    Visitor::default().get(&app, "/").await;
    let session = Session::from_extensions(&take.recv().await.expect("extensions")).await;
    let late = session.expect("a session").insert("a", 1);
    assert_eq!(late.expect_err("late").kind(), ErrorKind::Late);
}

/// A subscriber that reads the session's owner, as loggers of the current user do.
#[tokio::test]
async fn subscriber_may_read_the_session() {
    struct Asks(Session);
    impl std::io::Write for Asks {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.owner();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (app, mut handles) = app_with_handles(&layer());
    Visitor::default().get(&app, "/look").await;
    let session = handles.recv().await.expect("a handle");
    let asked = session.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || Asks(asked.clone()));
    tracing::subscriber::with_default(subscriber.finish(), || {
        session.logout();
        session.insert("a", 1).expect_err("an event");
        session.clear();
        session.remove("a");
        session.login("ada").expect_err("an event as well");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn entry_is_taken_or_removed_only_once() {
    let session = testing::session(&layer());
    for round in 0..300 {
        session.insert("ticket", round).expect("small");
        session.insert("other", round).expect("small");
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let session = session.clone();
                tokio::spawn(async move {
                    let taken = session.take::<u32>("ticket").expect("a number");
                    (taken.is_some(), session.remove("other"))
                })
            })
            .collect();
        let mut seen = (0, 0);
        for task in tasks {
            let (taken, removed) = task.await.expect("no panic");
            seen = (seen.0 + u32::from(taken), seen.1 + u32::from(removed));
        }
        assert_eq!(seen, (1, 1));
    }
}

/// Extractors on several threads get the same session, and its event is emitted once.
#[tokio::test]
async fn concurrent_extractors_get_one_session() {
    const THREADS: usize = 8;
    for _ in 0..100 {
        let layer = layer();
        let race = |request: Request<()>| async move {
            let barrier = Barrier::new(THREADS);
            let open = |n: usize| {
                let events = Events::capture();
                barrier.wait();
                let session = Session::from_extensions(request.extensions()).now_or_never();
                let session = session.expect("at once").expect("anonymous");
                session.insert(&format!("k{n}"), n).expect("small");
                events.drain()
            };
            let open = &open;
            let emitted: Vec<String> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || open(n))).collect();
                threads
                    .into_iter()
                    .flat_map(|thread| thread.join().expect("no panic"))
                    .collect()
            });
            Ok::<_, Infallible>(Response::new(emitted))
        };
        let forged = testing::cookie(&layer, &testing::session(&layer)).expect("a cookie");
        let mut forged = forged.as_bytes().to_vec();
        let tag = forged.len() - 10;
        forged[tag] = if forged[tag] == b'A' { b'B' } else { b'A' };
        let request = Request::get("/")
            .header("cookie", forged)
            .body(())
            .expect("a request");
        let response = layer
            .layer(service_fn(race))
            .oneshot(request)
            .await
            .expect("infallible");
        assert_eq!(response.body(), &["rejected forged"]);
        let session = testing::received(&layer, response.headers()).expect("a session");
        assert_eq!(session.len(), THREADS);
    }
}

/// A logger of the current user may keep the request's extensions and extract the session.
#[test]
fn subscriber_may_extract_the_session_during_its_opening() {
    struct Asks(Extensions);
    impl std::io::Write for Asks {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let session = Session::from_extensions(&self.0).now_or_never();
            session.expect("at once").expect("anonymous").owner();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let opens = |request: Request<()>| async move {
        let extensions = request.extensions().clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
        let subscriber = subscriber
            .with_writer(move || Asks(extensions.clone()))
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let session = Session::from_extensions(request.extensions()).now_or_never();
            session
                .expect("at once")
                .expect("anonymous")
                .insert("a", 1)
                .expect("small");
        });
        Ok::<_, Infallible>(Response::new(()))
    };
    let request = Request::get("/")
        .header("cookie", "__Host-Http-session=garbage")
        .body(());
    let service = layer().layer(service_fn(opens));
    let response = service.oneshot(request.expect("a request")).now_or_never();
    assert!(
        response
            .expect("at once")
            .expect("infallible")
            .headers()
            .contains_key("set-cookie")
    );
}

/// Requests with the same cookie overlap at random. After the session was ended, only `login` and
/// `logout` set a cookie. At most one renewal succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn random_parallel_requests_never_revive_an_ended_session() {
    const ACTS: [&str; 8] = [
        "look",
        "b",
        "c",
        "clear",
        "renew",
        "login",
        "login-eve",
        "logout",
    ];
    let (builder, clock) = on_a_clock();
    let layer = builder.build().expect("valid settings");
    let mut random = StdRng::seed_from_u64(1);
    let mut seen = BTreeMap::new();
    for _ in 0..500 {
        let ended = Arc::new(AtomicBool::new(false));
        let after = ended.clone();
        let handler =
            move |session: Session, Path((what, before, between)): Path<(String, u8, u8)>| {
                let ended = after.clone();
                async move {
                    for _ in 0..before {
                        tokio::task::yield_now().await;
                    }
                    session.len();
                    for _ in 0..between {
                        tokio::task::yield_now().await;
                    }
                    act(&session, &what).await.expect("the action works");
                    ended.load(Ordering::SeqCst).to_string()
                }
            };
        let app = Router::new()
            .route("/{what}/{before}/{between}", get(handler))
            .layer(layer.clone());
        let session = testing::session(&layer);
        session.login("ada").expect("short");
        session.insert("a", 1).expect("small");
        let cookie = testing::cookie(&layer, &session).expect("a cookie");
        clock.advance(Duration::from_secs(600));
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                // requests that end the session are rarer, so that others can come before and after
                let what = ACTS[random
                    .random_range(0..ACTS.len())
                    .min(random.random_range(0..ACTS.len()))];
                let [before, between] = [0, 1].map(|_| random.random_range(0..6_u8));
                let (app, cookie, ended) = (app.clone(), cookie.clone(), ended.clone());
                tokio::spawn(async move {
                    let path = format!("/{what}/{before}/{between}");
                    let answer = get_with(&app, &path, &[cookie.as_bytes()]).await;
                    let ends = matches!(what, "renew" | "login" | "login-eve" | "logout");
                    if ends && !answer.sets_nothing() {
                        ended.store(true, Ordering::SeqCst);
                    }
                    (what, answer)
                })
            })
            .collect();
        let mut renewals = 0;
        for task in tasks {
            let (what, answer) = task.await.expect("no panic");
            let (late, sets) = (answer.body == "true", !answer.sets_nothing());
            match what {
                "logout" => assert!(answer.removes()),
                "login" | "login-eve" => assert!(sets && !answer.removes()),
                _ => assert!(!(late && sets), "{what} after the end of its session"),
            }
            renewals += u32::from(what == "renew" && sets);
            *seen.entry((what, late, sets)).or_insert(0) += 1;
        }
        assert!(renewals <= 1);
    }
    // each of these requests was seen both before and after the end
    for what in ["look", "b", "renew"] {
        for (late, sets) in [(false, true), (true, false)] {
            assert!(
                seen.contains_key(&(what, late, sets)),
                "{what} {late} {sets}: {seen:?}"
            );
        }
    }
}

/// Tasks keep writing while the response is made. Every accepted write is sent; later writes are
/// refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn response_contains_exactly_the_accepted_writes() {
    const TASKS: usize = 8;
    let layer = layer();
    for round in 0..200 {
        let (give, mut take) = mpsc::unbounded_channel();
        let handler = move |session: Session| async move {
            for n in 0..TASKS {
                let session = session.clone();
                give.send(tokio::spawn(async move {
                    let key = format!("k{n}");
                    let mut accepted = 0_u64;
                    loop {
                        match session.update(&key, |n: Option<u64>| n.unwrap_or(0) + 1) {
                            Ok(n) => accepted = n,
                            Err(error) => return (key, accepted, error.kind()),
                        }
                        tokio::task::yield_now().await;
                    }
                }))
                .expect("the test listens");
            }
            for _ in 0..round % 20 {
                tokio::task::yield_now().await;
            }
        };
        let app = Router::new().route("/", get(handler)).layer(layer.clone());
        let answer = get_with(&app, "/", &[]).await;
        drop(app);
        let sent = testing::received(&layer, &answer.headers);
        while let Some(task) = take.recv().await {
            let (key, accepted, kind) = task.await.expect("no panic");
            assert_eq!(kind, ErrorKind::Late);
            let sent = sent
                .as_ref()
                .and_then(|session| session.get::<u64>(&key).expect("a number"));
            assert_eq!(sent.unwrap_or(0), accepted, "{key}");
        }
    }
}

/// A stateless session cannot revoke copies: they work until they expire. The README says so.
#[tokio::test]
async fn copied_cookie_stays_valid_after_logout() {
    let stage = Stage::new();
    let mut visitor = stage.visitor("/login").await;
    let mut copy = visitor.clone();
    assert!(visitor.get(&stage.app, "/logout").await.removes());
    assert_eq!(stage.sees(&copy).await, "None []", "this process knows");
    let builder = SessionLayer::builder(keys()).clock(stage.clock.clone());
    let other = testing::as_another_process(builder).build();
    let look = async |session: Session| act(&session, "look").await;
    let other = Router::new()
        .route("/", get(look))
        .layer(other.expect("valid settings"));
    assert_eq!(copy.get(&other, "/").await.body, r#"Some("ada") ["a"]"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_updates_on_one_handle_are_all_kept() {
    let stage = Stage::new();
    let session = testing::session(&stage.layer);
    let tasks: Vec<_> = (0..16)
        .map(|n: u64| {
            let session = session.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    session
                        .update("n", |n: Option<u64>| n.unwrap_or(0) + 1)
                        .expect("small");
                    session.insert(&format!("k{n}"), n).expect("small");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    assert_eq!(session.get::<u64>("n").expect("a number"), Some(3200));
    assert_eq!(session.len(), 17);
}

/// After a panic in user code, even inside `update`, the handle still works.
#[test]
fn panic_during_a_change_changes_nothing() {
    struct Panics;
    impl serde::Serialize for Panics {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("on purpose")
        }
    }
    let session = testing::session(&layer());
    session.insert("n", 1).expect("small");
    let changes: [&dyn Fn() -> Result<(), Error>; 3] = [
        &|| {
            session
                .update("n", |_: Option<u8>| panic!("on purpose"))
                .map(|_| ())
        },
        &|| session.insert("n", Panics),
        &|| session.write(&std::collections::BTreeMap::from([("n", Panics)])),
    ];
    for change in changes {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(change));
        assert!(caught.is_err(), "it panics");
    }
    assert_eq!(
        session
            .update("n", |n: Option<u8>| n.unwrap_or(0) + 1)
            .expect("small"),
        2
    );
}
