//! A Redis Cluster whose nodes fail, and whose slots move.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::Router;
use http::StatusCode;
use redis::{Value, cmd};
use tower_sealed_session::store::{Operate as _, RedisStore, StoreError, StoreErrorKind, StoreKey};

use super::{
    backend::{Call, Intercept, Wrapped},
    faults::{
        BUSY, TIMEOUT, lost_answers_are_harmless, over, recovers, send_with_bounded_latency, timed,
        visitor,
    },
    proxy::Proxy,
    redis_checks::documented,
    redis_client::wait_until,
    redis_cluster::{RedisCluster, Setup},
};
use crate::{processes::free_port, support::Visitor};

/// The time-out of nodes, in milliseconds, where the test waits for a fail-over.
const FAILS_OVER: u64 = 2000;

async fn connect(cluster: &RedisCluster) -> Router {
    let store = RedisStore::connect(&cluster.url()).await;
    over(Wrapped(store.expect("a cluster"), Prints))
}

/// Prints why a call failed, and after which time, for the case that the test fails.
#[derive(Clone)]
struct Prints;

impl Intercept for Prints {
    async fn intercept<T: Send>(
        &self,
        call: Call,
        _: Option<StoreKey>,
        operation: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let start = Instant::now();
        let mut unfinished = Unfinished(Some((call, start)));
        let answer = operation.await;
        unfinished.0 = None;
        answer.inspect_err(|error| println!("{call:?} after {:?}: {error}", start.elapsed()))
    }
}

/// A call that is dropped before its answer.
struct Unfinished(Option<(Call, Instant)>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some((call, start)) = self.0 {
            println!("{call:?}: no answer after {:?}", start.elapsed());
        }
    }
}

/// For each primary, a visitor whose session is there.
async fn visitor_of_each(app: &Router, cluster: &RedisCluster) -> Vec<Visitor> {
    let mut found: Vec<Option<Visitor>> = vec![None; 3];
    while found.iter().any(Option::is_none) {
        let before = keys(cluster).await;
        let visitor = visitor(app).await;
        for (n, keys) in keys(cluster).await.into_iter().enumerate() {
            if keys > before[n] {
                found[n].get_or_insert(visitor.clone());
            }
        }
    }
    found.into_iter().flatten().collect()
}

/// The number of sessions on each primary.
async fn keys(cluster: &RedisCluster) -> [usize; 3] {
    let mut count = [0; 3];
    for (count, node) in count.iter_mut().zip(&cluster.nodes) {
        let names: Vec<String> = node
            .run(cmd("KEYS").arg("session:????????????????????????????????"))
            .await;
        *count = names.len();
    }
    count
}

/// Visitors that count, all the time. None may see a count that is lower than the last one that was
/// acknowledged, and none may be logged out.
struct Load {
    ends: Arc<AtomicBool>,
    failed: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<u64>>,
}

