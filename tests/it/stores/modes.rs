//! Moves from cookies to a store and back: every mode reads the cookies of the others.

use std::time::Duration;

use axum::{Router, routing::get};
use http::StatusCode;
use tower_sealed_session::{ConfigError, Error, Session, SessionLayer, store::MemoryStore};

use super::{
    app,
    backend::{Backend, Counts, Wrapped, built, on_every_store},
};
use crate::support::{Events, NAME, Visitor, keys, on_a_clock};

on_every_store! {
    rolling_move_to_a_store_and_back_keeps_sessions;
    large_session_overflows_to_the_store_and_returns;
    cookies_from_before_the_move_never_bypass_the_store;
    delete_owner_ends_all_sessions_of_an_owner;
}

fn layer() -> SessionLayer {
    built(SessionLayer::builder(keys()))
}

/// Whether the cookie is a ticket. Cookies that hold a session are larger in these tests.
fn is_ticket(visitor: &Visitor) -> bool {
    visitor.jar[NAME].len() < 150
}

const FILL: &str =
    "/set/fill/0123456789012345678901234567890123456789012345678901234567890123456789";

async fn rolling_move_to_a_store_and_back_keeps_sessions(backend: Backend) {
    let cookie = || app(layer());
    let stores = [
        backend.open().await,
        backend.open().await,
        backend.open().await,
    ];
    let [reads, overflows, in_store] = [
        app(layer().read_from(stores[0].clone())),
        app(layer().overflow(stores[1].clone())),
        app(layer().store(stores[2].clone())),
    ];
    // in each step, instances of two kinds serve the same visitors
    let steps: [[&Router; 2]; 7] = [
        [&cookie(), &reads],
        [&reads, &in_store],
        [&in_store, &in_store],
        [&in_store, &overflows],
        [&in_store, &reads],
        // until there are no more tickets
        [&reads, &reads],
        [&reads, &cookie()],
    ];
    let mut visitors = vec![Visitor::default(); 3];
    let mut counts = [0; 3];
    for (step, instances) in steps.iter().enumerate() {
        for turn in 0..8 {
            for (n, visitor) in visitors.iter_mut().enumerate() {
                let instance = instances[(turn + n) % 2];
                if step == 0 && turn == 0 {
                    visitor.get(instance, &format!("/login/user-{n}")).await;
                    visitor.get(instance, FILL).await;
                }
                if turn == 3 && n == 1 {
                    visitor.get(instance, "/renew").await;
                }
                counts[n] += 1;
                let answer = visitor.get(instance, "/count").await;
                assert_eq!(
                    answer.body,
                    counts[n].to_string(),
                    "step {step}, turn {turn}, visitor {n}"
                );
                assert!(!answer.removes());
                assert_eq!(
                    visitor.get(instance, "/who").await.body,
                    format!("user-{n}")
                );
                assert_eq!(visitor.get(instances[turn % 2], "/len").await.body, "2");
            }
        }
        if step == 2 {
            assert!(
                visitors.iter().all(is_ticket),
                "all sessions are in the store"
            );
        }
    }
    assert!(
        !visitors.iter().any(is_ticket),
        "all sessions are in cookies"
    );
}

async fn large_session_overflows_to_the_store_and_returns(backend: Backend) {
    let events = Events::capture();
    let instances = [
        app(layer().overflow(backend.open().await)),
        app(layer().overflow(backend.open().await)),
    ];
    let mut visitor = Visitor::default();
    visitor.get(&instances[0], "/login/ada").await;
    visitor.get(&instances[0], FILL).await;
    assert!(!is_ticket(&visitor));
    events.drain();
    assert_eq!(
        visitor.get(&instances[1], "/big/20000").await.status,
        StatusCode::OK
    );
    assert!(is_ticket(&visitor));
    assert!(events.drain().iter().any(|event| event == "overflowed"));
    assert_eq!(visitor.get(&instances[0], "/who").await.body, "ada");
    assert_eq!(visitor.get(&instances[0], "/len").await.body, "2");
    // a session almost as large as the cookie limit stays in the store, since it may grow again
    visitor.get(&instances[0], "/big/2500").await;
    assert!(is_ticket(&visitor));
    visitor.get(&instances[0], "/big/100").await;
    assert!(!is_ticket(&visitor));
    assert_eq!(visitor.get(&instances[1], "/len").await.body, "2");

    let answer = visitor.get(&instances[1], "/big/66000").await;
    assert_eq!(
        answer.status,
        StatusCode::INTERNAL_SERVER_ERROR,
        "the limit of a store is 64 KiB"
    );
    assert_eq!(visitor.get(&instances[1], "/len").await.body, "2");
    visitor.get(&instances[1], "/big/60000").await;
    let stored = visitor.clone();
    assert!(visitor.get(&instances[0], "/logout").await.removes());
    assert_eq!(stored.clone().get(&instances[1], "/who").await.body, "");
}

