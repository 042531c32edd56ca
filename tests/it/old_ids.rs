//! Sessions that were imported with their ids: `adopt_ids_from_cookie`.

use std::time::Duration;

use axum::{Router, extract::Path, routing::get};
use tower_sealed_session::{
    Error, KeyRing, Session, SessionLayer, SessionLayerBuilder,
    store::{MemoryStore, Operate as _, Row, Store as _},
    testing::TestClock,
    tools::{self, Contents, Import, ImportFound, Relocated},
};

use crate::support::{Events, NAME, OTHER_SECRET, Visitor, get_with, keys, on_a_clock, secret};

const DAY: Duration = Duration::from_secs(24 * 3600);
const WINDOW: Duration = Duration::from_secs(10);

/// A builder with these settings, whose clock is at the time of the import.
fn settings() -> (SessionLayerBuilder, TestClock) {
    let (builder, clock) = on_a_clock();
    (adopting(builder, &clock), clock)
}

fn adopting(builder: SessionLayerBuilder, clock: &TestClock) -> SessionLayerBuilder {
    use tower_sealed_session::Clock as _;
    let builder = builder.idle_timeout(7 * DAY).absolute_timeout(14 * DAY);
    builder.adopt_ids_from_cookie("session_id", clock.now() + 20 * DAY)
}

/// A layer with a store, and an app with it.
fn app() -> (Router, SessionLayer, MemoryStore, TestClock) {
    let (builder, clock) = settings();
    let store = MemoryStore::new();
    let layer = builder.store(store.clone()).build().expect("valid");
    (router(layer.clone()), layer, store, clock)
}

fn router(layer: SessionLayer) -> Router {
    async fn show(session: Session) -> Result<String, Error> {
        let owner = session.owner().unwrap_or_default();
        let theme = session.get::<String>("theme")?.unwrap_or_default();
        let mut own = session.keys();
        own.retain(|key| key != "theme");
        Ok(format!("{owner} {theme} {}", own.join(",")))
    }
    async fn recent(session: Session) -> String {
        session.logged_in_within(DAY).to_string()
    }
    Router::new()
        .route("/", get(show))
        .route("/recent", get(recent))
        .route("/unused", get(async || "unused"))
        .route(
            "/public",
            get(async |_: Session| ([("cache-control", "public")], "")),
        )
        .route(
            "/set/{key}",
            get(async |s: Session, Path(key): Path<String>| s.insert(&key, 1)),
        )
        .route(
            "/login/{owner}",
            get(async |s: Session, Path(owner): Path<String>| s.login(owner)),
        )
        .route("/logout", get(async |s: Session| s.logout()))
        .route("/renew", get(async |s: Session| s.renew()))
        .layer(layer)
}

fn import_of(id: &str, owner: &str) -> Import {
    let expires = time::OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("in range");
    let import = Import::new(owner, expires + 15 * DAY).expect("an owner");
    let mut import = import.old_id(id).expect("an id");
    import.json("theme", "\"dark\"").expect("JSON");
    import
}

async fn import(layer: &SessionLayer, id: &str, owner: &str) -> ImportFound {
    let import = import_of(id, owner);
    tools::import(layer, &import)
        .await
        .expect("the store answers")
}

/// A visitor of the old app.
fn with_id(id: &str) -> Visitor {
    let mut visitor = Visitor::default();
    visitor.jar.insert("session_id".into(), id.into());
    visitor
}

