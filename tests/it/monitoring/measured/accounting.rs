//! Over a day on a test clock, the counters agree with what the SQL stores hold.

use std::time::Duration;

use axum::Router;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tower_sealed_session::{
    Clock as _, SessionLayer,
    store::{self, AnyStore, Operate as _},
    testing::TestClock,
    tools::{Contents, contents},
};

use super::recorder::Recorded;
use crate::{
    processes::Folder,
    stores::{
        self,
        sql_server::{self, Engine},
    },
    support::{Visitor, on_a_clock},
};

const VISITORS: usize = 40;
const STEP: Duration = Duration::from_secs(7 * 60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What is in the store, told by opening its rows.
#[derive(Default)]
struct Held {
    living: u64,
    expired: u64,
}

struct Day {
    app: Router,
    layer: SessionLayer,
    store: AnyStore,
    clock: TestClock,
    /// Sessions that had expired when they were pruned.
    expired: u64,
}

impl Day {
    async fn begin(url: &str) -> Self {
        let store = store::connect(url).await.expect("a store");
        store.create_schema().await.expect("a schema");
        let (builder, clock) = on_a_clock();
        let layer = builder.store(store.clone()).build().expect("settings");
        Self {
            app: stores::app(layer.clone()),
            layer,
            store,
            clock,
            expired: 0,
        }
    }

    async fn held(&self) -> Held {
        let (mut held, mut from) = (Held::default(), None);
        let now = self.clock.now();
        loop {
            let part = self.store.scan(from).await.expect("a scan");
            for (key, row) in &part.sessions {
                if contents(&self.layer, *key, row) == Contents::Session {
                    match row.expires > now {
                        true => held.living += 1,
                        false => held.expired += 1,
                    }
                }
            }
            from = part.next;
            if from.is_none() {
                return held;
            }
        }
    }

    async fn prune(&mut self) {
        self.expired += self.held().await.expired;
        let mut from = None;
        loop {
            let pruned = self.store.prune(self.clock.now(), from).await;
            from = pruned.expect("a store").next;
            if from.is_none() {
                return;
            }
        }
    }

    /// Visitors come, log in and out, stay away for hours, and use one session in two requests at
    /// once. Some owners end all their sessions.
    async fn pass(&mut self) {
        let mut random = StdRng::seed_from_u64(20);
        let mut visitors = vec![Visitor::default(); VISITORS];
        let mut passed = Duration::ZERO;
        while passed < DAY {
            for _ in 0..VISITORS / 4 {
                let visitor = random.random_range(0..VISITORS);
                self.act(&mut random, &mut visitors, visitor).await;
            }
            if random.random_range(0..20) == 0 {
                self.prune().await;
            }
            self.clock.advance(STEP);
            passed += STEP;
        }
    }

    async fn act(&self, random: &mut StdRng, visitors: &mut [Visitor], who: usize) {
        let owner = format!("owner{}", who % 7);
        let path = match random.random_range(0..12) {
            0..4 => "/count".to_owned(),
            4 => "/get/n".to_owned(),
            5 => format!("/login/{owner}"),
            6 => "/renew".to_owned(),
            7 => "/logout".to_owned(),
            8 => "/clear".to_owned(),
            9 => "/remember".to_owned(),
            10 => {
                let deleted = self.layer.delete_owner(&owner).await;
                deleted.expect("a store");
                return;
            }
            _ => {
                // both change the session, and one of them has to try again
                let (mut first, mut second) = (visitors[who].clone(), visitors[who].clone());
                tokio::join!(
                    first.get(&self.app, "/count"),
                    second.get(&self.app, "/set/other/1")
                );
                visitors[who] = first;
                return;
            }
        };
        visitors[who].get(&self.app, &path).await;
    }
}

/// `independent`: the rows by state as another client counts them.
async fn counters_agree_with_the_store(url: &str, kind: &str) {
    let recorded = Recorded::begin();
    let mut day = Day::begin(url).await;
    day.pass().await;

    let labels = [("mode", "store"), ("store", kind)];
    let created = recorded.count("session_created_total", &labels);
    let ended = recorded.count("session_ended_total", &labels);
    let held = day.held().await;
    assert_eq!(
        created,
        held.living + ended + held.expired + day.expired,
        "{ended} ended, {} live, {} + {} expired",
        held.living,
        held.expired,
        day.expired
    );
    assert!(created > 500 && held.living > 0 && day.expired > 100);
    for reason in ["logout", "login", "emptied", "owner"] {
        let labels = [labels[0], labels[1], ("reason", reason)];
        assert!(
            recorded.count("session_ended_total", &labels) > 0,
            "{reason}"
        );
    }
    let of_result = |result| recorded.count("session_requests_total", &[("result", result)]);
    let requests = ["valid", "absent", "expired", "ended", "rejected", "error"].map(of_result);
    assert!(requests[..4].iter().all(|count| *count > 0), "{requests:?}");
    assert_eq!(requests[4..], [0, 0]);
    let rejected = recorded.count("session_rejected_total", &[]);
    assert_eq!(rejected, requests[2] + requests[3]);
    assert_eq!(
        recorded.count("session_open_duration_seconds_count", &labels),
        requests.iter().sum::<u64>()
    );
    assert_eq!(recorded.count("session_store_errors_total", &[]), 0);
    assert_eq!(recorded.sum("session_store_operations_in_flight", &[]), 0.0);
}

/// In cookies, nobody knows which sessions expired. Each end is still counted once.
#[tokio::test]
async fn sessions_in_cookies_end_once() {
    let recorded = Recorded::begin();
    let (builder, _clock) = on_a_clock();
    let app = stores::app(builder.build().expect("settings"));
    let mut ada = Visitor::default();
    for path in ["/count", "/login/ada", "/renew"] {
        ada.get(&app, path).await;
    }
    let mut copy = ada.clone();
    ada.get(&app, "/logout").await;
    copy.get(&app, "/logout").await;
    let mut other = Visitor::default();
    other.get(&app, "/count").await;
    other.get(&app, "/clear").await;

    let ended = |reason| recorded.count("session_ended_total", &[("reason", reason)]);
    assert_eq!(["login", "logout", "emptied"].map(ended), [1, 1, 1]);
    assert_eq!(recorded.count("session_created_total", &[]), 3);
    assert_eq!(recorded.count("session_renewed_total", &[]), 1);
}

#[tokio::test]
async fn sessions_that_began_live_or_ended_or_expired_in_sqlite() {
    let folder = Folder::new();
    let url = format!("sqlite:{}", folder.0.join("sessions.db").display());
    counters_agree_with_the_store(&url, "sqlite").await;
}

#[tokio::test]
async fn sessions_that_began_live_or_ended_or_expired_in_postgres() {
    let server = sql_server::shared(Engine::Postgres);
    let url = server.url(&server.database().await);
    counters_agree_with_the_store(&url, "postgres").await;
}

#[tokio::test]
async fn sessions_that_began_live_or_ended_or_expired_in_mariadb() {
    let server = sql_server::shared(Engine::MariaDb);
    let url = server.url(&server.database().await);
    counters_agree_with_the_store(&url, "mysql").await;
}
