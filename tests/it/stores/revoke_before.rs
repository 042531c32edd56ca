//! The end of all sessions that began before a time, with each log, in cookies and in a store.

use std::time::Duration;

use axum::Router;
use tower_sealed_session::{
    Clock as _, ErrorKind, Revocations, SessionLayer, SessionLayerBuilder, store::MemoryStore,
    testing, testing::TestClock,
};

use super::{
    backend::{Backend, built, on_every_store},
    redis_client::wait_until,
};
use crate::{
    logout,
    support::{Visitor, keys},
};

on_every_store! {
    sessions_from_before_a_time_end_everywhere_and_later_ones_stay;
}

const ADA: &str = r#"Some("ada") []"#;
const NOBODY: &str = "None []";
const SECOND: Duration = Duration::from_secs(1);

/// An instance of an app whose sessions are in cookies, or in a store.
struct Instance {
    app: Router,
    layer: SessionLayer,
    log: Revocations,
}

/// What all instances of one app share.
struct Setup<'a> {
    log: &'a Backend,
    store: Option<MemoryStore>,
    clock: TestClock,
}

impl Setup<'_> {
    async fn start(&self) -> Instance {
        let log = Revocations::sharing(&self.log.open().await).await;
        let log = log.expect("a log");
        let builder = SessionLayer::builder(keys()).clock(self.clock.clone());
        let builder = testing::as_another_process(builder).revocations(log.clone());
        let layer = built(match &self.store {
            Some(store) => SessionLayerBuilder::store(builder, store.clone()),
            None => builder,
        });
        Instance {
            app: logout::app(layer.clone()),
            layer,
            log,
        }
    }
}

impl Instance {
    async fn login(&self) -> Visitor {
        let mut visitor = Visitor::default();
        visitor.get(&self.app, "/login").await;
        visitor
    }

    async fn sees(&self, copy: &Visitor) -> String {
        copy.clone().get(&self.app, "/see").await.body
    }
}

async fn sessions_from_before_a_time_end_everywhere_and_later_ones_stay(log: Backend) {
    let start = time::OffsetDateTime::from_unix_timestamp(1_800_000_000);
    let clock = TestClock::at(start.expect("in range"));
    for store in [None, Some(MemoryStore::new())] {
        let setup = Setup {
            log: &log,
            store,
            clock: clock.clone(),
        };
        let (here, there) = (setup.start().await, setup.start().await);
        let old = [here.login().await, there.login().await];
        clock.advance(SECOND - Duration::from_millis(1));
        let last = here.login().await;
        clock.advance(Duration::from_millis(1));
        let at = clock.now();
        let mut stay = vec![here.login().await, there.login().await];
        clock.advance(Duration::from_secs(60));
        stay.push(there.login().await);

        // one that is refused ends nothing
        let later = clock.now() + Duration::from_secs(31);
        let refused = here.layer.revoke_everything_before(later).await;
        assert_eq!(
            refused.expect_err("too late").kind(),
            ErrorKind::InvalidTime
        );
        // twice is the same as once, and so is an earlier time afterwards
        for before in [at, at, at - SECOND] {
            let ended = here.layer.revoke_everything_before(before).await;
            ended.expect("a log");
        }
        assert_eq!(here.sees(&last).await, NOBODY, "at once");
        wait_until(async || there.sees(&last).await == NOBODY).await;
        stay.push(there.login().await);
        for instance in [&here, &there, &setup.start().await] {
            assert!(!instance.log.is_empty());
            for ended in old.iter().chain([&last]) {
                assert_eq!(instance.sees(ended).await, NOBODY);
            }
            for visitor in &stay {
                assert_eq!(instance.sees(visitor).await, ADA);
            }
        }
        // the sessions that stayed end by a later time
        clock.advance(SECOND);
        here.layer
            .revoke_everything_before(clock.now())
            .await
            .expect("a log");
        for visitor in &stay {
            assert_eq!(here.sees(visitor).await, NOBODY);
            wait_until(async || there.sees(visitor).await == NOBODY).await;
        }
        let next = there.login().await;
        assert_eq!(here.sees(&next).await, ADA);
        // the other kind of instances has the same log
        clock.advance(SECOND);
    }
}