#[tokio::test]
async fn session_is_found_once_by_its_old_id_and_then_by_the_new_one() {
    let (app, layer, store, clock) = app();
    assert_eq!(import(&layer, "old-1", "ada").await, ImportFound::Nothing);
    let events = Events::capture();
    let mut visitor = with_id("old-1");
    assert!(visitor.get(&app, "/unused").await.sets_nothing());
    let answer = visitor.get(&app, "/").await;
    assert_eq!(answer.body, "ada dark ");
    assert_eq!(events.drain(), ["old_id_taken"]);
    let [ours, old] = &answer.cookies()[..] else {
        panic!("{answer:?}");
    };
    assert_eq!((ours.name(), old.name()), (NAME, "session_id"));
    assert_eq!(
        (old.value(), old.path(), old.secure()),
        ("", Some("/"), Some(true))
    );
    assert_eq!(visitor.jar.keys().collect::<Vec<_>>(), [NAME]);

    clock.advance(WINDOW);
    let answer = visitor.get(&app, "/").await;
    assert_eq!(answer.body, "ada dark ");
    assert!(answer.sets_nothing());
    // the old id opens nothing any more, and does not bring the session to an end
    let mut other = with_id("old-1");
    let answer = other.get(&app, "/").await;
    assert_eq!(answer.body, "  ");
    assert!(answer.sets_nothing());
    assert_eq!(events.drain(), ["rejected replaced"]);
    assert_eq!(visitor.get(&app, "/").await.body, "ada dark ");
    // one session, and what is left of the import, which says nothing
    let rows = store.scan(None).await.expect("a store").sessions;
    let mut contents: Vec<_> = rows
        .iter()
        .map(|(key, row)| format!("{:?}", tools::contents(&layer, *key, row)))
        .collect();
    contents.sort();
    assert_eq!(contents, ["Ended", "Session"]);
    // a second import does not bring it back
    assert_eq!(import(&layer, "old-1", "ada").await, ImportFound::Used);
    clock.advance(DAY);
    assert_eq!(with_id("old-1").get(&app, "/").await.body, "  ");
}

#[tokio::test]
async fn requests_of_one_page_find_the_same_session_and_lose_nothing() {
    let (app, layer, store, _) = app();
    for round in 0..20 {
        let id = format!("old-{round}");
        import(&layer, &id, "ada").await;
        let requests = (0..8).map(|n| {
            let (app, mut visitor) = (app.clone(), with_id(&id));
            tokio::spawn(async move {
                let path = if n % 2 == 0 {
                    format!("/set/k{n}")
                } else {
                    "/".to_owned()
                };
                let answer = visitor.get(&app, &path).await;
                assert_eq!(answer.status, 200);
                if n % 2 == 1 {
                    assert!(answer.body.starts_with("ada dark"), "{}", answer.body);
                }
                visitor
            })
        });
        for request in requests.collect::<Vec<_>>() {
            let mut visitor = request.await.expect("no panic");
            let body = visitor.get(&app, "/").await.body;
            let body: Vec<_> = body.split([' ', ',']).collect();
            assert_eq!(body[..2], ["ada", "dark"]);
            assert!(visitor.jar.contains_key(NAME));
        }
        let mut last = with_id(&id);
        assert_eq!(last.get(&app, "/").await.body, "ada dark k0,k2,k4,k6");
    }
    let live = store.scan(None).await.expect("a store").sessions;
    let is_session = |(key, row): &(_, _)| tools::contents(&layer, *key, row) == Contents::Session;
    assert_eq!(live.iter().filter(|row| is_session(row)).count(), 20);
}

#[tokio::test]
async fn login_continues_a_session_whose_ticket_was_lost() {
    let (app, layer, _, clock) = app();
    import(&layer, "old-1", "ada").await;
    // the response does not arrive
    with_id("old-1").get(&app, "/set/cart").await;
    clock.advance(WINDOW);
    let mut eve = with_id("old-1");
    assert_eq!(eve.get(&app, "/login/eve").await.status, 200);
    assert_eq!(eve.get(&app, "/").await.body, "eve  ");
    let mut ada = with_id("old-1");
    assert_eq!(ada.get(&app, "/login/ada").await.status, 200);
    assert_eq!(ada.get(&app, "/").await.body, "ada dark cart");
    assert!(!ada.jar.contains_key("session_id"));
}

