//! Ended means ended, with a store: the cases of real users and the findings of an audit.

use std::time::Duration;

use axum::{Router, extract::Path, routing::get};
use futures_util::FutureExt as _;
use http::StatusCode;
use tower_sealed_session::{
    ConfigError, Error, KeyRing, Session, SessionLayer,
    store::{MemoryStore, Operate as _, Row, Saving, Store, StoreError, StoreKey},
    testing,
};

use super::{
    backend::{Call, CreatedKeys, Intercept, Wrapped, built},
    lost_answers::LosesAnswer,
};
use crate::{
    logout::{AFTER_LOGOUT, Slow, acts, after, app},
    support::{
        Events, OTHER_SECRET, SECRET, Visitor, keys, layer as in_cookies, on_a_clock, secret,
    },
};

const OK: StatusCode = StatusCode::OK;
const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

fn layer(store: impl Store) -> SessionLayer {
    built(SessionLayer::builder(keys())).store(store)
}

/// The number of rows, also of ended sessions.
async fn rows(store: &MemoryStore) -> u64 {
    let epoch = time::OffsetDateTime::UNIX_EPOCH;
    store.count(epoch).await.expect("a store").live
}

/// Case 5.
#[tokio::test]
async fn writes_after_a_logout_begin_a_new_session_in_every_mode() {
    let plain = || built(SessionLayer::builder(keys()));
    for layer in [
        plain().store(MemoryStore::new()),
        plain().overflow(MemoryStore::new()),
        plain().read_from(MemoryStore::new()),
        plain()
            .read_from(MemoryStore::new())
            .store(MemoryStore::new()),
    ] {
        let app = app(layer);
        for first in ["", "/login,cart"] {
            for (acts, wanted) in AFTER_LOGOUT {
                let (answer, _, sees) = after(&app, first, acts).await;
                assert_eq!(sees, wanted, "{first} {acts}");
                assert_eq!(answer.removes(), wanted == "None []", "{first} {acts}");
            }
        }
    }
}

/// Sessions that a request saved early and then left are ended too.
#[tokio::test]
async fn logout_ends_what_earlier_commits_of_the_request_saved() {
    let store = MemoryStore::new();
    let app = app(layer(store.clone()));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login,cart").await;
    let acts = "/bob,commit,logout,notice,commit,logout,login,commit,logout";
    assert!(visitor.get(&app, acts).await.removes());
    for owner in ["ada", "bob"] {
        let left = layer(store.clone()).delete_owner(owner).await;
        assert_eq!(left.expect("a store"), 0, "{owner}");
    }
    assert_eq!(rows(&store).await, 4, "each has a tombstone");
}

