//! Ending all sessions of an owner, or of a layer.

use std::time::Duration;

use axum::{Router, http::StatusCode, routing::get};
use tower_sealed_session::{
    Clock as _, Error, ErrorKind, OffsetDateTime, Session, SessionLayer, SessionLayerBuilder,
    testing::{self, TestClock},
};

use super::{Instance, Instances, READ};
use crate::support::{Events, Visitor, keys, secret};

const ADA: &str = r#"Some("ada") []"#;
const BOB: &str = r#"Some("bob") []"#;
const NOBODY: &str = "None []";

async fn logged_in(instance: &Instance, path: &str) -> Visitor {
    let mut visitor = Visitor::default();
    visitor.get(&instance.app, path).await;
    visitor
}

#[tokio::test(start_paused = true)]
async fn all_sessions_of_an_owner_end_everywhere() {
    let instances = Instances::new();
    let (here, there) = (instances.start().await, instances.start().await);
    let phone = logged_in(&here, "/login").await;
    let laptop = logged_in(&there, "/login").await;
    let bob = logged_in(&here, "/bob").await;
    instances.pass(Duration::from_secs(1)).await;
    there.layer.revoke_owner("ada").await.expect("a log");
    assert_eq!(there.sees(&laptop).await, NOBODY, "at once");
    tokio::time::sleep(READ).await;
    let events = Events::capture();
    for instance in [&here, &there, &instances.start().await] {
        events.drain();
        for device in [&phone, &laptop] {
            assert_eq!(instance.sees(device).await, NOBODY);
            assert_eq!(events.drain(), ["rejected revoked"]);
        }
        assert_eq!(instance.sees(&bob).await, BOB);
    }
}

#[tokio::test(start_paused = true)]
async fn login_after_the_end_of_all_sessions_works_at_once() {
    let instances = Instances::new();
    let (here, there) = (instances.start().await, instances.start().await);
    let mut visitor = logged_in(&here, "/login").await;
    here.layer.revoke_owner("ada").await.expect("a log");
    tokio::time::sleep(READ).await;
    for instance in [&here, &there] {
        assert_eq!(
            visitor.get(&instance.app, "/login").await.status,
            StatusCode::OK
        );
        for other in [&here, &there] {
            assert_eq!(other.sees(&visitor).await, ADA);
        }
        instances.pass(Duration::from_secs(5)).await;
    }
}

/// An instance whose clock is ahead has begun a session, and one that is behind must see that of
/// the next login.
#[tokio::test(start_paused = true)]
async fn clocks_may_differ_by_thirty_seconds() {
    let instances = Instances::new();
    let ahead = Instances {
        store: instances.store.clone(),
        clock: Instances::new().clock,
    };
    ahead.clock.advance(Duration::from_secs(30));
    for (first, second) in [(&instances, &ahead), (&ahead, &instances)] {
        let (here, there) = (first.start().await, second.start().await);
        let sessions = [
            logged_in(&here, "/login").await,
            logged_in(&there, "/login").await,
        ];
        instances.clock.advance(Duration::from_millis(1));
        ahead.clock.advance(Duration::from_millis(1));
        here.layer.revoke_owner("ada").await.expect("a log");
        tokio::time::sleep(READ).await;
        for instance in [&here, &there] {
            for session in &sessions {
                assert_eq!(instance.sees(session).await, NOBODY);
            }
        }
        for instance in [&here, &there] {
            let next = logged_in(instance, "/login").await;
            assert_eq!(here.sees(&next).await, ADA);
            assert_eq!(there.sees(&next).await, ADA);
        }
        first.clock.advance(Duration::from_secs(3600));
        second.clock.advance(Duration::from_secs(3600));
    }
}

/// The second end comes from an instance whose clock is behind. The login in between begins later
/// than that instance's time.
#[tokio::test(start_paused = true)]
async fn sessions_end_again_by_a_clock_that_is_behind() {
    for ends in [[false; 3], [true; 3], [false, true, false]] {
        let instances = Instances::new();
        let ahead = Instances {
            store: instances.store.clone(),
            clock: Instances::new().clock,
        };
        ahead.clock.advance(Duration::from_secs(10));
        let (here, there) = (ahead.start().await, instances.start().await);
        for (instance, ends_all) in [&here, &there, &there].into_iter().zip(ends) {
            let session = logged_in(&here, "/login").await;
            assert_eq!(there.sees(&session).await, ADA);
            match ends_all {
                true => instance.layer.revoke_everything().await.expect("a log"),
                false => instance.layer.revoke_owner("ada").await.expect("a log"),
            }
            tokio::time::sleep(READ).await;
            for instance in [&here, &there, &instances.start().await] {
                assert_eq!(instance.sees(&session).await, NOBODY, "{ends:?}");
            }
        }
        let session = logged_in(&there, "/login").await;
        assert_eq!(here.sees(&session).await, ADA);
    }
}