#[tokio::test]
async fn login_logout_and_renewal_apply_to_an_imported_session() {
    let (app, layer, _, clock) = app();
    for (n, (act, then)) in [
        ("/login/ada", "ada dark "),
        ("/login/bob", "bob  "),
        ("/logout", "  "),
        ("/renew", "ada dark "),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("old-{n}");
        import(&layer, &id, "ada").await;
        let mut visitor = with_id(&id);
        assert_eq!(visitor.get(&app, act).await.status, 200);
        assert!(!visitor.jar.contains_key("session_id"), "{act}");
        assert_eq!(visitor.get(&app, "/").await.body, then, "{act}");
        // a request that was in flight neither sees the session nor overwrites what replaced it
        let mut late = with_id(&id);
        assert_eq!(late.get(&app, "/").await.body, "  ", "{act}");
        let answer = late.get(&app, "/set/k").await;
        let status = if act == "/logout" { 200 } else { 503 };
        assert_eq!(answer.status, status, "{act}");
        assert!(answer.sets_nothing(), "{act}");
        clock.advance(WINDOW);
        assert_eq!(with_id(&id).get(&app, "/").await.body, "  ", "{act}");
    }
}

#[tokio::test]
async fn session_is_as_old_as_its_import() {
    for (after, passed) in [
        (7 * DAY - Duration::from_secs(1), true),
        (7 * DAY, false),
        (30 * DAY, false),
    ] {
        let (app, layer, _, clock) = app();
        import(&layer, "old-1", "ada").await;
        clock.advance(after);
        let events = Events::capture();
        let mut visitor = with_id("old-1");
        let found = visitor.get(&app, "/").await.body == "ada dark ";
        assert_eq!(found, passed, "{after:?}");
        match passed {
            true => {
                // nobody has entered a password here
                assert_eq!(visitor.get(&app, "/recent").await.body, "false");
                // the time of a login is not a whole second, with few exceptions
                clock.advance(Duration::from_millis(1));
                visitor.get(&app, "/login/ada").await;
                assert_eq!(visitor.get(&app, "/recent").await.body, "true");
            }
            false if after < 20 * DAY => assert_eq!(events.drain(), ["rejected expired"]),
            // the cookie is ignored
            false => assert!(events.drain().is_empty()),
        }
    }
    // at the absolute timeout, although it was used
    let (app, layer, _, clock) = app();
    import(&layer, "old-1", "ada").await;
    let mut visitor = with_id("old-1");
    for _ in 0..3 {
        assert_eq!(visitor.get(&app, "/").await.body, "ada dark ");
        clock.advance(14 * DAY / 3 + Duration::from_secs(1));
    }
    assert_eq!(visitor.get(&app, "/").await.body, "  ");
}

#[tokio::test]
async fn revoked_owner_has_no_imported_sessions() {
    let (app, layer, _, _) = app();
    import(&layer, "old-1", "ada").await;
    import(&layer, "old-2", "bob").await;
    layer.delete_owner("ada").await.expect("the store answers");
    assert_eq!(with_id("old-1").get(&app, "/").await.body, "  ");
    assert_eq!(with_id("old-2").get(&app, "/").await.body, "bob dark ");
}

#[tokio::test]
async fn revocation_of_everything_ends_sessions_that_were_not_taken_yet() {
    use tower_sealed_session::Revocations;
    let (builder, clock) = settings();
    let log = Revocations::sharing(&MemoryStore::new())
        .await
        .expect("a log");
    let builder = builder.store(MemoryStore::new()).revocations(log);
    let layer = builder.build().expect("valid");
    import(&layer, "old-1", "ada").await;
    clock.advance(Duration::from_secs(5));
    layer.revoke_everything().await.expect("the log answers");
    // it reaches as far ahead as clocks may differ
    clock.advance(Duration::from_secs(60));
    import(&layer, "old-2", "ada").await;
    let app = router(layer);
    assert_eq!(with_id("old-1").get(&app, "/").await.body, "  ");
    assert_eq!(with_id("old-2").get(&app, "/").await.body, "ada dark ");
}

