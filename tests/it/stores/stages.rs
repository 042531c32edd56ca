//! Visitors under load, while their sessions move from store to store and at last into cookies.
//! Two instances are replaced one after the other, so that each stage begins with a mixed one.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::Router;
use http::StatusCode;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tower_sealed_session::{SessionLayer, testing};

use super::{app, backend::Backend};
use crate::support::{Answer, NAME, Visitor, keys};

const VISITORS: usize = 50;
/// The rounds of each visitor after an instance was replaced.
const ROUNDS: usize = 3;
/// The cookies of each visitor that are tried after the logout. The oldest have to follow all moves.
const KEPT: usize = 8;
const FILL: &str =
    "/set/fill/0123456789012345678901234567890123456789012345678901234567890123456789";

/// The configuration of an instance. The numbers are those of stores.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Store(usize),
    Moving { to: usize, from: usize },
    ReadFrom(usize),
    Cookie,
}

/// The way through all stores, and into cookies.
fn stages(stores: usize) -> Vec<Stage> {
    let mut stages = Vec::new();
    for to in 1..stores {
        let from = to - 1;
        // prepared, moving, done
        stages.push(Stage::Moving { to: from, from: to });
        stages.push(Stage::Moving { to, from });
        stages.push(Stage::Store(to));
    }
    stages.extend([Stage::ReadFrom(stores - 1), Stage::Cookie]);
    stages
}

async fn instance(stage: Stage, stores: &[Backend]) -> Router {
    let builder = testing::as_another_process(SessionLayer::builder(keys()));
    let builder = match stage {
        Stage::Store(store) => builder.store(stores[store].open().await),
        Stage::Moving { to, from } => builder
            .read_from(stores[from].open().await)
            .store(stores[to].open().await),
        Stage::ReadFrom(store) => builder.read_from(stores[store].open().await),
        Stage::Cookie => return app(builder.build().expect("valid settings")),
    };
    // this test is about lost sessions, so a busy machine must not cause time-outs
    let builder = builder.store_timeout(Duration::from_secs(60));
    app(builder.build().expect("valid settings"))
}

struct Fleet {
    instances: Mutex<[Router; 2]>,
    /// The number of replacements so far. The visitor of that number logs out next.
    step: AtomicUsize,
    /// Whether visitors send requests at the same time. In cookies, the last response wins.
    parallel: AtomicBool,
    stop: AtomicBool,
    rounds: Vec<AtomicUsize>,
    requests: AtomicUsize,
    /// The cookies of visitors who have logged out.
    ended: Mutex<Vec<Visitor>>,
    /// Those whose session is in their cookie.
    inline: Mutex<BTreeSet<usize>>,
}

impl Fleet {
    fn any(&self, rng: &mut StdRng) -> Router {
        self.instances.lock().expect("no panic")[rng.random_range(0..2)].clone()
    }

    /// Waits until each visitor has made so many rounds.
    async fn rounds(&self) {
        let before: Vec<_> = self.rounds.iter().map(|it| it.load(Relaxed)).collect();
        self.wait("rounds", || {
            let mut rounds = self.rounds.iter().zip(&before);
            rounds.all(|(now, before)| now.load(Relaxed) >= before.saturating_add(ROUNDS))
        })
        .await;
    }

