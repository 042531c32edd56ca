//! Moves from cookies to a store and back: every mode reads the cookies of the others.

use std::time::Duration;

use axum::{Router, routing::get};
use http::StatusCode;
use tower_sealed_session::{
    ConfigError, Error, Session, SessionLayer, SessionLayerBuilder, store::MemoryStore,
};

use super::{
    app,
    backend::{Backend, Counts, Wrapped, built, on_every_store},
};
use crate::support::{Events, NAME, Visitor, keys, on_a_clock};

on_every_store! {
    rolling_move_to_a_store_and_back_keeps_sessions;
    large_session_overflows_to_the_store_and_returns;
    large_session_stays_in_the_store_that_is_read_from_until_it_fits;
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
        // a session gets back into its cookie with its next id
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
                if turn == 3 && (n == 1 || step == 5) {
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
    visitor.get(&instances[0], "/renew").await;
    assert!(is_ticket(&visitor));
    // it gets back with its next id, so that no request in flight writes to its row
    visitor.get(&instances[0], "/big/100").await;
    assert!(is_ticket(&visitor));
    visitor.get(&instances[0], "/renew").await;
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

/// On the way back to cookies, a session that fits none is not lost.
async fn large_session_stays_in_the_store_that_is_read_from_until_it_fits(backend: Backend) {
    let in_store = app(layer().store(backend.open().await));
    let reads = app(layer().read_from(backend.open().await));
    let mut visitor = Visitor::default();
    for path in ["/login/ada", "/big/20000"] {
        assert_eq!(visitor.get(&in_store, path).await.status, StatusCode::OK);
    }
    for path in ["/set/a/1", "/renew", "/remember", "/login/ada", "/commit"] {
        let old = visitor.clone();
        assert_eq!(
            visitor.get(&reads, path).await.status,
            StatusCode::OK,
            "{path}"
        );
        assert!(is_ticket(&visitor), "{path}");
        assert_eq!(visitor.get(&reads, "/get/a").await.body, "1", "{path}");
        assert_eq!(visitor.get(&in_store, "/who").await.body, "ada", "{path}");
        if matches!(path, "/renew" | "/login/ada") {
            assert_eq!(old.clone().get(&reads, "/who").await.body, "", "{path}");
        }
    }
    let ticket = visitor.clone();
    assert_eq!(visitor.get(&reads, "/big/10").await.status, StatusCode::OK);
    assert!(is_ticket(&visitor), "it leaves only with another id");
    assert_eq!(visitor.get(&reads, "/renew").await.status, StatusCode::OK);
    assert!(!is_ticket(&visitor));
    assert_eq!(visitor.get(&app(layer()), "/who").await.body, "ada");
    assert_eq!(visitor.get(&app(layer()), "/get/a").await.body, "1");
    assert_eq!(ticket.clone().get(&in_store, "/who").await.body, "");
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

type OnBuilder = fn(SessionLayerBuilder) -> SessionLayerBuilder;
type OnLayer = fn(SessionLayer) -> SessionLayer;

/// The settings that add a store: the name, on the builder and on the layer.
const STORES: [(&str, OnBuilder, OnLayer); 3] = [
    (
        "store",
        |b| b.store(MemoryStore::new()),
        |l| l.store(MemoryStore::new()),
    ),
    (
        "overflow",
        |b| b.overflow(MemoryStore::new()),
        |l| l.overflow(MemoryStore::new()),
    ),
    (
        "read_from",
        |b| b.read_from(MemoryStore::new()),
        |l| l.read_from(MemoryStore::new()),
    ),
];

fn panic_of(act: impl FnOnce() -> SessionLayer + Send + 'static) -> String {
    let panic = std::thread::spawn(|| drop(act())).join();
    let text = panic.expect_err("it panics").downcast::<String>();
    *text.expect("a text")
}

/// A layer that forgot its first store would lose sessions without a word. Only `store` and
/// `read_from` go together.
#[test]
fn second_store_is_an_error_of_the_builder_and_a_panic_of_the_layer_with_the_same_text() {
    for (first, first_on_builder, first_on_layer) in STORES {
        for (second, second_on_builder, second_on_layer) in STORES {
            if ["store", "read_from"].contains(&first)
                && ["store", "read_from"].contains(&second)
                && first != second
            {
                built(second_on_builder(first_on_builder(SessionLayer::builder(
                    keys(),
                ))));
                drop(second_on_layer(first_on_layer(layer())));
                continue;
            }
            let both = second_on_builder(first_on_builder(SessionLayer::builder(keys())));
            let error = both.build().expect_err("two stores");
            let text = error.to_string();
            match error {
                ConfigError::Invalid { setting, .. } => {
                    assert!(first == second && setting == first, "{text}");
                }
                ConfigError::Conflict { setting, other, .. } => {
                    assert_eq!([setting, other], [first, second]);
                }
                _ => unreachable!("there are two kinds"),
            }
            assert!(text.contains("a layer has one store"), "{text}");
            assert_eq!(
                panic_of(move || second_on_layer(first_on_layer(layer()))),
                text
            );
            let by_builder = move || built(first_on_builder(SessionLayer::builder(keys())));
            assert_eq!(panic_of(move || second_on_layer(by_builder())), text);
        }
    }
}

/// A third store, or an old store without a new one for all sessions.
#[test]
fn impossible_moves_are_errors_that_say_what_to_do() {
    let [store, overflow, read_from] = STORES;
    for (settings, wanted) in [
        (
            [store, read_from, read_from],
            "one store to read from; move out of one",
        ),
        (
            [read_from, store, read_from],
            "one store to read from; move out of one",
        ),
        ([read_from, store, store], "set `read_from` to the old one"),
        ([store, store, read_from], "set `read_from` to the old one"),
        ([store, read_from, overflow], "a layer has one store"),
        (
            [overflow, read_from, store],
            "`store` with `read_from` until",
        ),
        (
            [read_from, overflow, store],
            "`store` with `read_from` until",
        ),
    ] {
        let builder = settings.iter().fold(
            SessionLayer::builder(keys()),
            |builder, (_, on_builder, _)| on_builder(builder),
        );
        let text = builder.build().expect_err("refused").to_string();
        assert!(text.contains(wanted), "{text}");
        let on_layer = move || {
            let settings = settings.iter();
            settings.fold(layer(), |layer, (_, _, on_layer)| on_layer(layer))
        };
        assert_eq!(panic_of(on_layer), text);
    }
}

/// The size limit, the journal and the time-out are the same in each order.
#[tokio::test]
async fn settings_of_a_move_are_the_same_in_each_order() {
    let second = Duration::from_secs(1);
    type Sets = fn(SessionLayer, MemoryStore, MemoryStore, Duration) -> SessionLayer;
    let orders: [Sets; 4] = [
        |layer, old, new, time| layer.read_from(old).store(new).store_timeout(time),
        |layer, old, new, time| layer.store(new).read_from(old).store_timeout(time),
        |layer, old, new, time| layer.read_from(old).store_timeout(time).store(new),
        |layer, old, new, time| layer.store(new).store_timeout(time).read_from(old),
    ];
    for order in orders {
        let (old, new) = (MemoryStore::new(), MemoryStore::new());
        let before = app(layer().store(old.clone()));
        let moving = app(order(layer(), old, new.clone(), second));
        let mut visitor = Visitor::default();
        visitor.get(&before, "/login/ada").await;
        assert_eq!(
            visitor.get(&moving, "/big/60000").await.status,
            StatusCode::OK
        );
        let (mut a, mut b) = (visitor.clone(), visitor.clone());
        tokio::join!(a.get(&moving, "/count"), b.get(&moving, "/set/a/1"));
        assert_eq!(
            visitor.get(&app(layer().store(new)), "/len").await.body,
            "3"
        );
    }
}

#[test]
fn store_timeout_needs_a_store_and_a_sensible_time() {
    let [ms, second] = [Duration::from_millis(1), Duration::from_secs(1)];
    let error = |builder: SessionLayerBuilder| {
        let error = builder.build().expect_err("refused");
        assert!(
            matches!(
                error,
                ConfigError::Invalid {
                    setting: "store_timeout",
                    ..
                }
            ),
            "{error}"
        );
        error.to_string()
    };
    let builder = || SessionLayer::builder(keys());
    let missing = error(builder().store_timeout(second));
    assert!(missing.contains("there is no store"), "{missing}");
    assert_eq!(panic_of(move || layer().store_timeout(second)), missing);
    for (_, on_builder, on_layer) in STORES {
        for refused in [Duration::ZERO, ms / 2, 61 * second, Duration::MAX] {
            let text = error(on_builder(builder()).store_timeout(refused));
            assert!(text.contains("one millisecond to one minute"), "{text}");
            let by_layer = move || on_layer(layer()).store_timeout(refused);
            assert_eq!(panic_of(by_layer), text);
        }
        for possible in [ms, 60 * second] {
            built(on_builder(builder().store_timeout(possible)));
            drop(on_layer(layer()).store_timeout(possible));
        }
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
    // the legacy app's sessions are in its cookie, so `dual_write` has no store
    for (name, on_builder, on_layer) in STORES {
        let builder = || {
            SessionLayer::builder(keys())
                .idle_timeout(Duration::from_secs(9999))
                .absolute_timeout(Duration::from_secs(9999))
        };
        let before = on_builder(builder().dual_write(old(), until));
        let after = on_builder(builder()).dual_write(old(), until);
        let mut texts = Vec::new();
        for builder in [before, after] {
            let error = builder.build().expect_err("a conflict");
            texts.push(error.to_string());
            assert!(
                matches!(error, ConfigError::Conflict { setting, other: "dual_write", .. } if setting == name),
                "{error}"
            );
        }
        let dual = built(builder().dual_write(old(), until));
        assert_eq!(
            [panic_of(move || on_layer(dual)), texts.remove(0)],
            [&*texts[0]; 2]
        );
    }
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