#[tokio::test]
async fn several_ids_or_a_cookie_of_ours_open_nothing() {
    let (app, layer, _, _) = app();
    import(&layer, "old-1", "ada").await;
    import(&layer, "old-2", "bob").await;
    let ours = format!("{NAME}=x; session_id=old-1");
    let long = format!("session_id={}", "x".repeat(257));
    let lines: [&[&[u8]]; 8] = [
        &[b"session_id=old-1; session_id=old-2"],
        &[b"session_id=old-1", b"session_id=old-2"],
        &[ours.as_bytes()],
        &[b"session_id=old-3"],
        &[b"session_id="],
        &[b"session_id=OLD-1"],
        &[b"session_id=\xff\xfe"],
        &[long.as_bytes()],
    ];
    for lines in lines {
        let answer = get_with(&app, "/", lines).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, "  "));
        assert!(answer.sets_nothing());
    }
    // the same one twice, and in quotes, is one
    let answer = get_with(&app, "/", &[b"session_id=\"old-1\"; session_id=old-1"]).await;
    assert_eq!(answer.body, "ada dark ");
}

#[tokio::test]
async fn anonymous_visitor_keeps_the_old_cookie_until_ours_is_set() {
    let (app, layer, _, _) = app();
    import(&layer, "old-1", "ada").await;
    let mut visitor = with_id("another");
    assert!(visitor.get(&app, "/").await.sets_nothing());
    visitor.get(&app, "/login/eve").await;
    assert_eq!(visitor.jar.keys().collect::<Vec<_>>(), [NAME]);
}

#[tokio::test]
async fn looking_at_a_session_does_not_take_it() {
    let (app, layer, _, _) = app();
    import(&layer, "old-1", "ada").await;
    let headers = axum::http::HeaderMap::from_iter([(
        axum::http::header::COOKIE,
        axum::http::HeaderValue::from_static("session_id=old-1"),
    )]);
    let view = layer.open(&headers).await.expect("the store answers");
    assert_eq!(view.owner(), None);
    assert_eq!(with_id("old-1").get(&app, "/").await.body, "ada dark ");
}

/// Otherwise the session would be lost with the old id.
#[tokio::test]
async fn response_that_caches_may_store_sets_the_ticket_too() {
    let (app, layer, _, clock) = app();
    import(&layer, "old-1", "ada").await;
    let mut visitor = with_id("old-1");
    let answer = visitor.get(&app, "/public").await;
    assert_eq!(answer.cookies().len(), 2);
    assert!(
        answer
            .header("cache-control")
            .iter()
            .any(|value| value.contains("no-store")),
        "{answer:?}"
    );
    clock.advance(WINDOW);
    assert_eq!(visitor.get(&app, "/").await.body, "ada dark ");
}

#[tokio::test]
async fn old_ids_are_found_after_a_rotation_of_the_secret() {
    let (builder, clock) = settings();
    let store = MemoryStore::new();
    let before = builder.store(store.clone()).build().expect("valid");
    import(&before, "old-1", "ada").await;
    let ring = KeyRing::new(secret(OTHER_SECRET)).fallback(secret(crate::support::SECRET));
    let builder = SessionLayer::builder(ring).clock(clock.clone());
    let after = adopting(builder, &clock)
        .store(store.clone())
        .build()
        .expect("valid");
    assert_eq!(import(&after, "old-1", "ada").await, ImportFound::Same);
    let app = router(after.clone());
    assert_eq!(with_id("old-1").get(&app, "/").await.body, "ada dark ");
    assert_eq!(import(&after, "old-1", "ada").await, ImportFound::Used);
    // without the fallback, it is not found
    import(&before, "old-2", "ada").await;
    let builder = SessionLayer::builder(KeyRing::new(secret(OTHER_SECRET))).clock(clock.clone());
    let without = adopting(builder, &clock)
        .store(store)
        .build()
        .expect("valid");
    assert_eq!(with_id("old-2").get(&router(without), "/").await.body, "  ");
}