/// An old cookie may hold the state, or be a ticket of an earlier login. A copy of it gives no more
/// access than the store allows.
async fn cookies_from_before_the_move_never_bypass_the_store(backend: Backend) {
    let cookie = app(layer());
    let instances = [
        app(layer().store(backend.open().await)),
        app(layer().store(backend.open().await)),
    ];
    let start = async || {
        let mut visitor = Visitor::default();
        visitor.get(&cookie, "/login/ada").await;
        visitor.get(&cookie, "/set/a/1").await;
        let inline = visitor.clone();
        // a read moves the session to the store
        assert_eq!(visitor.get(&instances[0], "/get/a").await.body, "1");
        assert_ne!(visitor.jar, inline.jar);
        (visitor, inline)
    };
    let (mut visitor, inline) = start().await;
    visitor.get(&instances[0], "/set/a/2").await;
    assert_eq!(
        inline.clone().get(&instances[1], "/get/a").await.body,
        "2",
        "the store wins"
    );
    assert_eq!(inline.clone().get(&instances[1], "/count").await.body, "1");
    assert_eq!(
        visitor.get(&instances[0], "/count").await.body,
        "2",
        "both cookies belong to the same session"
    );

    for end in ["/logout", "/renew", "/login/ada", "/login/bob"] {
        let (mut visitor, mut inline) = start().await;
        let mut ticket = visitor.clone();
        visitor.get(&instances[1], end).await;
        for old in [&mut inline, &mut ticket] {
            let answer = old.get(&instances[0], "/get/a").await;
            assert!(
                answer.status == StatusCode::NOT_FOUND && answer.sets_nothing(),
                "after {end}"
            );
            assert!(
                old.get(&instances[0], "/set/a/9").await.sets_nothing(),
                "after {end}"
            );
        }
        let goes_on = end == "/renew" || end == "/login/ada";
        let answer = visitor.get(&instances[0], "/get/a").await;
        assert_eq!(answer.status == StatusCode::OK, goes_on, "after {end}");
    }

    // a logout with the legacy cookie still ends the whole session
    let (mut visitor, mut inline) = start().await;
    let ticket = visitor.clone();
    visitor.get(&instances[0], "/renew").await;
    assert!(inline.get(&instances[1], "/logout").await.removes());
    for mut copy in [visitor, ticket] {
        assert_eq!(copy.get(&instances[0], "/who").await.body, "");
    }

    // a ticket from before `remember` uses the lifetime in the store
    let (mut visitor, _) = start().await;
    let mut before = visitor.clone();
    let answer = visitor.get(&instances[0], "/remember").await;
    let max_age = answer.cookies()[0]
        .max_age()
        .expect("a Max-Age")
        .whole_days();
    assert_eq!(max_age, 20);
    assert_eq!(before.get(&instances[1], "/get/a").await.body, "1");
    visitor.get(&instances[0], "/logout").await;
    assert_eq!(before.get(&instances[1], "/who").await.body, "");
}

