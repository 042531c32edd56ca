//! Logout, login and renewal end cookies on every instance.

use std::time::Duration;

use axum::http::StatusCode;
use tower_sealed_session::{Error, Session, testing};

use super::{Instances, READ};
use crate::support::{Events, Visitor};

const ADA: &str = r#"Some("ada") ["cart"]"#;
const NOBODY: &str = "None []";
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn ended_cookies_are_refused_everywhere_for_the_rest_of_their_life() {
    for (end, before) in [
        ("/logout", ADA),
        ("/logout,notice", ADA),
        ("/login", ADA),
        ("/bob", ADA),
        ("/renew", ADA),
    ] {
        let instances = Instances::new();
        let (here, there) = (instances.start().await, instances.start().await);
        let mut visitor = Visitor::default();
        visitor.get(&here.app, "/login,cart").await;
        let copy = visitor.clone();
        assert_eq!(there.sees(&copy).await, before);
        assert_eq!(visitor.get(&here.app, end).await.status, StatusCode::OK);
        assert_eq!(here.sees(&copy).await, NOBODY, "{end}: here, at once");
        tokio::time::sleep(READ).await;
        for minute in [0, 2, 30, 59] {
            instances.clock.advance(minute * MINUTE / 10);
            assert_eq!(there.sees(&copy).await, NOBODY, "{end}, {minute}");
            let later = instances.start().await;
            assert_eq!(
                later.sees(&copy).await,
                NOBODY,
                "{end}, {minute}: restarted"
            );
        }
        if end == "/renew" {
            assert_eq!(there.sees(&visitor).await, ADA);
        }
    }
}

/// A login of a visitor without an owner ends the cookie from before it.
#[tokio::test(start_paused = true)]
async fn cookie_from_before_a_login_is_refused() {
    let instances = Instances::new();
    let (here, there) = (instances.start().await, instances.start().await);
    let mut visitor = Visitor::default();
    visitor.get(&here.app, "/cart").await;
    let copy = visitor.clone();
    visitor.get(&here.app, "/login").await;
    assert_eq!(here.sees(&visitor).await, ADA);
    tokio::time::sleep(READ).await;
    assert_eq!(there.sees(&copy).await, NOBODY);
    assert_eq!(there.sees(&visitor).await, ADA);
}

#[tokio::test(start_paused = true)]
async fn copy_that_is_used_does_not_bring_a_session_back() {
    let instances = Instances::new();
    let (here, there) = (instances.start().await, instances.start().await);
    let mut visitor = Visitor::default();
    visitor.get(&here.app, "/login,cart").await;
    let mut thief = visitor.clone();
    instances.pass(6 * MINUTE).await;
    assert!(!thief.get(&there.app, "/count").await.sets_nothing());
    let renewed = visitor.clone().get(&here.app, "/renew").await;
    assert_eq!(renewed.status, StatusCode::OK);
    visitor.keep(&renewed);
    visitor.get(&here.app, "/logout").await;
    tokio::time::sleep(READ).await;
    for instance in [&here, &there] {
        assert_eq!(instance.sees(&thief).await, NOBODY);
    }
}

/// Events, and what happens to changes, by how long ago the session ended.
#[tokio::test(start_paused = true)]
async fn changes_of_an_ended_session_are_lost_in_flight_and_begin_anew_later() {
    let lost = StatusCode::SERVICE_UNAVAILABLE;
    for (end, reason, in_flight) in [
        ("/logout", "rejected ended", StatusCode::OK),
        ("/login", "rejected ended", lost),
        ("/renew", "rejected replaced", lost),
    ] {
        let instances = Instances::new();
        let (here, there) = (instances.start().await, instances.start().await);
        let mut visitor = Visitor::default();
        visitor.get(&here.app, "/login").await;
        let copy = visitor.clone();
        visitor.get(&here.app, end).await;
        tokio::time::sleep(READ).await;
        let events = Events::capture();
        let answer = there.answer(&copy, "/count").await;
        assert_eq!((answer.status, answer.sets_nothing()), (in_flight, true));
        assert_eq!(events.drain()[0], reason);
        instances.pass(Duration::from_secs(11)).await;
        let answer = there.answer(&copy, "/count").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.body, r#"None ["n"]"#, "{end}");
        assert_eq!(events.drain(), [reason, "created"]);
    }
}

#[tokio::test(start_paused = true)]
async fn logout_with_an_old_id_ends_the_session() {
    let instances = Instances::new();
    let (here, there) = (instances.start().await, instances.start().await);
    let mut visitor = Visitor::default();
    visitor.get(&here.app, "/login").await;
    let old = visitor.clone();
    visitor.get(&here.app, "/renew").await;
    tokio::time::sleep(READ).await;
    assert!(there.answer(&old, "/logout").await.removes());
    tokio::time::sleep(READ).await;
    for instance in [&here, &there] {
        assert_eq!(instance.sees(&visitor).await, NOBODY);
    }
}

#[tokio::test(start_paused = true)]
async fn two_renewals_of_one_id_leave_one_session() {
    let instances = Instances::new();
    let (here, there) = (instances.start().await, instances.start().await);
    let mut visitor = Visitor::default();
    visitor.get(&here.app, "/login,cart").await;
    // neither instance has read what the other one adds
    let (first, second) = tokio::join!(
        here.answer(&visitor, "/renew"),
        there.answer(&visitor, "/renew")
    );
    let statuses = [first.status, second.status];
    assert!(statuses.contains(&StatusCode::OK));
    assert!(statuses.contains(&StatusCode::SERVICE_UNAVAILABLE));
    let sets = [&first, &second].map(|answer| !answer.sets_nothing());
    assert_eq!(sets.iter().filter(|&&sets| sets).count(), 1);
}