/// Case 6: live sessions never outnumber logins.
#[tokio::test]
async fn login_with_a_replaced_ticket_ends_the_renewed_session() {
    let app = app(layer(MemoryStore::new()));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login,cart").await;
    let c0 = visitor.clone();
    visitor.get(&app, "/renew").await;
    let mut c1 = visitor.clone();
    let mut c2 = c0.clone();
    c2.get(&app, "/login").await;
    assert_eq!(c1.get(&app, "/see").await.body, "None []");
    assert_eq!(c2.get(&app, "/see").await.body, r#"Some("ada") ["cart"]"#);
    c2.get(&app, "/logout").await;
    for mut cookie in [c0, c1, c2] {
        assert_eq!(cookie.get(&app, "/see").await.body, "None []");
    }
}

/// Case 7: the answer of a login is lost.
#[tokio::test]
async fn repeated_login_finds_its_cart() {
    for wait in [0, 9, 11, 500] {
        let (builder, clock) = on_a_clock();
        let store = MemoryStore::new();
        let app = app(built(builder).store(store.clone()));
        let mut visitor = Visitor::default();
        visitor.get(&app, "/cart").await;
        let lost = visitor.clone().get(&app, "/login,notice").await;
        assert_eq!(lost.status, OK);
        clock.advance(Duration::from_secs(wait));
        let mut thief = visitor.clone();
        assert_eq!(thief.get(&app, "/see").await.body, "None []");
        visitor.get(&app, "/login").await;
        let sees = visitor.get(&app, "/see").await.body;
        assert_eq!(sees, r#"Some("ada") ["cart", "notice"]"#, "after {wait} s");
        let mut other = Visitor::default();
        other.keep(&lost);
        assert_eq!(other.get(&app, "/see").await.body, "None []", "it is ended");
        // another owner gets nothing of it
        thief.get(&app, "/bob").await;
        assert_eq!(thief.get(&app, "/see").await.body, r#"Some("bob") []"#);
        assert_eq!(visitor.get(&app, "/see").await.body, sees);
    }
}

/// Case 8: the answer of a renewal is lost.
#[tokio::test]
async fn writes_with_a_replaced_ticket_are_refused_and_then_begin_anew() {
    let (builder, clock) = on_a_clock();
    let app = app(built(builder).store(MemoryStore::new()));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login,cart").await;
    visitor.clone().get(&app, "/renew").await;
    for path in ["/notice", "/count", "/notice,commit"] {
        let answer = visitor.clone().get(&app, path).await;
        assert_eq!(
            (answer.status, answer.sets_nothing()),
            (UNAVAILABLE, true),
            "{path}"
        );
        assert_eq!(answer.header("retry-after"), ["1"]);
    }
    for path in ["/see", "/renew", "/remember"] {
        let answer = visitor.clone().get(&app, path).await;
        assert_eq!(
            (answer.body.as_str(), answer.sets_nothing()),
            ("None []", true),
            "{path}"
        );
    }
    clock.advance(Duration::from_secs(10));
    let answer = visitor.get(&app, "/notice").await;
    assert_eq!((answer.status, answer.sets_nothing()), (OK, false));
    assert_eq!(visitor.get(&app, "/see").await.body, r#"None ["notice"]"#);
}

/// Case 10, with a store.
#[tokio::test]
async fn request_that_straddles_the_end_keeps_its_response() {
    let (builder, clock) = on_a_clock();
    let mut slow = Slow::new(built(builder).store(MemoryStore::new()));
    let app = slow.app.clone();
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login,remember").await;
    clock.advance(Duration::from_secs(9998));
    let events = Events::capture();
    let first = visitor.clone();
    let straddle = slow.around(&first, "cart", async || {
        clock.advance(Duration::from_secs(2))
    });
    let answer = straddle.await;
    assert_eq!(answer.body, r#"Some("ada") ["cart"]"#);
    assert!(answer.sets_nothing());
    assert!(events.drain().contains(&"dropped expired".to_owned()));
}

/// What happens to the changes of a request whose session another instance ended meanwhile.
#[tokio::test]
async fn changes_of_an_ended_session_are_dropped_after_a_logout_and_refused_after_a_login() {
    for (end, act, status) in [
        ("/logout", "cart", OK),
        ("/logout", "renew", OK),
        ("/logout", "cart,commit", UNAVAILABLE),
        ("/login", "cart", UNAVAILABLE),
        ("/login", "renew", UNAVAILABLE),
        ("/bob", "cart", UNAVAILABLE),
        ("/renew", "cart", UNAVAILABLE),
        ("/renew", "renew", UNAVAILABLE),
        ("/renew", "see", OK),
        ("/renew", "login", OK),
        ("/renew", "logout", OK),
    ] {
        let store = MemoryStore::new();
        let mut slow = Slow::new(layer(store.clone()));
        let other = app(layer(store));
        let mut visitor = Visitor::default();
        visitor.get(&other, "/login").await;
        let first = visitor.clone();
        let answer = slow.around(&first, act, async || drop(visitor.get(&other, end).await));
        let answer = answer.await;
        assert_eq!(answer.status, status, "{end} {act}");
        let sets = ["login", "logout"].contains(&act);
        assert_eq!(!answer.sets_nothing(), sets, "{end} {act}");
        if act == "logout" {
            assert_eq!(visitor.get(&other, "/see").await.body, "None []", "{end}");
        }
    }
}

/// Audit A1: a request of a thief, held back while the victim ends all of her sessions.
#[tokio::test]
async fn held_request_does_not_bring_back_a_session_that_delete_owner_ended() {
    for act in ["cart", "renew", "remember", "cart,commit"] {
        let store = MemoryStore::new();
        let mut slow = Slow::new(layer(store.clone()));
        let sessions = layer(store.clone());
        let app = app(sessions.clone());
        let mut y0 = Visitor::default();
        y0.get(&app, "/login").await;
        let mut y1 = y0.clone();
        y1.get(&app, "/renew").await;
        let answer = slow.around(&y1, act, async || {
            assert_eq!(sessions.delete_owner("ada").await.expect("a store"), 1);
            y0.get(&app, "/logout").await;
        });
        let answer = answer.await;
        for cookie in [&mut y0, &mut y1] {
            cookie.keep(&answer);
            assert!(
                !cookie.get(&app, "/see").await.body.contains("ada"),
                "{act}"
            );
        }
        assert_eq!(rows(&store).await, 0, "{act}: no row comes back");
    }
}

/// Audit A3: a login button that is clicked twice.
#[tokio::test]
async fn second_of_two_logins_keeps_what_it_writes() {
    let app = app(layer(MemoryStore::new()));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/cart").await;
    let mut second = visitor.clone();
    visitor.get(&app, "/login").await;
    let answer = second.get(&app, "/login,commit,notice").await;
    assert_eq!((answer.status, answer.sets_nothing()), (OK, false));
    let sees = second.get(&app, "/see").await.body;
    assert_eq!(sees, r#"Some("ada") ["cart", "notice"]"#);
    assert_eq!(visitor.get(&app, "/see").await.body, "None []");
}

/// Each save is answered a moment after it was made.
#[derive(Clone)]
struct LateAnswers;

impl Intercept for LateAnswers {
    async fn intercept<T: Send>(
        &self,
        call: Call,
        _: Option<StoreKey>,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let answer = operation.await;
        if call == Call::Save {
            tokio::task::yield_now().await;
        }
        answer
    }
}

/// Audit A4: a handler that gives up its commit.
#[tokio::test]
async fn commit_that_the_handler_drops_is_not_made_twice() {
    async fn drops(session: Session, Path(what): Path<String>) -> Result<(), Error> {
        acts(&session, &what).await?;
        // the save is made, and its answer is not awaited
        assert!(session.commit().now_or_never().is_none());
        Ok(())
    }
    let store = MemoryStore::new();
    let dropping = Router::new()
        .route("/{acts}", get(drops))
        .layer(layer(Wrapped(store.clone(), LateAnswers)));
    let healthy = app(layer(store));
    for (act, sees) in [
        ("/count", r#"Some("ada") ["n"]"#),
        ("/renew", "None []"),
        ("/login", "None []"),
    ] {
        let mut visitor = Visitor::default();
        visitor.get(&healthy, "/login,count").await;
        let answer = visitor.get(&dropping, act).await;
        assert_eq!(
            (answer.status, answer.sets_nothing()),
            (UNAVAILABLE, true),
            "{act}"
        );
        assert_eq!(
            visitor.clone().get(&healthy, "/see").await.body,
            sees,
            "{act}"
        );
        // nothing is lost but the cookie: a login finds the session
        visitor.get(&healthy, "/login").await;
        assert_eq!(
            visitor.get(&healthy, "/see").await.body,
            r#"Some("ada") ["n"]"#,
            "{act}"
        );
    }
}

/// Each save is made a moment after the call.
#[derive(Clone)]
struct LateSaves;

impl Intercept for LateSaves {
    async fn intercept<T: Send>(
        &self,
        call: Call,
        _: Option<StoreKey>,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        if call == Call::Save {
            tokio::task::yield_now().await;
        }
        operation.await
    }
}

/// A visitor who logs out and closes the browser before the answer.
#[tokio::test]
async fn logout_reaches_the_store_although_the_client_disconnects() {
    let store = MemoryStore::new();
    let app = app(layer(Wrapped(store.clone(), LateSaves)));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login").await;
    let mut copy = visitor.clone();
    assert!(visitor.get(&app, "/logout").now_or_never().is_none());
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(copy.get(&app, "/see").await.body, "None []");
}

/// Audit A5: after a commit without an answer, the response must not promise anything.
#[tokio::test]
async fn request_that_returns_to_its_base_after_a_lost_commit_is_not_answered_200() {
    async fn pay(session: Session) -> Result<(), Error> {
        session.insert("paid", 1)?;
        // the handler ignores the error
        let _ = session.commit().await;
        session.remove("paid");
        Ok(())
    }
    let store = MemoryStore::new();
    let lost = LosesAnswer::at(Call::Save, 1);
    let faulty = Router::new()
        .route("/pay", get(pay))
        .layer(layer(Wrapped(store.clone(), lost)));
    let mut visitor = Visitor::default();
    visitor.get(&app(layer(store)), "/login").await;
    assert_eq!(visitor.get(&faulty, "/pay").await.status, UNAVAILABLE);
}

/// Audit A10: a copy of a cookie that was remembered, after its session moved and ended.
#[tokio::test]
async fn guard_of_a_moved_session_outlives_every_copy_of_its_cookie() {
    let (builder, clock) = on_a_clock();
    let store = MemoryStore::new();
    let cookies = app(built(builder));
    let builder = SessionLayer::builder(keys()).clock(clock.clone());
    // a longer limit may also be set after the logout
    let builder = builder.max_remember(Duration::from_secs(300 * 24 * 3600));
    let stored = app(built(builder).store(store.clone()));
    for end in ["/logout", "/login", "/renew"] {
        let mut visitor = Visitor::default();
        visitor.get(&cookies, "/login").await;
        let mut remembered = visitor.clone();
        remembered.get(&cookies, "/remember-20d").await;
        visitor.get(&stored, end).await;
        for _ in 0..200 {
            let now = tower_sealed_session::Clock::now(&clock);
            store.prune(now, None).await.expect("a store");
            clock.advance(Duration::from_secs(3600));
        }
        assert_eq!(
            remembered.get(&stored, "/see").await.body,
            "None []",
            "{end}"
        );
    }
}

/// Audit A13: an anonymous ticket that was planted in the victim's browser before her login.
#[tokio::test]
async fn planted_ticket_does_not_log_the_victim_out() {
    let app = app(layer(MemoryStore::new()));
    let mut attacker = Visitor::default();
    attacker.get(&app, "/cart").await;
    let mut victim = attacker.clone();
    victim.get(&app, "/login").await;
    attacker.get(&app, "/logout").await;
    assert_eq!(
        victim.get(&app, "/see").await.body,
        r#"Some("ada") ["cart"]"#
    );
}

/// Audit A14: a thief renews again and again.
#[tokio::test]
async fn logout_ends_a_session_that_was_renewed_often() {
    let app = app(layer(MemoryStore::new()));
    let mut victim = Visitor::default();
    victim.get(&app, "/login").await;
    let mut thief = victim.clone();
    for _ in 0..100 {
        assert!(!thief.get(&app, "/renew").await.sets_nothing());
    }
    let answer = victim.get(&app, "/logout").await;
    assert_eq!((answer.status, answer.removes()), (OK, true));
    assert_eq!(thief.get(&app, "/see").await.body, "None []");
}

/// Audit A15: an instance without the secret of a row.
#[tokio::test]
async fn logout_and_login_end_a_row_that_does_not_open() {
    let ring = |current, fallback| KeyRing::new(secret(current)).fallback(secret(fallback));
    for act in ["/logout", "/login"] {
        let store = MemoryStore::new();
        let over = |keys| built(SessionLayer::builder(keys)).store(store.clone());
        let old = app(over(ring(SECRET, OTHER_SECRET)));
        let both = app(over(ring(OTHER_SECRET, SECRET)));
        let blind = app(over(KeyRing::new(secret(SECRET))));
        let mut visitor = Visitor::default();
        visitor.get(&old, "/login").await;
        // the row has the new secret, the ticket the old one
        visitor.get(&both, "/cart").await;
        let mut copy = visitor.clone();
        assert_eq!(copy.get(&blind, "/see").await.body, "None []");
        for refused in ["/notice", "/count"] {
            let answer = copy.clone().get(&blind, refused).await;
            assert_eq!((answer.status, answer.sets_nothing()), (UNAVAILABLE, true));
        }
        assert_eq!(
            visitor.get(&both, "/see").await.body,
            r#"Some("ada") ["cart"]"#
        );
        assert_eq!(copy.get(&blind, act).await.status, OK, "{act}");
        assert_eq!(visitor.get(&both, "/see").await.body, "None []", "{act}");
    }
}

/// An inline cookie whose guard does not open may have ended.
#[tokio::test]
async fn cookie_whose_guard_does_not_open_is_refused() {
    let store = MemoryStore::new();
    let over = |keys| built(SessionLayer::builder(keys)).store(store.clone());
    let new = KeyRing::new(secret(OTHER_SECRET)).fallback(secret(SECRET));
    let mut visitor = Visitor::default();
    visitor.get(&app(in_cookies()), "/login").await;
    let mut copy = visitor.clone();
    visitor.get(&app(over(new)), "/logout").await;
    let blind = app(over(KeyRing::new(secret(SECRET))));
    for path in ["/see", "/cart", "/login", "/logout"] {
        let answer = copy.get(&blind, path).await;
        assert_eq!(
            (answer.status, answer.sets_nothing()),
            (UNAVAILABLE, true),
            "{path}"
        );
    }
}

/// A cookie that comes long after `renew` replaced it was copied, or its answer was lost.
#[tokio::test]
async fn copies_are_an_event_and_end_the_session_by_choice() {
    for ends in [false, true] {
        let (builder, clock) = on_a_clock();
        let builder = if ends {
            builder.end_on_reuse()
        } else {
            builder
        };
        let app = app(built(builder.store(MemoryStore::new())));
        let mut visitor = Visitor::default();
        visitor.get(&app, "/login").await;
        let mut copy = visitor.clone();
        visitor.get(&app, "/renew").await;
        clock.advance(Duration::from_secs(59));
        let events = Events::capture();
        copy.get(&app, "/see").await;
        assert_eq!(events.drain(), ["rejected replaced"]);
        clock.advance(Duration::from_secs(1));
        copy.get(&app, "/see").await;
        let told = ["ended reused", "reused", "rejected replaced"];
        assert_eq!(events.drain(), told[usize::from(!ends)..]);
        let sees = visitor.get(&app, "/see").await.body;
        assert_eq!(sees, if ends { "None []" } else { r#"Some("ada") []"# });
        if ends {
            copy.get(&app, "/see").await;
            assert!(
                !events.drain().contains(&"reused".to_owned()),
                "it has ended"
            );
        }
    }
    let error = SessionLayer::builder(keys()).end_on_reuse().build();
    let error = error.expect_err("there is no store");
    assert!(matches!(
        error,
        ConfigError::Invalid {
            setting: "end_on_reuse",
            ..
        }
    ));
}

/// A server that lost its last second, or a restored backup.
#[tokio::test]
async fn ticket_that_is_newer_than_its_row_is_anonymous() {
    let (builder, clock) = on_a_clock();
    let keys = CreatedKeys::default();
    let store = Wrapped(MemoryStore::new(), keys.clone());
    let app = app(built(builder).store(store.clone()));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login").await;
    let key = keys.0.lock().expect("no panic")[0];
    let old = store.load(key).await.expect("a store").expect("a row");
    clock.advance(Duration::from_secs(1));
    visitor.get(&app, "/renew").await;
    let new = store.load(key).await.expect("a store").expect("a row");
    let row = Row::new(old.version, &old.bytes, old.expires, old.owner);
    let restored = store.save(key, new.version, &row, new.owner).await;
    assert!(matches!(restored, Ok(Saving::Saved)));
    let events = Events::capture();
    assert_eq!(visitor.get(&app, "/see").await.body, "None []");
    assert_eq!(events.drain(), ["rejected rolled_back"]);
}

/// Two instances: what one of them ended is ended for the other at once.
#[tokio::test]
async fn delete_owner_and_logout_reach_all_instances() {
    let store = MemoryStore::new();
    let instance = || {
        let builder = testing::as_another_process(SessionLayer::builder(keys()));
        built(builder).store(store.clone())
    };
    let (first, second) = (instance(), instance());
    let (one, two) = (app(first), app(second.clone()));
    let mut visitor = Visitor::default();
    visitor.get(&one, "/login").await;
    second.delete_owner("ada").await.expect("a store");
    let answer = visitor.get(&one, "/see").await;
    assert_eq!(
        (answer.body.as_str(), answer.sets_nothing()),
        ("None []", true)
    );
    visitor.get(&one, "/login").await;
    let mut copy = visitor.clone();
    visitor.get(&two, "/logout").await;
    assert_eq!(copy.get(&one, "/see").await.body, "None []");
}

/// Audit A12: each read of a legacy cookie without an owner moved the session anew, with two rows.
#[cfg(feature = "starlette")]
#[tokio::test]
async fn legacy_session_without_an_owner_is_one_row() {
    use tower_sealed_session::compat::{Format as _, LegacyCookie, Starlette};
    const LIFE: Duration = Duration::from_secs(9999);
    let format = || Starlette::new(["an old secret of thirty-two characters"]).expect("a secret");
    let now = time::OffsetDateTime::now_utc();
    let old = format!("session={}", format().seal(r#"{"cart":"tea"}"#, now));
    let store = MemoryStore::new();
    let builder = SessionLayer::builder(keys())
        .idle_timeout(LIFE)
        .absolute_timeout(LIFE)
        .migrate(LegacyCookie::new(format(), LIFE), now + LIFE);
    let app = app(built(builder).store(store.clone()));
    for (reads, path) in ["/see", "/see", "/notice", "/login", "/renew"]
        .iter()
        .enumerate()
    {
        let answer = crate::support::get_with(&app, path, &[old.as_bytes()]).await;
        assert_eq!(
            (answer.status, answer.sets_nothing()),
            (OK, false),
            "{path}"
        );
        assert_eq!(rows(&store).await, reads as u64 + 1, "{path}");
        let mut visitor = Visitor::default();
        visitor.keep(&answer);
        assert!(
            visitor.get(&app, "/see").await.body.contains("cart"),
            "{path}"
        );
    }
    let answer = crate::support::get_with(&app, "/logout", &[old.as_bytes()]).await;
    assert_eq!(answer.status, OK);
    assert_eq!(rows(&store).await, 5, "there is nothing to end");
}