#[tokio::test]
async fn last_session_with_an_id_counts() {
    let (app, layer, _, _) = app();
    let at = |owner, position| import_of("old-1", owner).source(*b"the file", position);
    for (owner, position, expected) in [
        ("ada", 2, ImportFound::Nothing),
        ("ada", 1, ImportFound::Newer),
        ("ada", 2, ImportFound::Same),
        ("bob", 3, ImportFound::Older),
    ] {
        let import = at(owner, position);
        let found = tools::import(&layer, &import).await.expect("a store");
        assert_eq!(found, expected, "{owner} {position}");
        let found = tools::find_import(&layer, &import).await.expect("a store");
        let then = if expected == ImportFound::Newer {
            expected
        } else {
            ImportFound::Same
        };
        assert_eq!(found, then);
    }
    assert_eq!(with_id("old-1").get(&app, "/").await.body, "bob dark ");
}

/// A login does not take what was imported with an id, nor the other way round.
#[tokio::test]
async fn imports_with_and_without_ids_are_apart() {
    let (app, layer, _, _) = app();
    import(&layer, "ada", "ada").await;
    let session = tower_sealed_session::testing::session(&layer);
    session.login("ada").expect("it is small");
    assert!(!session.adopt_imported().await.expect("a store"));
    assert_eq!(with_id("ada").get(&app, "/").await.body, "ada dark ");
}

#[tokio::test]
async fn sessions_of_the_old_store_are_taken_and_moved() {
    let (builder, clock) = settings();
    let (old, new) = (MemoryStore::new(), MemoryStore::new());
    let before = builder.store(old.clone()).build().expect("valid");
    for id in ["old-1", "old-2", "old-3"] {
        import(&before, id, "ada").await;
    }
    with_id("old-3").get(&router(before), "/").await;
    let builder = SessionLayer::builder(keys()).clock(clock.clone());
    let builder = adopting(builder, &clock)
        .store(new.clone())
        .read_from(old.clone());
    let layer = builder.build().expect("valid");
    let app = router(layer.clone());
    let mut first = with_id("old-1");
    assert_eq!(first.get(&app, "/").await.body, "ada dark ");
    let rows = old.scan(None).await.expect("a store").sessions;
    for (key, row) in rows {
        let moved = tools::relocate(&layer, key, row)
            .await
            .expect("the stores answer");
        assert!(
            matches!(moved, Relocated::Copied | Relocated::Moved),
            "{moved:?}"
        );
    }
    // the old store is gone
    let builder = SessionLayer::builder(keys()).clock(clock.clone());
    let after = adopting(builder, &clock).store(new).build().expect("valid");
    let app = router(after);
    assert_eq!(first.get(&app, "/").await.body, "ada dark ");
    assert_eq!(with_id("old-2").get(&app, "/").await.body, "ada dark ");
    clock.advance(WINDOW);
    for id in ["old-1", "old-2", "old-3"] {
        assert_eq!(with_id(id).get(&app, "/").await.body, "  ", "{id}");
    }
}

#[tokio::test]
async fn every_mode_of_a_store_takes_old_ids() {
    for mode in ["store", "overflow", "read_from"] {
        for size in [1, 20_000] {
            let (builder, _) = settings();
            let store = MemoryStore::new();
            let layer = match mode {
                "store" => builder.store(store),
                "overflow" => builder.overflow(store),
                _ => builder.read_from(store),
            };
            let layer = layer.build().expect("valid");
            let mut import = import_of("old-1", "ada");
            import
                .json("fill", &format!("\"{}\"", "x".repeat(size)))
                .expect("JSON");
            tools::import(&layer, &import).await.expect("a store");
            let app = router(layer);
            let mut visitor = with_id("old-1");
            for path in ["/", "/set/cart", "/renew", "/"] {
                let answer = visitor.get(&app, path).await;
                assert_eq!(answer.status, 200, "{mode} {size} {path}");
                assert!(visitor.jar.contains_key(NAME), "{mode} {size} {path}");
            }
            assert_eq!(
                visitor.get(&app, "/").await.body,
                "ada dark cart,fill",
                "{mode} {size}"
            );
        }
    }
}