async fn delete_owner_ends_all_sessions_of_an_owner(backend: Backend) {
    let sessions = layer().store(backend.open().await);
    let instances = [
        app(sessions.clone()),
        app(layer().store(backend.open().await)),
    ];
    let cookie = app(layer());
    let mut adas = Vec::new();
    for n in 0..4 {
        let mut visitor = Visitor::default();
        match n {
            // this session moved from a cookie to the store
            0 => {
                visitor.get(&cookie, "/login/ada").await;
                adas.push(visitor.clone());
                visitor.get(&instances[0], "/who").await;
            }
            n => drop(visitor.get(&instances[n % 2], "/login/ada").await),
        }
        adas.push(visitor);
    }
    let mut bob = Visitor::default();
    bob.get(&instances[0], "/login/bob").await;
    assert_eq!(sessions.delete_owner("ada").await.expect("a store"), 4);
    for ada in &mut adas {
        assert_eq!(
            ada.get(&instances[1], "/who").await.body,
            "",
            "the legacy cookie is ended too"
        );
    }
    assert_eq!(bob.get(&instances[1], "/who").await.body, "bob");
    assert_eq!(sessions.delete_owner("ada").await.expect("a store"), 0);
    assert_eq!(sessions.delete_owner("nobody").await.expect("a store"), 0);
}

#[tokio::test]
async fn ticket_without_a_store_answers_503_and_keeps_the_cookie() {
    let mut visitor = Visitor::default();
    visitor
        .get(&app(layer().store(MemoryStore::new())), "/login/ada")
        .await;
    let answer = visitor.get(&app(layer()), "/who").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.sets_nothing());
    assert!(
        layer().delete_owner("ada").await.is_err(),
        "there is no store"
    );
}

#[tokio::test]
async fn overflow_calls_the_store_only_for_tickets() {
    let counts = Counts::default();
    let app = app(layer().overflow(Wrapped(MemoryStore::new(), counts.clone())));
    let mut visitor = Visitor::default();
    for path in [
        "/login/ada",
        "/set/a/1",
        "/get/a",
        "/count",
        "/renew",
        "/remember",
    ] {
        visitor.get(&app, path).await;
        assert_eq!(counts.take(), [0; 6], "{path}");
    }
    // a logout is recorded, so that the session cannot move to the store later
    visitor.get(&app, "/logout").await;
    assert_eq!(counts.take(), [0, 1, 0, 0, 0, 0]);
}

#[tokio::test]
async fn session_logged_out_in_its_cookie_does_not_move_to_the_store_later() {
    let store = MemoryStore::new();
    for before in [
        layer().overflow(store.clone()),
        layer().read_from(store.clone()),
    ] {
        let before = app(before);
        let mut visitor = Visitor::default();
        visitor.get(&before, "/login/ada").await;
        let mut copy = visitor.clone();
        visitor.get(&before, "/logout").await;
        assert_eq!(
            copy.get(&app(layer().store(store.clone())), "/who")
                .await
                .body,
            ""
        );
    }
}

#[tokio::test]
async fn shorter_timeouts_apply_to_stored_sessions() {
    let store = MemoryStore::new();
    let (builder, clock) = on_a_clock();
    let before = app(built(builder).store(store.clone()));
    let tighter = |idle, absolute| {
        let builder = SessionLayer::builder(keys()).clock(clock.clone());
        let builder = builder.idle_timeout(Duration::from_secs(idle));
        app(built(builder.absolute_timeout(Duration::from_secs(absolute))).store(store.clone()))
    };
    let mut visitor = Visitor::default();
    visitor.get(&before, "/login/ada").await;
    clock.advance(Duration::from_secs(600));
    assert_eq!(
        visitor.clone().get(&tighter(60, 500), "/who").await.body,
        ""
    );
    // after one use, the new idle timeout applies
    assert_eq!(visitor.get(&tighter(60, 5000), "/who").await.body, "ada");
    clock.advance(Duration::from_secs(60));
    assert_eq!(visitor.get(&before, "/who").await.body, "");
}