/// Of two logins with one cookie, the later one finds that its session ended elsewhere.
#[tokio::test(start_paused = true)]
async fn login_does_not_bring_back_entries_of_a_session_that_ended_elsewhere() {
    let instances = Instances::new();
    let (here, there) = (instances.start().await, instances.start().await);
    let mut visitor = Visitor::default();
    visitor.get(&here.app, "/cart").await;
    let (out, login) = tokio::join!(
        here.answer(&visitor, "/logout"),
        there.answer(&visitor, "/login")
    );
    assert!(out.removes() && login.status == StatusCode::OK);
    let mut visitor = Visitor::default();
    visitor.keep(&login);
    assert_eq!(there.sees(&visitor).await, r#"Some("ada") []"#);
}

#[tokio::test(start_paused = true)]
async fn copy_of_a_renewed_cookie_is_told_and_can_end_the_session() {
    for ends in [false, true] {
        let instances = Instances::new();
        let set = |builder: tower_sealed_session::SessionLayerBuilder| match ends {
            true => builder.end_on_reuse(),
            false => builder,
        };
        let here = instances.start_with(set).await;
        let there = instances.start_with(set).await;
        let mut visitor = Visitor::default();
        visitor.get(&here.app, "/login").await;
        let copy = visitor.clone();
        instances.pass(2 * MINUTE).await;
        visitor.get(&here.app, "/renew").await;
        let events = Events::capture();
        for (wait, told) in [(0, false), (59, false), (2, true)] {
            instances.pass(Duration::from_secs(wait)).await;
            assert_eq!(there.sees(&copy).await, NOBODY);
            let reused = events.drain().contains(&"reused".to_owned());
            assert_eq!(reused, told, "{wait}");
        }
        tokio::time::sleep(READ).await;
        let goes_on = here.sees(&visitor).await != NOBODY;
        assert_eq!(goes_on, !ends);
    }
}

#[tokio::test(start_paused = true)]
async fn open_session_learns_of_its_end_from_still_valid() {
    let instances = Instances::new();
    let (here, there) = (instances.start().await, instances.start().await);
    for end in ["/logout", "/bob", "/renew"] {
        let mut visitor = Visitor::default();
        visitor.get(&here.app, "/login").await;
        let view = there.layer.open(&crate::view::of(&visitor)).await;
        let view = view.expect("it opens");
        assert!(view.still_valid().await.expect("a log"));
        visitor.get(&here.app, end).await;
        tokio::time::sleep(READ).await;
        assert!(!view.still_valid().await.expect("a log"), "{end}");
    }
}

/// The memory of this process does not know of it: the log does.
#[tokio::test(start_paused = true)]
async fn request_in_flight_keeps_nothing_after_a_logout_elsewhere() {
    let instances = Instances::new();
    let (here, there) = (instances.start().await, instances.start().await);
    for (act, status) in [
        ("count", StatusCode::OK),
        ("see", StatusCode::OK),
        ("renew", StatusCode::OK),
    ] {
        let mut visitor = Visitor::default();
        visitor.get(&here.app, "/login").await;
        let copy = visitor.clone();
        instances.pass(10 * MINUTE).await;
        let out = here.app.clone();
        let handler = async move |session: Session| -> Result<(), Error> {
            crate::logout::acts(&session, act).await?;
            visitor.get(&out, "/logout").await;
            tokio::time::sleep(READ).await;
            Ok(())
        };
        let app = axum::Router::new()
            .route("/slow", axum::routing::get(handler))
            .layer(there.layer.clone());
        let mut slow = copy.clone();
        let answer = slow.get(&app, "/slow").await;
        assert_eq!(answer.status, status, "{act}");
        for instance in [&here, &there, &instances.start().await] {
            assert_eq!(instance.sees(&slow).await, NOBODY, "{act}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn set_and_log_are_empty_when_everything_has_expired() {
    let instances = Instances::new();
    let set = |builder: tower_sealed_session::SessionLayerBuilder| {
        builder.max_remember(Duration::from_secs(24 * 3600))
    };
    let here = instances.start_with(set).await;
    let there = instances.start_with(set).await;
    for _ in 0..100 {
        let mut visitor = Visitor::default();
        visitor.get(&here.app, "/login").await;
        visitor.get(&here.app, "/logout").await;
    }
    here.layer.revoke_owner("ada").await.expect("a log");
    tokio::time::sleep(READ).await;
    assert_eq!((here.log.len(), there.log.len()), (101, 101));
    instances.clock.advance(Duration::from_secs(24 * 3600 + 91));
    tokio::time::sleep(MINUTE).await;
    let later = instances.start_with(set).await;
    for instance in [&here, &there, &later] {
        assert!(instance.log.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn renewals_do_not_need_the_log_without_one() {
    let mut visitor = Visitor::default();
    let builder = testing::as_another_process(tower_sealed_session::SessionLayer::builder(
        crate::support::keys(),
    ));
    let events = Events::capture();
    let app = crate::logout::app(builder.build().expect("valid settings"));
    assert_eq!(events.drain(), ["unrevocable"]);
    visitor.get(&app, "/login,cart").await;
    let answer = visitor.get(&app, "/renew").await;
    assert_eq!(answer.body, ADA);
}
