//! Moves from one store to another while the app runs: nobody is logged out, nothing is lost.

use std::time::Duration;

use axum::{Router, routing::get};
use http::{StatusCode, header::CACHE_CONTROL};
use tower_sealed_session::{
    Session, SessionLayer,
    store::{MemoryStore, Operate as _},
    testing::TestClock,
};

use super::backend::{Backend, built};
use crate::{
    logout::{AFTER_LOGOUT, Slow, after, app},
    passive,
    support::{Events, Visitor, keys, layer as in_cookies, on_a_clock},
    view::of,
};

pub(super) const OK: StatusCode = StatusCode::OK;
const ADA: &str = r#"Some("ada") ["cart"]"#;

pub(super) fn plain() -> SessionLayer {
    built(SessionLayer::builder(keys()))
}

/// The layers of a move: before it, prepared for it, moving, and after it.
pub(super) fn stages(old: &MemoryStore, new: &MemoryStore) -> [SessionLayer; 4] {
    [
        plain().store(old.clone()),
        plain().store(old.clone()).read_from(new.clone()),
        plain().read_from(old.clone()).store(new.clone()),
        plain().store(new.clone()),
    ]
}

/// The sessions that can be used, in each of the stores.
async fn live(stores: [&MemoryStore; 2]) -> [usize; 2] {
    let listed = stores.map(|store| async { plain().store(store.clone()).list_owner("ada").await });
    let [old, new] = listed;
    let (old, new) = tokio::join!(old, new);
    [old, new].map(|listed| listed.expect("a store").len())
}

/// Case 22.
#[tokio::test]
async fn app_goes_from_sqlite_to_redis_and_nobody_is_logged_out() {
    let (sqlite, redis) = (Backend::sqlite().await, Backend::redis().await);
    let before = app(plain().store(sqlite.open().await));
    let mut visitors = vec![Visitor::default(); 4];
    let paths = [
        "/login,cart",
        "/cart",
        "/login,cart,remember-20d",
        "/bob,cart",
    ];
    let mut saw = Vec::new();
    for (visitor, path) in visitors.iter_mut().zip(paths) {
        visitor.get(&before, path).await;
        saw.push(visitor.get(&before, "/see").await.body);
    }
    let first = visitors.clone();
    let orders: [SessionLayer; 2] = [
        plain()
            .read_from(sqlite.open().await)
            .store(redis.open().await),
        plain()
            .store(redis.open().await)
            .read_from(sqlite.open().await),
    ];
    let moving = orders.map(app);
    let events = Events::capture();
    for turn in 0..4 {
        for (visitor, saw) in visitors.iter_mut().zip(&saw) {
            let jar = visitor.jar.clone();
            let answer = visitor.get(&moving[turn % 2], "/see").await;
            assert_eq!((answer.status, &answer.body), (OK, saw), "turn {turn}");
            assert_eq!(visitor.jar != jar, turn == 0, "it moves once");
        }
        let adopted = events.drain();
        let adopted = adopted.iter().filter(|event| *event == "adopted").count();
        assert_eq!(adopted, if turn == 0 { visitors.len() } else { 0 });
    }
    // all sessions are in Redis, and the old tickets lead there
    let after = app(plain().store(redis.open().await));
    for ((visitor, old), saw) in visitors.iter_mut().zip(first).zip(&saw) {
        assert_eq!(&visitor.get(&after, "/see").await.body, saw);
        assert_eq!(&old.clone().get(&moving[0], "/see").await.body, saw);
        assert_eq!(old.clone().get(&before, "/see").await.body, "None []");
        visitor.get(&moving[0], "/logout").await;
        assert_eq!(old.clone().get(&moving[1], "/see").await.body, "None []");
    }
}

#[tokio::test]
async fn old_ticket_reads_and_writes_the_session_that_moved_and_gets_its_ticket() {
    let (old, new) = (MemoryStore::new(), MemoryStore::new());
    let [before, _, moving, _] = stages(&old, &new).map(app);
    let mut visitor = Visitor::default();
    visitor.get(&before, "/login,cart").await;
    let mut late = visitor.clone();
    visitor.get(&moving, "/count").await;
    assert_eq!(late.get(&moving, "/notice").await.status, OK);
    let sees = r#"Some("ada") ["cart", "n", "notice"]"#;
    assert_ne!(late.jar, visitor.jar, "each seal is different");
    for visitor in [&mut late, &mut visitor] {
        assert_eq!(visitor.get(&moving, "/see").await.body, sees);
    }
    assert_eq!(live([&old, &new]).await, [0, 1]);
}