#[tokio::test]
async fn commit_saves_immediately_and_keeps_later_changes() {
    let store = MemoryStore::new();
    let sessions = layer().store(store.clone());
    let app = app(sessions.clone());
    let mut visitor = Visitor::default();
    let answer = visitor.get(&app, "/commit").await;
    assert!(
        !answer.sets_nothing(),
        "the ticket of the saved session is sent"
    );
    assert_eq!(visitor.get(&app, "/get/committed").await.body, "1");
    let mut copy = visitor.clone();
    assert!(visitor.get(&app, "/logout-and-commit").await.removes());
    assert_eq!(
        copy.get(&app, "/get/committed").await.status,
        StatusCode::NOT_FOUND
    );
}

#[test]
#[should_panic(expected = "`store_timeout` comes after")]
fn store_timeout_requires_a_store() {
    let _ = layer().store_timeout(Duration::from_secs(1));
}

/// The builder takes the same settings as the layer, in any order.
#[tokio::test]
async fn store_set_by_the_builder_works_like_one_set_by_the_layer() {
    let store = MemoryStore::new();
    let builder = SessionLayer::builder(keys())
        .store_timeout(Duration::from_secs(1))
        .store(store.clone());
    let by_builder = app(built(builder));
    let mut visitor = Visitor::default();
    visitor.get(&by_builder, "/login/ada").await;
    assert!(is_ticket(&visitor));
    let by_layer = app(layer().store(store));
    assert_eq!(visitor.get(&by_layer, "/who").await.body, "ada");
}

/// Layers that were made from one another each warn when they are ignored.
#[tokio::test]
async fn layer_with_a_store_warns_by_itself_when_it_is_nested() {
    let cookie = layer();
    let stored = cookie.clone().store(MemoryStore::new());
    let events = Events::capture();
    for (inner, outer) in [(cookie.clone(), stored.clone()), (stored, cookie)] {
        let routes = Router::new().route("/", get(async |_: Session| ()));
        let app = routes.layer(inner).layer(outer);
        Visitor::default().get(&app, "/").await;
        assert!(events.drain().contains(&"nested".to_owned()));
    }
}

#[test]
fn builder_rejects_store_settings_that_cannot_be_combined() {
    let store = MemoryStore::new;
    let builder = || SessionLayer::builder(keys());
    let conflicts = [
        (
            builder().store(store()).overflow(store()),
            ["store", "overflow"],
        ),
        (
            builder().overflow(store()).read_from(store()),
            ["overflow", "read_from"],
        ),
        (
            builder().read_from(store()).store(store()),
            ["read_from", "store"],
        ),
    ];
    for (builder, names) in conflicts {
        let error = builder.build().expect_err("two stores");
        assert!(
            matches!(error, ConfigError::Conflict { setting, other, .. } if [setting, other] == names),
            "{error}"
        );
    }
    let invalid = [
        (builder().store(store()).store(store()), "store"),
        (
            builder().store_timeout(Duration::from_secs(1)),
            "store_timeout",
        ),
    ];
    for (builder, name) in invalid {
        let error = builder.build().expect_err(name);
        assert!(
            matches!(error, ConfigError::Invalid { setting, .. } if setting == name),
            "{error}"
        );
    }
}

/// Several tasks of one request commit at the same time. Each change is applied once.
#[tokio::test]
async fn parallel_commits_apply_each_change_once() {
    async fn count(session: Session) -> Result<(), Error> {
        let commit = async || {
            session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?;
            session.commit().await
        };
        let (a, b, c) = tokio::join!(commit(), commit(), commit());
        a.and(b).and(c)?;
        // this commit may run after the response
        let late = session.clone();
        tokio::spawn(async move { late.commit().await });
        session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?;
        tokio::task::yield_now().await;
        Ok(())
    }
    async fn read(session: Session) -> Result<String, Error> {
        Ok(session.get::<u64>("n")?.unwrap_or(0).to_string())
    }
    for backend in [Backend::memory().await, Backend::sqlite().await] {
        let app = Router::new()
            .route("/", get(read))
            .route("/count", get(count))
            .layer(layer().store(backend.open().await));
        let mut visitor = Visitor::default();
        for times in 1..=10 {
            assert_eq!(visitor.get(&app, "/count").await.status, StatusCode::OK);
            assert_eq!(visitor.get(&app, "/").await.body, (4 * times).to_string());
        }
    }
}