impl Load {
    async fn start(app: &Router, visitors: usize) -> Self {
        let (ends, failed) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut tasks = Vec::new();
        for _ in 0..visitors {
            let (app, ends, failed) = (app.clone(), ends.clone(), failed.clone());
            let mut visitor = visitor(&app).await;
            tasks.push(tokio::spawn(async move {
                let (mut low, mut tried) = (0, 0);
                while !ends.load(Ordering::Relaxed) {
                    let (took, answer) = timed(&app, &visitor, "/count").await;
                    assert!(took < TIMEOUT * 2 + BUSY, "{took:?}");
                    tried += 1;
                    match answer.status {
                        StatusCode::OK => {
                            let count: u64 = answer.body.parse().expect("a number");
                            assert!((low + 1..=tried).contains(&count), "{count} after {low}");
                            low = count;
                        }
                        StatusCode::SERVICE_UNAVAILABLE => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                        other => panic!("{other}"),
                    }
                    // a load at which even a busy machine answers in time
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                assert_eq!(visitor.get(&app, "/who").await.body, "ada");
                low
            }));
        }
        Self {
            ends,
            failed,
            tasks,
        }
    }

    /// The number of requests that failed so far.
    fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    async fn end(self) {
        self.ends.store(true, Ordering::Relaxed);
        let mut answered = 0;
        for task in self.tasks {
            answered += task.await.expect("no visitor lost anything");
        }
        println!("{answered} answered");
        assert!(answered > 100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_or_one_of_several_hosts_suffices() {
    let mut cluster = RedisCluster::start(&Setup::default()).await;
    let dead = free_port();
    for node in &cluster.nodes {
        let hosts = format!("redis://127.0.0.1:{dead},127.0.0.1:{}", node.port);
        for url in [node.url(), hosts] {
            let app = over(RedisStore::connect(&url).await.expect("a cluster"));
            visitor(&app).await;
        }
    }
    let error = RedisStore::connect(&format!("{}/1", cluster.url())).await;
    let error = error.expect_err("a cluster has one database");
    assert_eq!(error.kind(), StoreErrorKind::Config, "{error}");

    // a node of which the app cannot reach the announced address
    let announce = free_port().to_string();
    let mut set = cmd("CONFIG");
    let set = set.arg("SET").arg("cluster-announce-port").arg(&announce);
    cluster.nodes[1].run::<Value>(set).await;
    wait_until(async || {
        let slots: Vec<Value> = cluster.nodes[0].run(cmd("CLUSTER").arg("SLOTS")).await;
        format!("{slots:?}").contains(&announce)
    })
    .await;
    let error = RedisStore::connect(&cluster.url()).await;
    let error = error.expect_err("an unknown port");
    assert_eq!(error.kind(), StoreErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains(&announce), "{error}");

    cluster.nodes.truncate(2);
    let error = RedisStore::connect(&cluster.url()).await;
    assert!(error.is_err(), "nodes are missing");
}

/// The documented rights, with those for a cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_with_the_documented_rights_can_do_everything_on_a_cluster() {
    let cluster = RedisCluster::start(&Setup {
        replicas: 0,
        ..Setup::default()
    })
    .await;
    let url = format!(
        "redis://sessions:PASSWORD@127.0.0.1:{}",
        cluster.nodes[0].port
    );
    let grant = async |rules: &str| {
        for node in &cluster.nodes {
            let mut command = cmd("ACL");
            command.arg("SETUSER");
            for word in rules.split_ascii_whitespace() {
                command.arg(word);
            }
            node.run::<Value>(&command).await;
        }
    };
    grant(documented()).await;
    for (rule, missing) in [
        ("+asking", "CLUSTER SLOTS"),
        ("-asking +cluster|slots", "ASKING"),
    ] {
        grant(&format!("sessions {rule}")).await;
        let error = RedisStore::connect(&url)
            .await
            .expect_err("not enough rights");
        assert_eq!(error.kind(), StoreErrorKind::Denied, "{error}");
        assert!(error.to_string().contains(missing), "{error}");
    }
    grant("sessions +asking").await;
    let store = RedisStore::connect(&url).await.expect("enough rights");
    let app = over(store.clone());
    let mut visitor = visitor(&app).await;
    for path in ["/count", "/who", "/logout"] {
        assert_eq!(visitor.get(&app, path).await.status, 200, "{path}");
    }
    let now = tower_sealed_session::OffsetDateTime::now_utc();
    assert_eq!(store.count(now).await.expect("enough rights").live, 1);
    store.statistics(now).await.expect("enough rights");

    // one node has other rights than the others
    let mut command = cmd("ACL");
    command.arg("SETUSER").arg("sessions").arg("-zadd");
    cluster.nodes[2].run::<Value>(&command).await;
    let error = RedisStore::connect(&url)
        .await
        .expect_err("not enough rights");
    assert!(error.to_string().contains("ZADD"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_of_the_app_to_a_cluster_is_used() {
    let cluster = RedisCluster::start(&Setup {
        replicas: 0,
        ..Setup::default()
    })
    .await;
    let client = redis::cluster::ClusterClient::new([cluster.url()]).expect("a URL");
    let connection = client.get_async_connection().await.expect("a cluster");
    let app = over(RedisStore::from_connection(connection));
    for _ in 0..10 {
        let mut visitor = visitor(&app).await;
        for path in ["/count", "/who", "/renew", "/logout"] {
            assert_eq!(visitor.get(&app, path).await.status, 200, "{path}");
        }
    }
}

/// The replica of the killed node takes over. With full coverage, no node answers until then.
async fn killed_node_is_replaced(coverage: &str) {
    let options = ["--cluster-require-full-coverage", coverage];
    let mut cluster = RedisCluster::start(&Setup {
        options: &options,
        node_timeout: FAILS_OVER,
        ..Setup::default()
    })
    .await;
    let app = connect(&cluster).await;
    let mut visitors = visitor_of_each(&app, &cluster).await;
    cluster.replicas_catch_up().await;
    cluster.nodes[1].kill();
    let statuses = send_with_bounded_latency(&app, &visitors[1]).await;
    assert!(statuses.contains(&StatusCode::SERVICE_UNAVAILABLE));
    let meanwhile = timed(&app, &visitors[0], "/who").await.1.status;
    cluster.is_ok_without(Some(1)).await;
    let ok = Instant::now();
    for visitor in &mut visitors {
        recovers(&app, visitor, ok).await;
    }
    if coverage == "no" {
        assert_eq!(
            meanwhile,
            StatusCode::OK,
            "only the sessions on that node fail"
        );
    }
    // the killed node comes back as a replica
    cluster.nodes[1].restart();
    cluster.is_ok().await;
    for visitor in &mut visitors {
        recovers(&app, visitor, Instant::now()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_node_is_replaced_with_full_coverage() {
    killed_node_is_replaced("yes").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_node_is_replaced_and_the_others_go_on_without_full_coverage() {
    killed_node_is_replaced("no").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_node_is_replaced_and_not_read_when_it_continues() {
    let cluster = RedisCluster::start(&Setup {
        node_timeout: FAILS_OVER,
        ..Setup::default()
    })
    .await;
    let app = connect(&cluster).await;
    let mut visitors = visitor_of_each(&app, &cluster).await;
    cluster.replicas_catch_up().await;
    cluster.nodes[2].signal("-STOP");
    send_with_bounded_latency(&app, &visitors[2]).await;
    cluster.is_ok_without(Some(2)).await;
    let ok = Instant::now();
    for visitor in &mut visitors {
        recovers(&app, visitor, ok).await;
    }
    let old = visitors[2].clone();
    assert_eq!(visitors[2].get(&app, "/logout").await.status, 200);
    cluster.nodes[2].signal("-CONT");
    for _ in 0..200 {
        assert_ne!(timed(&app, &old, "/who").await.1.body, "ada", "logged out");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The old primary keeps its connections and says that the slots moved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fail_over_that_keeps_connections_goes_unnoticed() {
    let cluster = RedisCluster::start(&Setup::default()).await;
    let app = connect(&cluster).await;
    let load = Load::start(&app, 12).await;
    for replica in &cluster.nodes[3..] {
        replica.run::<Value>(cmd("CLUSTER").arg("FAILOVER")).await;
        wait_until(async || {
            let role: Vec<Value> = replica.run(&cmd("ROLE")).await;
            role[0] == Value::BulkString(b"master".to_vec())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let failed = load.failed();
    println!("{failed} failed");
    assert!(failed < 100, "{failed}");
    let settled = load.failed();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(load.failed(), settled);
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_move_under_load_are_followed() {
    let mut cluster = RedisCluster::start(&Setup {
        replicas: 0,
        ..Setup::default()
    })
    .await;
    let app = connect(&cluster).await;
    let load = Load::start(&app, 40).await;
    let port = free_port();
    cluster.add_node(port, Setup::default().node_timeout, Vec::new());
    let [first, new] = [cluster.nodes[0].port, port].map(|port| format!("127.0.0.1:{port}"));
    cluster
        .manage(vec!["add-node".into(), new.clone(), first.clone()])
        .await;
    cluster.is_ok().await;
    // some slots of each node go to the new one
    let id: String = cluster.nodes[3].run(cmd("CLUSTER").arg("MYID")).await;
    let reshard = format!(
        "reshard {first} --cluster-from all --cluster-to {id} --cluster-slots 2000 --cluster-yes"
    );
    cluster
        .manage(reshard.split(' ').map(str::to_owned).collect())
        .await;
    cluster.is_ok().await;
    let moved = cluster.nodes[3].run::<u64>(&cmd("DBSIZE")).await;
    println!("{moved} keys moved, {} requests failed", load.failed());
    assert!(moved > 0);
    assert_eq!(load.failed(), 0);
    load.end().await;

    // an instance whose map is old follows a session to a node that it does not know
    let visitors = [
        visitor(&app).await,
        visitor(&app).await,
        visitor(&app).await,
    ];
    for mut visitor in visitors {
        assert_eq!(visitor.get(&app, "/logout").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_node_concerns_only_its_own_sessions() {
    let ports: [u16; 3] = std::array::from_fn(|_| free_port());
    let mut proxies = Vec::new();
    for port in ports {
        proxies.push(Proxy::before(port).await);
    }
    let announced: Vec<_> = proxies.iter().map(|proxy| proxy.address.port()).collect();
    let cluster = RedisCluster::start_at(
        &ports,
        &Setup {
            replicas: 0,
            announced: &announced,
            ..Setup::default()
        },
    )
    .await;
    let app = connect(&cluster).await;
    let mut visitors = visitor_of_each(&app, &cluster).await;

    // its connections are silent, and new ones work
    proxies[1].black_hole();
    let fault = Instant::now();
    recovers(&app, &mut visitors[1], fault).await;

    // new connections are refused too
    proxies[1].refuse(true);
    proxies[1].black_hole();
    let (silent, other) = tokio::join!(
        send_with_bounded_latency(&app, &visitors[1]),
        send_with_bounded_latency(&app, &visitors[2]),
    );
    assert!(
        silent
            .iter()
            .all(|status| *status == StatusCode::SERVICE_UNAVAILABLE)
    );
    assert!(other.iter().all(|status| *status == StatusCode::OK));
    proxies[1].refuse(false);
    recovers(&app, &mut visitors[1], Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_lost_answer_of_a_node_is_harmless() {
    let port = free_port();
    let proxy = Proxy::before(port).await;
    let announced = [proxy.address.port()];
    let cluster = RedisCluster::start_at(
        &[port],
        &Setup {
            primaries: 1,
            replicas: 0,
            announced: &announced,
            ..Setup::default()
        },
    )
    .await;
    let app = connect(&cluster).await;
    // another instance learns the address of the server itself
    let reset = cmd("CONFIG")
        .arg("SET")
        .arg("cluster-announce-port")
        .arg(port)
        .clone();
    cluster.nodes[0].run::<Value>(&reset).await;
    let direct = connect(&cluster).await;
    lost_answers_are_harmless(&app, &direct, &proxy).await;
}