/// It may have checked the password that was changed since.
#[tokio::test(start_paused = true)]
async fn login_in_flight_is_refused() {
    let instances = Instances::new();
    let (here, there) = (instances.start().await, instances.start().await);
    let revoking = here.layer.clone();
    let handler = async move |session: Session| -> Result<(), Error> {
        revoking.revoke_owner("ada").await?;
        tokio::time::sleep(READ).await;
        session.login("ada")
    };
    let app = Router::new()
        .route("/slow", get(handler))
        .layer(there.layer.clone());
    let answer = Visitor::default().get(&app, "/slow").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.sets_nothing());
    assert_eq!(
        there.answer(&Visitor::default(), "/login").await.status,
        StatusCode::OK
    );
}

#[tokio::test(start_paused = true)]
async fn everything_ends_for_one_layer_only() {
    let instances = Instances::new();
    let (here, there) = (instances.start().await, instances.start().await);
    let admin = instances.start_with(|builder| builder.name("admin")).await;
    let ada = logged_in(&here, "/login").await;
    let cart = logged_in(&here, "/cart").await;
    let root = logged_in(&admin, "/login").await;
    here.layer.revoke_everything().await.expect("a log");
    tokio::time::sleep(READ).await;
    for instance in [&here, &there] {
        assert_eq!(instance.sees(&ada).await, NOBODY);
        assert_eq!(instance.sees(&cart).await, NOBODY);
        // sessions that begin now stay
        for path in ["/login", "/cart"] {
            let next = logged_in(instance, path).await;
            assert_ne!(there.sees(&next).await, NOBODY, "{path}");
        }
    }
    assert_eq!(admin.sees(&root).await, ADA);
}

/// While a secret is replaced, instances know an owner by different tags.
#[tokio::test(start_paused = true)]
async fn owner_ends_while_the_secret_is_replaced() {
    let instances = Instances::new();
    let ring = || tower_sealed_session::KeyRing::new(secret(crate::support::OTHER_SECRET));
    let (old, both) = (
        instances.start().await,
        ring().fallback(secret(crate::support::SECRET)),
    );
    let log = tower_sealed_session::Revocations::sharing(&instances.store);
    let builder = SessionLayer::builder(both).clock(instances.clock.clone());
    let builder = testing::as_another_process(builder).revocations(log.await.expect("a log"));
    let layer = builder.build().expect("valid settings");
    let app = crate::logout::app(layer.clone());
    let mut ada = logged_in(&old, "/login").await;
    layer.revoke_owner("ada").await.expect("a log");
    tokio::time::sleep(READ).await;
    assert_eq!(old.sees(&ada).await, NOBODY);
    assert_eq!(ada.get(&app, "/see").await.body, NOBODY);
}

#[tokio::test(start_paused = true)]
async fn owner_ends_in_the_cookie_and_in_the_store() {
    for mode in ["store", "overflow"] {
        let instances = Instances::new();
        let sessions = tower_sealed_session::store::MemoryStore::new();
        let set = |builder: SessionLayerBuilder| match mode {
            "store" => builder.store(sessions.clone()),
            _ => builder.overflow(sessions.clone()),
        };
        let plain = instances.start().await;
        let (here, there) = (
            instances.start_with(set).await,
            instances.start_with(set).await,
        );
        let inline = logged_in(&plain, "/login").await;
        let mut stored = logged_in(&here, "/login").await;
        let big = async |session: Session| session.insert("big", "x".repeat(9000));
        let app = Router::new()
            .route("/big", get(big))
            .layer(here.layer.clone());
        assert_eq!(stored.get(&app, "/big").await.status, StatusCode::OK);
        here.layer.revoke_owner("ada").await.expect("a log");
        tokio::time::sleep(READ).await;
        for visitor in [&inline, &stored] {
            assert_eq!(there.sees(visitor).await, NOBODY, "{mode}");
            assert_eq!(here.sees(visitor).await, NOBODY, "{mode}");
        }
        let next = logged_in(&there, "/login").await;
        assert_eq!(here.sees(&next).await, ADA, "{mode}");
    }
}