#[tokio::test]
async fn changed_row_opens_nothing_and_is_an_event() {
    let (app, layer, store, _) = app();
    import(&layer, "old-1", "ada").await;
    let (key, mut there) = store.scan(None).await.expect("a store").sessions.remove(0);
    *there.bytes.last_mut().expect("it has bytes") ^= 1;
    let row = Row::new(there.version, &there.bytes, there.expires, there.owner);
    store
        .save(key, there.version, &row, there.owner)
        .await
        .expect("a store");
    let events = Events::capture();
    assert_eq!(with_id("old-1").get(&app, "/").await.body, "  ");
    assert_eq!(events.drain(), ["unreadable forged", "rejected unreadable"]);
}

#[test]
fn ids_that_no_cookie_can_have_are_refused() {
    for id in [
        "",
        "a b",
        "a;b",
        "a,b",
        "\"a\"",
        "a\\b",
        "a\nb",
        "a\u{7f}",
        &"x".repeat(257),
    ] {
        let import = import_of("x", "ada");
        let error = import.old_id(id).expect_err(id);
        assert_eq!(error.kind(), tower_sealed_session::ErrorKind::InvalidOldId);
    }
    for id in ["a", "a=b/c+d", "ünïcödé", &"x".repeat(256)] {
        import_of("x", "ada").old_id(id).expect("an id");
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let (_, clock) = on_a_clock();
    let refused = |change: fn(SessionLayerBuilder) -> SessionLayerBuilder, name: &str| {
        use tower_sealed_session::Clock as _;
        let (builder, until) = (SessionLayer::builder(keys()), clock.now());
        let builder = change(builder.adopt_ids_from_cookie(name, until));
        builder.build().expect_err("invalid").to_string()
    };
    let timeouts = |b: SessionLayerBuilder| b.idle_timeout(DAY).absolute_timeout(DAY);
    let whole = |b: SessionLayerBuilder| {
        b.idle_timeout(DAY)
            .absolute_timeout(DAY)
            .store(MemoryStore::new())
    };
    let text = refused(|b| b.store(MemoryStore::new()), "session_id");
    assert!(text.contains("idle_timeout"), "{text}");
    let text = refused(
        |b| b.store(MemoryStore::new()).idle_timeout(DAY),
        "session_id",
    );
    assert!(text.contains("absolute_timeout"), "{text}");
    let text = refused(timeouts, "session_id");
    assert!(text.contains("no store"), "{text}");
    for (name, expected) in [
        ("", "letters"),
        ("a b", "letters"),
        ("__Host-Http-session", "different names"),
    ] {
        let text = refused(whole, name);
        assert!(text.contains(expected), "{name}: {text}");
    }
}

#[cfg(feature = "starlette")]
#[test]
fn layer_takes_over_the_cookies_of_one_system() {
    use tower_sealed_session::{
        Clock as _,
        compat::{LegacyCookie, Starlette},
    };
    let (builder, clock) = settings();
    let format = Starlette::new(["the legacy app's secret_key"]).expect("a secret");
    let builder = builder.migrate(LegacyCookie::new(format, DAY), clock.now() + DAY);
    let error = builder.store(MemoryStore::new()).build();
    let text = error.expect_err("two systems").to_string();
    assert!(
        text.contains("`adopt_ids_from_cookie` and `migrate`"),
        "{text}"
    );
}