/// A request is open while another one with the same ticket moves the session, or ends it.
#[tokio::test]
async fn requests_in_flight_keep_their_promises_while_the_session_moves() {
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    for (meanwhile, acts, status, sees) in [
        ("/see", "cart", OK, r#"Some("ada") ["cart"]"#),
        ("/notice", "cart", OK, r#"Some("ada") ["cart", "notice"]"#),
        (
            "/notice",
            "cart,commit",
            OK,
            r#"Some("ada") ["cart", "notice"]"#,
        ),
        ("/see", "see", OK, r#"Some("ada") []"#),
        ("/see", "renew", OK, r#"Some("ada") []"#),
        ("/notice", "login", OK, r#"Some("ada") ["notice"]"#),
        ("/notice", "bob", OK, r#"Some("bob") []"#),
        ("/see", "remember", OK, r#"Some("ada") []"#),
        ("/see", "logout", OK, "None []"),
        ("/notice", "logout,commit", OK, "None []"),
        ("/renew", "cart", unavailable, r#"Some("ada") []"#),
        ("/renew", "logout", OK, "None []"),
        ("/renew", "login", OK, r#"Some("ada") []"#),
        ("/logout", "cart", OK, "None []"),
        ("/logout", "see", OK, "None []"),
        ("/login", "cart", unavailable, r#"Some("ada") []"#),
    ] {
        // on the instance that moves sessions, and on one that moves them back
        for back in [false, true] {
            let (old, new) = (MemoryStore::new(), MemoryStore::new());
            let [before, prepared, moving, _] = stages(&old, &new);
            let mut slow = Slow::new(if back { prepared } else { moving.clone() });
            let moving = app(moving);
            let mut visitor = Visitor::default();
            visitor.get(&app(before), "/login").await;
            let mut first = visitor.clone();
            let get = async || drop(visitor.get(&moving, meanwhile).await);
            let answer = slow.around(&first, acts, get).await;
            let what = format!("{meanwhile}, {acts}, {back}");
            assert_eq!(answer.status, status, "{what}");
            // the browser keeps what came last
            visitor.keep(&answer);
            assert_eq!(visitor.get(&moving, "/see").await.body, sees, "{what}");
            if sees == "None []" {
                assert_eq!(first.get(&moving, "/see").await.body, sees, "{what}");
                assert_eq!(live([&old, &new]).await, [0, 0], "{what}");
            }
        }
    }
}

#[tokio::test]
async fn every_act_works_on_a_session_of_the_old_store() {
    let (old, new) = (MemoryStore::new(), MemoryStore::new());
    let [before, _, moving, last] = stages(&old, &new);
    let [before, last] = [before, last].map(app);
    let moving = app(moving);
    for (acts, wanted) in AFTER_LOGOUT {
        let (_, _, sees) = after(&moving, "", acts).await;
        assert_eq!(sees, wanted);
    }
    for (acts, sees) in [
        ("/see", ADA),
        ("/cart", ADA),
        ("/renew", ADA),
        ("/remember", ADA),
        ("/login", ADA),
        ("/bob", r#"Some("bob") []"#),
        (
            "/count,commit,notice",
            r#"Some("ada") ["cart", "n", "notice"]"#,
        ),
        ("/renew,commit,count", r#"Some("ada") ["cart", "n"]"#),
        ("/logout", "None []"),
        ("/commit,logout,notice", r#"None ["notice"]"#),
    ] {
        let mut visitor = Visitor::default();
        visitor.get(&before, "/login,cart").await;
        let mut first = visitor.clone();
        assert_eq!(visitor.get(&moving, acts).await.status, OK, "{acts}");
        assert_eq!(visitor.get(&last, "/see").await.body, sees, "{acts}");
        let old = first.get(&moving, "/see").await.body;
        let leads = ["/see", "/cart", "/remember", "/count,commit,notice"].contains(&acts);
        assert_eq!(old, if leads { sees } else { "None []" }, "{acts}");
    }
}

#[tokio::test]
async fn session_of_a_rolling_deployment_moves_to_and_fro_and_back() {
    let (old, new) = (MemoryStore::new(), MemoryStore::new());
    let [before, prepared, moving, last] = stages(&old, &new).map(app);
    let mut visitor = Visitor::default();
    visitor.get(&before, "/login").await;
    let mut seen = vec![visitor.clone()];
    for turn in 0..40 {
        let instance = [&prepared, &moving][turn % 2];
        visitor.get(instance, "/count").await;
        assert_eq!(
            visitor.get(instance, "/see").await.body,
            r#"Some("ada") ["n"]"#
        );
        seen.push(visitor.clone());
    }
    // the last tickets lead to the session, in both directions
    for copy in seen.iter().rev().take(30) {
        for instance in [&prepared, &moving] {
            assert_eq!(
                copy.clone().get(instance, "/see").await.body,
                r#"Some("ada") ["n"]"#
            );
        }
    }
    // an older one is not anonymous, since the session exists
    let answer = seen[0].clone().get(&moving, "/see").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.sets_nothing());
    // the way back, then forward again
    for (stage, wanted) in [(&prepared, &before), (&moving, &last)] {
        visitor.get(stage, "/see").await;
        visitor.get(stage, "/see").await;
        assert_eq!(
            visitor.clone().get(wanted, "/see").await.body,
            r#"Some("ada") ["n"]"#
        );
    }
    visitor.get(&moving, "/logout").await;
    for mut copy in seen.into_iter().rev().take(28) {
        for instance in [&before, &prepared, &moving, &last] {
            assert_eq!(copy.get(instance, "/see").await.body, "None []");
        }
    }
}

/// Many requests come with one ticket, on instances that disagree on which store is the old one.
#[tokio::test]
async fn parallel_requests_do_not_lengthen_the_chain() {
    let (old, new) = (MemoryStore::new(), MemoryStore::new());
    let [before, prepared, moving, _] = stages(&old, &new).map(app);
    let mut visitor = Visitor::default();
    visitor.get(&before, "/login").await;
    let mut n = 0;
    for _ in 0..10 {
        let first = visitor.clone();
        for turn in 0..30 {
            let mut copy = first.clone();
            let answer = copy.get([&prepared, &moving][turn % 2], "/count").await;
            n += 1;
            assert_eq!(answer.status, OK, "{n}");
            visitor.keep(&answer);
        }
    }
    let view = stages(&old, &new)[2].open(&of(&visitor)).await;
    assert_eq!(
        view.expect("a store").get::<u32>("n").expect("a number"),
        Some(n)
    );
}

#[tokio::test]
async fn inline_cookie_stays_ended_or_leads_on_through_the_old_store() {
    for (end, sees) in [("/see", ADA), ("/logout", "None []"), ("/bob", "None []")] {
        let (old, new) = (MemoryStore::new(), MemoryStore::new());
        let [before, prepared, moving, _] = stages(&old, &new).map(app);
        let mut visitor = Visitor::default();
        visitor.get(&app(in_cookies()), "/login,cart").await;
        let inline = visitor.clone();
        visitor.get(&before, end).await;
        for instance in [&before, &prepared, &moving, &prepared] {
            assert_eq!(
                inline.clone().get(instance, "/see").await.body,
                sees,
                "{end}"
            );
        }
        visitor.get(&moving, "/see").await;
        assert_eq!(
            inline.clone().get(&moving, "/see").await.body,
            sees,
            "{end}"
        );
        visitor.get(&moving, "/logout").await;
        assert_eq!(
            inline.clone().get(&moving, "/see").await.body,
            "None []",
            "{end}"
        );
    }
    // without a guard, it moves to the new store
    let (old, new) = (MemoryStore::new(), MemoryStore::new());
    let [_, _, moving, last] = stages(&old, &new).map(app);
    let mut visitor = Visitor::default();
    visitor.get(&app(in_cookies()), "/login,cart").await;
    assert_eq!(visitor.get(&moving, "/see").await.body, ADA);
    assert_eq!(visitor.get(&last, "/see").await.body, ADA);
}

fn on(clock: &TestClock) -> SessionLayer {
    passive::built(SessionLayer::builder(keys()).clock(clock.clone()))
}

#[tokio::test]
async fn session_that_moves_in_a_passive_request_keeps_the_time_of_its_last_use() {
    use passive::{IDLE, MINUTE, app};
    let (old, new, (_, clock)) = (MemoryStore::new(), MemoryStore::new(), on_a_clock());
    let mut visitor = Visitor::default();
    let before = app(on(&clock).store(old.clone()), &clock);
    visitor.get(&before, "/login").await;
    let moving = app(on(&clock).store(new).read_from(old), &clock);
    clock.advance(10 * MINUTE);
    let answer = visitor.get(&moving, "/poll").await;
    assert_eq!((&*answer.body, answer.cookies().len()), ("300", 1));
    clock.advance(IDLE - 10 * MINUTE - Duration::from_millis(1));
    assert_eq!(visitor.clone().get(&moving, "/poll").await.body, "0");
    clock.advance(Duration::from_millis(1));
    assert_eq!(visitor.get(&moving, "/poll").await.body, "");
}

#[tokio::test]
async fn lifetimes_go_on_in_the_new_store() {
    let (old, new, (_, clock)) = (MemoryStore::new(), MemoryStore::new(), on_a_clock());
    let layer = || built(SessionLayer::builder(keys()).clock(clock.clone()));
    let before = app(layer().store(old.clone()));
    let moving = app(layer().store(new.clone()).read_from(old));
    let (mut ada, mut bob) = (Visitor::default(), Visitor::default());
    ada.get(&before, "/login,remember-20d").await;
    bob.get(&before, "/bob").await;
    let ada_first = ada.clone();
    clock.advance(Duration::from_secs(50 * 60));
    for visitor in [&mut ada, &mut bob] {
        assert!(!visitor.get(&moving, "/see").await.sets_nothing());
    }
    // the move was a use
    clock.advance(Duration::from_secs(50 * 60));
    assert_eq!(bob.get(&moving, "/see").await.body, r#"Some("bob") []"#);
    clock.advance(Duration::from_secs(61 * 60));
    assert_eq!(bob.get(&moving, "/see").await.body, "None []");
    // whoever was remembered is found by either ticket until the end
    clock.advance(Duration::from_secs(19 * 24 * 3600));
    for mut ada in [ada, ada_first] {
        assert_eq!(ada.get(&moving, "/see").await.body, r#"Some("ada") []"#);
    }
    let epoch = time::OffsetDateTime::UNIX_EPOCH;
    assert_eq!(new.count(epoch).await.expect("a store").live, 2);
}

#[tokio::test]
async fn public_response_moves_nothing_and_a_view_neither() {
    let (old, new) = (MemoryStore::new(), MemoryStore::new());
    let [before, _, moving, _] = stages(&old, &new);
    let shared = get(async |session: Session| {
        let owner = session.owner().unwrap_or_default();
        ([(CACHE_CONTROL, "public, max-age=60")], owner)
    });
    let routes = Router::new().route("/public", shared);
    let mut visitor = Visitor::default();
    visitor.get(&app(before), "/login").await;
    let public = routes.layer(moving.clone());
    for _ in 0..2 {
        let answer = visitor.get(&public, "/public").await;
        assert!(answer.sets_nothing() && answer.body == "ada");
        let view = moving.open(&of(&visitor)).await.expect("a store");
        assert_eq!(view.owner().as_deref(), Some("ada"));
        assert!(view.still_valid().await.expect("a store"));
    }
    assert_eq!(live([&old, &new]).await, [1, 0]);
    assert!(!visitor.get(&app(moving), "/see").await.sets_nothing());
    assert_eq!(live([&old, &new]).await, [0, 1]);
}

/// Copies are recognized wherever the session is by then.
#[tokio::test]
async fn copy_of_an_earlier_ticket_ends_the_session_in_either_store() {
    for moves in [false, true] {
        let (old, new, (_, clock)) = (MemoryStore::new(), MemoryStore::new(), on_a_clock());
        let builder = || {
            SessionLayer::builder(keys())
                .clock(clock.clone())
                .end_on_reuse()
        };
        let before = app(built(builder().store(old.clone())));
        let moving = app(built(builder().read_from(old).store(new)));
        let mut visitor = Visitor::default();
        visitor.get(&before, "/login").await;
        let mut copy = visitor.clone();
        visitor.get(&before, "/renew").await;
        if moves {
            visitor.get(&moving, "/see").await;
        }
        clock.advance(Duration::from_secs(61));
        copy.get(&moving, "/see").await;
        assert_eq!(
            visitor.get(&moving, "/see").await.body,
            "None []",
            "{moves}"
        );
    }
}