/// The older cookie that holds the whole session is refused after the move, not only after the
/// logout.
#[tokio::test(start_paused = true)]
async fn session_that_overflowed_leaves_no_cookie_behind() {
    let instances = Instances::new();
    let sessions = tower_sealed_session::store::MemoryStore::new();
    let set = |builder: SessionLayerBuilder| builder.overflow(sessions.clone());
    let (here, there) = (
        instances.start_with(set).await,
        instances.start_with(set).await,
    );
    let mut visitor = logged_in(&here, "/login").await;
    let copy = visitor.clone();
    let big = async |session: Session| session.insert("big", "x".repeat(9000));
    let app = Router::new()
        .route("/big", get(big))
        .layer(here.layer.clone());
    visitor.get(&app, "/big").await;
    assert_eq!(there.sees(&visitor).await, r#"Some("ada") ["big"]"#);
    tokio::time::sleep(READ).await;
    assert_eq!(there.sees(&copy).await, NOBODY);
    visitor.get(&here.app, "/logout").await;
    tokio::time::sleep(READ).await;
    for old in [&copy, &visitor] {
        assert_eq!(there.sees(old).await, NOBODY);
    }
}

#[tokio::test(start_paused = true)]
async fn time_before_which_everything_ends_is_exclusive_and_rounded_up() {
    let instances = Instances::new();
    let (here, there) = (instances.start().await, instances.start().await);
    let admin = instances.start_with(|builder| builder.name("admin")).await;
    let (ada, root) = (
        logged_in(&here, "/login").await,
        logged_in(&admin, "/login").await,
    );
    let at = instances.clock.now();
    instances.pass(Duration::from_secs(60)).await;
    let nano = Duration::from_nanos(1);
    for (time, sees) in [(at - nano, ADA), (at, ADA), (at + nano, NOBODY)] {
        let ended = here.layer.revoke_everything_before(time).await;
        ended.expect("a log");
        tokio::time::sleep(READ).await;
        for instance in [&here, &there, &instances.start().await] {
            assert_eq!(instance.sees(&ada).await, sees, "{time}");
        }
    }
    assert_eq!(admin.sees(&root).await, ADA, "of another layer");
}

/// A login during those 30 seconds begins at that time, as after `revoke_everything`. Other
/// instances must not refuse it as one from the future.
#[tokio::test(start_paused = true)]
async fn everything_ends_up_to_thirty_seconds_ahead_and_no_later() {
    let instances = Instances::new();
    let (here, there) = (instances.start().await, instances.start().await);
    let behind = Instances {
        store: instances.store.clone(),
        clock: TestClock::at(instances.clock.now() - Duration::from_secs(30)),
    };
    let ada = logged_in(&here, "/login").await;
    let ahead = instances.clock.now() + Duration::from_secs(30);
    let before_1970 = OffsetDateTime::UNIX_EPOCH - Duration::from_secs(1);
    for time in [ahead + Duration::from_nanos(1), before_1970] {
        let refused = here.layer.revoke_everything_before(time).await;
        let refused = refused.expect_err("it is refused");
        assert_eq!(refused.kind(), ErrorKind::InvalidTime);
        assert!(refused.to_string().contains("30 s"), "{refused}");
    }
    tokio::time::sleep(READ).await;
    assert!(here.log.is_empty() && there.log.is_empty());
    let ended = here.layer.revoke_everything_before(ahead).await;
    ended.expect("a log");
    tokio::time::sleep(READ).await;
    let slow = behind.start().await;
    assert_eq!(there.sees(&ada).await, NOBODY);
    for instance in [&here, &there, &slow] {
        let next = logged_in(instance, "/login").await;
        for other in [&here, &there, &slow] {
            assert_eq!(other.sees(&next).await, ADA);
        }
    }
}

/// The program that revokes may have shorter timeouts than the app.
#[tokio::test(start_paused = true)]
async fn sessions_that_live_longer_than_the_revoking_layer_allows_end_too() {
    let instances = Instances::new();
    let day = Duration::from_secs(24 * 3600);
    let long = |builder: SessionLayerBuilder| {
        let builder = builder.idle_timeout(30 * day);
        builder.absolute_timeout(90 * day).max_remember(90 * day)
    };
    let app = instances.start_with(long).await;
    let short = |builder: SessionLayerBuilder| builder.max_remember(day);
    let revoking = instances.start_with(short).await;
    let ada = logged_in(&app, "/login").await;
    instances.pass(5 * day).await;
    let at = instances.clock.now() - 4 * day;
    let ended = revoking.layer.revoke_everything_before(at).await;
    ended.expect("a log");
    tokio::time::sleep(READ).await;
    assert_eq!(app.sees(&ada).await, NOBODY);
    assert_eq!(instances.start_with(long).await.sees(&ada).await, NOBODY);
}

#[tokio::test]
async fn without_a_log_nothing_can_be_revoked() {
    let layer = SessionLayer::new(keys());
    for error in [
        layer.revoke_owner("ada").await.expect_err("no log"),
        layer.revoke_everything().await.expect_err("no log"),
        layer
            .revoke_everything_before(OffsetDateTime::now_utc())
            .await
            .expect_err("no log"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("`revocations`"), "{error}");
    }
}