    async fn wait(&self, what: &str, done: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !done() {
            assert!(Instant::now() < deadline, "{what} take too long");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// No cookie of a visitor who has logged out opens a session, on either instance.
    async fn check_ended(&self, stage: Stage) {
        let ended = self.ended.lock().expect("no panic").clone();
        let instances = self.instances.lock().expect("no panic").clone();
        let checks = ended
            .iter()
            .flat_map(|cookie| instances.iter().map(move |it| (cookie, it)));
        let checks = checks.map(async |(cookie, instance)| {
            let answer = cookie.clone().get(instance, "/who").await;
            let owner = answer.body.replace("Service Unavailable", "");
            assert_eq!(owner, "", "{stage:?}");
        });
        futures_util::future::join_all(checks).await;
    }
}

/// A move SQLite → Redis → PostgreSQL → cookie.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visitors_under_load_go_through_all_stores_into_cookies() {
    // the stores in this order
    let stores = [
        Backend::sqlite().await,
        Backend::redis().await,
        Backend::postgres().await,
        Backend::cluster().await,
    ];
    let stages = stages(stores.len());
    let first = [
        instance(Stage::Store(0), &stores).await,
        instance(Stage::Store(0), &stores).await,
    ];
    let fleet = Arc::new(Fleet {
        instances: Mutex::new(first),
        step: AtomicUsize::new(0),
        parallel: AtomicBool::new(true),
        stop: AtomicBool::new(false),
        rounds: (0..VISITORS).map(|_| AtomicUsize::new(0)).collect(),
        requests: AtomicUsize::new(0),
        ended: Mutex::default(),
        inline: Mutex::default(),
    });
    let visits = (0..VISITORS).map(|number| tokio::spawn(visit(number, fleet.clone())));
    let visits: Vec<_> = visits.collect();
    fleet.rounds().await;
    let begin = Instant::now();
    for &stage in &stages {
        match stage {
            Stage::ReadFrom(_) => fleet.parallel.store(false, Relaxed),
            // all sessions have to be in their cookies first
            Stage::Cookie => {
                let staying = fleet.step.load(Relaxed)..VISITORS;
                let all = || {
                    let inline = fleet.inline.lock().expect("no panic");
                    staying.clone().all(|number| inline.contains(&number))
                };
                fleet.wait("moves into cookies", all).await;
            }
            Stage::Store(_) | Stage::Moving { .. } => {}
        }
        for number in 0..2 {
            let new = instance(stage, &stores).await;
            fleet.instances.lock().expect("no panic")[number] = new;
            fleet.step.fetch_add(1, Relaxed);
            fleet.rounds().await;
            fleet.check_ended(stage).await;
        }
    }
    fleet.stop.store(true, Relaxed);
    let mut updates = 0;
    for visit in visits {
        updates += visit.await.expect("the visitor's session is intact");
    }
    let (steps, requests) = (fleet.step.load(Relaxed), fleet.requests.load(Relaxed));
    let ended = fleet.ended.lock().expect("no panic").len();
    println!(
        "{steps} replacements, {requests} requests, {updates} updates, {steps} logouts with {ended} \
         cookies, {:.1} s",
        begin.elapsed().as_secs_f32()
    );
    assert!(steps < VISITORS && ended > steps);
    assert!(requests > VISITORS * steps * ROUNDS, "{requests}");
}

/// A visitor until the end of the test, or until the visitor logs out. Returns the number of
/// updates.
async fn visit(number: usize, fleet: Arc<Fleet>) -> usize {
    let mut rng = StdRng::seed_from_u64(number as u64);
    let mut visitor = Visitor::default();
    let mut cookies = Vec::new();
    let who = format!("/login/visitor-{number}");
    for path in [&who, FILL] {
        assert_eq!(visitor.get(&fleet.any(&mut rng), path).await.status, 200);
    }
    let mut n = 0;
    for round in 0.. {
        let leaves = fleet.step.load(Relaxed) > number;
        if leaves || fleet.stop.load(Relaxed) {
            if leaves {
                log_out(visitor, cookies, &fleet, &mut rng).await;
                fleet.rounds[number].store(usize::MAX, Relaxed);
            }
            return n;
        }
        if cookies.last() != Some(&visitor) {
            cookies.push(visitor.clone());
        }
        if round % 6 == 5 {
            let answer = visitor.get(&fleet.any(&mut rng), "/renew").await;
            assert_eq!(answer.status, StatusCode::OK, "{number}");
        }
        let parallel = fleet.parallel.load(Relaxed) && rng.random();
        let value = round.to_string();
        let set = format!("/set/k/{value}");
        let [one, other] = [fleet.any(&mut rng), fleet.any(&mut rng)];
        let mut copy = visitor.clone();
        let answers = match parallel {
            true => {
                let (counted, set) =
                    tokio::join!(visitor.get(&one, "/count"), copy.get(&other, &set));
                visitor.keep(&set);
                [counted, set]
            }
            false => [
                visitor.get(&one, "/count").await,
                visitor.get(&other, &set).await,
            ],
        };
        n += 1;
        let read = visitor.get(&fleet.any(&mut rng), "/get/k").await;
        let owner = visitor.get(&fleet.any(&mut rng), "/who").await;
        let ok = |answer: &Answer| answer.status == StatusCode::OK;
        assert!(answers.iter().all(ok), "{number}: {answers:?}");
        assert_eq!(answers[0].body, n.to_string(), "{number}");
        assert_eq!((&read.body, ok(&read)), (&value, true), "{number}");
        assert_eq!(owner.body, format!("visitor-{number}"));
        note_place(number, &visitor, &fleet);
        fleet.rounds[number].fetch_add(1, Relaxed);
        fleet.requests.fetch_add(4, Relaxed);
        // other tests run at the same time, and some of them measure latencies
        let pause = rng.random_range(100..300);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    unreachable!("the loop has no end")
}

/// Logs out while another request of the visitor is in flight.
async fn log_out(mut visitor: Visitor, mut cookies: Vec<Visitor>, fleet: &Fleet, rng: &mut StdRng) {
    let [one, other] = [fleet.any(rng), fleet.any(rng)];
    let mut copy = visitor.clone();
    cookies.push(visitor.clone());
    let parallel = fleet.parallel.load(Relaxed);
    let in_flight = async {
        if parallel {
            copy.get(&other, "/count").await;
        }
    };
    let (answer, ()) = tokio::join!(visitor.get(&one, "/logout"), in_flight);
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.removes());
    cookies.push(copy);
    // a cookie that holds a session has the guarantees of a cookie
    cookies.retain(|cookie| parallel || is_ticket(cookie));
    let ended = cookies.into_iter().rev().take(KEPT);
    fleet.ended.lock().expect("no panic").extend(ended);
}

fn note_place(number: usize, visitor: &Visitor, fleet: &Fleet) {
    let mut inline = fleet.inline.lock().expect("no panic");
    match is_ticket(visitor) {
        true => inline.remove(&number),
        false => inline.insert(number),
    };
}

fn is_ticket(visitor: &Visitor) -> bool {
    visitor
        .jar
        .get(NAME)
        .is_none_or(|cookie| cookie.len() < 150)
}
