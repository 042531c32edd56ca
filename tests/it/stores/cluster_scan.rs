//! Scans of a Redis Cluster, which go from node to node.

use std::{collections::HashSet, net::TcpListener};

use redis::{Value, cmd};
use tower_sealed_session::{
    OffsetDateTime,
    store::{Operate as _, RedisStore},
};

use super::{
    redis_client::info,
    redis_cluster::{RedisCluster, Setup},
    redis_health::{add_sessions, name_of, samples},
};
use crate::processes::free_port;

/// A free port with four digits.
fn low_port() -> u16 {
    let mut ports = 7000..10_000;
    let free = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.expect("a port")
}

/// As a text, the name of the first node comes after those of the others, which have larger ports.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_of_a_cluster_is_scanned_and_counts() {
    let ports = [low_port(), free_port(), free_port()];
    let setup = Setup {
        replicas: 0,
        ..Setup::default()
    };
    let cluster = RedisCluster::start_at(&ports, &setup).await;
    let store = RedisStore::connect(&cluster.url()).await.expect("nodes");
    let keys: HashSet<_> = add_sessions(&store, 1500).await.into_iter().collect();

    let counted = store.count(OffsetDateTime::now_utc()).await;
    assert_eq!(counted.expect("answers").live, 1500);
    let (mut found, mut from) = (HashSet::new(), None);
    loop {
        let part = store.scan(from).await.expect("an answer");
        found.extend(part.sessions.into_iter().map(|(key, _)| key));
        from = part.next;
        if from.is_none() {
            break;
        }
    }
    assert!(found == keys);

    // one session of each node has no expiry
    let set = |option, value| cmd("CONFIG").arg("SET").arg(option).arg(value).clone();
    for (n, node) in cluster.nodes.iter().enumerate() {
        let names: Vec<String> = node.run(cmd("KEYS").arg("session:*")).await;
        assert!(names.len() > 100, "{}", names.len());
        let _: Value = node.run(cmd("PERSIST").arg(&names[0])).await;
        assert!(keys.iter().any(|key| name_of(*key) == names[0]));
        let health = store.health(None).await.expect("answers");
        let limit = health.memory_limit_bytes;
        assert_eq!(
            limit,
            (n > 0).then_some(50_000_000),
            "{n} nodes have a limit"
        );
        let _: Value = node.run(&set("maxmemory", "50000000")).await;
    }
    let counts = samples(&store).await;
    assert_eq!(counts.iter().sum::<u64>(), 3, "{counts:?}");
    let health = store.health(None).await.expect("answers");
    let told = |field| {
        cluster
            .nodes
            .iter()
            .map(move |node| info(&node.url(), field))
    };
    assert_eq!(health.memory_limit_bytes, Some(50_000_000));
    let used: u64 = told("used_memory").max().expect("nodes");
    let memory = health.memory_bytes.expect("known");
    assert!(memory.abs_diff(used) < used / 5, "{memory}, {used}");
    assert_eq!(health.expired_keys, Some(told("expired_keys").sum()));

    // the cursor of a node that is gone
    let other = super::redis_server::RedisServer::start(&[]);
    let other = RedisStore::connect(&other.url()).await.expect("a server");
    let next = health.next.expect("there are more nodes");
    let health = other.health(Some(next)).await.expect("an answer");
    assert_eq!((health.keys_without_expiry, health.next), (Some(0), None));
}
