//! Rolling migrations under load, one instance at a time: legacy app → dual → ours only, and back
//! from dual.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Method;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    OLD_SECRET,
    upstream::{BEFORE_1, NEWEST, old_app},
};
use crate::{
    http_client::Http,
    processes::Server,
    support::{SECRET, Visitor},
};

const VISITORS: u64 = 24;
const STAGE: Duration = Duration::from_millis(1500);
/// The time for a replaced instance to answer its open requests.
const DRAIN: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn newest_starlette_migrates_to_ours_only() {
    migrate(NEWEST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starlette_0_52_1_migrates_to_ours_only() {
    migrate(BEFORE_1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dual_rolls_back_to_the_newest_starlette() {
    roll_back(NEWEST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dual_rolls_back_to_starlette_0_52_1() {
    roll_back(BEFORE_1).await;
}

async fn migrate(requirements: &str) {
    let fleet = Fleet::of([old_app(requirements), old_app(requirements)]);
    let visitors = Visitors::start(&fleet);
    for mode in ["dual", "migrate"] {
        for instance in [0, 1] {
            tokio::time::sleep(STAGE).await;
            fleet.replace(instance, ours(mode)).await;
        }
    }
    tokio::time::sleep(STAGE).await;
    visitors.stop().await;
}

async fn roll_back(requirements: &str) {
    let fleet = Fleet::of([old_app(requirements), old_app(requirements)]);
    let visitors = Visitors::start(&fleet);
    for instance in [0, 1] {
        tokio::time::sleep(STAGE).await;
        fleet.replace(instance, ours("dual")).await;
    }
    for instance in [0, 1] {
        tokio::time::sleep(STAGE).await;
        fleet.replace(instance, old_app(requirements)).await;
    }
    tokio::time::sleep(STAGE).await;
    visitors.stop().await;
}

fn ours(mode: &str) -> Server {
    let env = [("STARLETTE_SECRET", OLD_SECRET), ("SESSION_SECRET", SECRET)];
    Server::start_with("starlette", &[mode], &env)
}

/// The instances behind a load balancer that picks one at random for each request.
struct Fleet(Mutex<[Arc<Server>; 2]>);

impl Fleet {
    fn of(instances: [Server; 2]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(instances.map(Arc::new))))
    }

    fn any(&self, rng: &mut StdRng) -> String {
        let instances = self.0.lock().expect("no panic");
        let port = instances[rng.random_range(0..2)].port;
        format!("http://127.0.0.1:{port}")
    }

    async fn replace(&self, instance: usize, by: Server) {
        let old = {
            let mut instances = self.0.lock().expect("no panic");
            std::mem::replace(&mut instances[instance], Arc::new(by))
        };
        tokio::time::sleep(DRAIN).await;
        drop(old);
    }
}

struct Visitors {
    tasks: Vec<tokio::task::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
}

impl Visitors {
    fn start(fleet: &Arc<Fleet>) -> Self {
        let (stop, requests) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let tasks = (0..VISITORS).map(|n| {
            let run = run_visitor(n, fleet.clone(), stop.clone(), requests.clone());
            tokio::spawn(run)
        });
        Self {
            tasks: tasks.collect(),
            stop,
            requests,
        }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("the visitor's session is intact");
        }
        let requests = self.requests.load(Ordering::Relaxed);
        assert!(requests > 1000, "{requests}");
    }
}

/// Logs in, writes and reads, and checks that each read shows exactly the writes before it. Logs
/// out at the end.
async fn run_visitor(n: u64, fleet: Arc<Fleet>, stop: Arc<AtomicBool>, requests: Arc<AtomicUsize>) {
    let mut rng = StdRng::seed_from_u64(n);
    let (http, mut visitor) = (Http::new(), Visitor::default());
    let mut model = serde_json::Map::new();
    let mut step = 0;
    let (mut key, mut value) = ("user".to_owned(), format!("visitor-{n}"));
    while !stop.load(Ordering::Relaxed) {
        let origin = fleet.any(&mut rng);
        if rng.random() || step == 0 {
            let url = format!("{origin}/set?key={key}&value={value}");
            assert_eq!(visitor.send(&http, Method::POST, &url).await.0, 200);
            model.insert(key, value.into());
        } else {
            let (status, body) = visitor
                .send(&http, Method::GET, &format!("{origin}/"))
                .await;
            let shown: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!(
                (status, shown.as_object()),
                (200, Some(&model)),
                "{origin} {n} {step}"
            );
        }
        step += 1;
        (key, value) = (format!("k{}", step % 5), format!("{step}"));
        requests.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..60))).await;
    }
    let url = format!("{}/logout", fleet.any(&mut rng));
    assert_eq!(visitor.send(&http, Method::POST, &url).await.0, 200);
    for _ in 0..4 {
        let url = format!("{}/", fleet.any(&mut rng));
        assert_eq!(visitor.send(&http, Method::GET, &url).await.1, "{}");
    }
}

impl Visitor {
    async fn send(&mut self, http: &Http, method: Method, url: &str) -> (u16, String) {
        let (status, body, cookies) = http
            .send(method, url, &self.cookie_line(), String::new())
            .await;
        for cookie in cookies {
            let removed =
                cookie.max_age().is_some_and(time::Duration::is_zero) || cookie.value() == "null";
            match removed {
                true => self.jar.remove(cookie.name()),
                false => self
                    .jar
                    .insert(cookie.name().to_owned(), cookie.value().to_owned()),
            };
        }
        (status, body)
    }
}