#[cfg(feature = "starlette")]
#[tokio::test]
async fn sessions_of_an_old_system_migrate_directly_into_a_store() {
    use tower_sealed_session::{
        OffsetDateTime,
        compat::{LegacyCookie, Starlette},
    };
    let old = || {
        let format = Starlette::new(["an old secret of thirty-two characters"]).expect("a secret");
        LegacyCookie::new(format, Duration::from_secs(9999)).owner(|entries| entries.get("user_id"))
    };
    let until = OffsetDateTime::now_utc() + Duration::from_secs(9999);
    let shared = app_of_old(old());
    let mut visitor = Visitor::default();
    visitor.get(&shared, "/set/user_id/ada").await;
    let before = visitor.clone();
    let builder = SessionLayer::builder(keys())
        .idle_timeout(Duration::from_secs(9999))
        .absolute_timeout(Duration::from_secs(9999));
    let store = MemoryStore::new();
    let migrating = app(built(builder.migrate(old(), until)).store(store.clone()));
    assert_eq!(visitor.get(&migrating, "/who").await.body, "ada");
    assert_eq!(
        visitor.jar.keys().collect::<Vec<_>>(),
        [NAME],
        "the legacy cookie is removed"
    );
    assert!(is_ticket(&visitor));
    visitor.get(&migrating, "/logout").await;
    for mut copy in [before, visitor] {
        assert_eq!(
            copy.get(&migrating, "/who").await.body,
            "",
            "a logout also ends copies of the legacy cookie"
        );
    }
    let dual = SessionLayer::builder(keys())
        .idle_timeout(Duration::from_secs(9999))
        .absolute_timeout(Duration::from_secs(9999));
    let dual = dual.dual_write(old(), until);
    let builder = SessionLayer::builder(keys())
        .idle_timeout(Duration::from_secs(9999))
        .absolute_timeout(Duration::from_secs(9999))
        .dual_write(old(), until);
    let error = builder
        .store(store.clone())
        .build()
        .expect_err("a conflict");
    assert!(
        matches!(
            error,
            ConfigError::Conflict {
                setting: "store",
                other: "dual_write",
                ..
            }
        ),
        "{error}"
    );
    let dual = built(dual);
    let panic = std::thread::spawn(move || drop(dual.store(store))).join();
    assert!(panic.is_err(), "dual_write cannot be combined with a store");
}

#[cfg(feature = "starlette")]
fn app_of_old(old: tower_sealed_session::compat::LegacyCookie) -> Router {
    async fn set(
        session: Session,
        axum::extract::Path((key, value)): axum::extract::Path<(String, String)>,
    ) -> Result<(), Error> {
        session.insert(&key, value)
    }
    let layer = tower_sealed_session::SignedSessionLayer::new(old).expect("valid settings");
    Router::new()
        .route("/set/{key}/{value}", get(set))
        .layer(layer)
}

/// A socket was opened with a cookie that held the session. Then the session moved to the store.
#[tokio::test]
async fn long_lived_handle_follows_its_session_into_the_store() {
    let held = std::sync::Arc::new(std::sync::Mutex::new(None::<Session>));
    let keep = held.clone();
    let socket = async move |session: Session| *keep.lock().expect("no panic") = Some(session);
    let sessions = layer().store(MemoryStore::new());
    let routes = app(sessions.clone());
    let sockets = Router::new().route("/socket", get(socket)).layer(sessions);
    let mut visitor = Visitor::default();
    visitor.get(&app(layer()), "/login/ada").await;
    let before = visitor.clone();
    visitor.get(&sockets, "/socket").await;
    let first = held.lock().expect("no panic").take().expect("a session");
    assert!(first.still_valid().await.expect("a store"));
    // a second handle, whose request did not move the session because another one already had
    before.clone().get(&sockets, "/socket").await;
    let second = held.lock().expect("no panic").take().expect("a session");
    visitor.get(&routes, "/count").await;
    assert!(second.still_valid().await.expect("a store"));
    visitor.get(&routes, "/logout").await;
    for session in [first, second] {
        assert!(!session.still_valid().await.expect("a store"));
    }
}
