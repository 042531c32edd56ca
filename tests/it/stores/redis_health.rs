//! What a Redis server tells of its own state, compared with another client.

use std::time::Duration;

use redis::{Value, cmd};
use tower_sealed_session::{
    OffsetDateTime,
    store::{Health, Operate, OwnerTag, RedisStore, Row, Store, StoreErrorKind, StoreKey, Version},
};

use super::{
    backend::{Backend, on_every_store},
    redis_checks::{documented, user},
    redis_client::{info, run, wait_until},
    redis_server::RedisServer,
};

on_every_store! {
    only_redis_tells_its_health;
}

async fn only_redis_tells_its_health(backend: Backend) {
    let health = backend.open().await.health(None).await.expect("an answer");
    match backend {
        Backend::Redis(_) | Backend::Cluster(_) => {
            assert!(health.memory_bytes.is_some_and(|bytes| bytes > 100_000));
            assert_eq!(health.memory_limit_bytes, None);
            assert_eq!(health.evicted_keys, Some(0));
            assert!(health.expired_keys.is_some());
            assert_eq!(health.keys_without_expiry, Some(0));
        }
        _ => assert_eq!(health, Health::default()),
    }
}

/// Creates sessions that live for an hour.
pub(super) async fn add_sessions(store: &RedisStore, count: u128) -> Vec<StoreKey> {
    let expires = OffsetDateTime::now_utc() + Duration::from_secs(3600);
    let mut keys = Vec::new();
    for n in 0..count {
        let key = StoreKey::new((n << 64 | n).to_be_bytes());
        let row = Row::new(Version::new(1), &[7; 300], expires, None);
        store.create(key, &row).await.expect("created");
        keys.push(key);
    }
    keys
}

/// The key of a session in Redis.
pub(super) fn name_of(key: StoreKey) -> String {
    let digits: Vec<_> = key
        .as_bytes()
        .iter()
        .map(|it| format!("{it:02x}"))
        .collect();
    format!("session:{}", digits.concat())
}

/// The numbers of keys without expiry, until every key was looked at.
pub(super) async fn samples(store: &RedisStore) -> Vec<u64> {
    let (mut counts, mut from) = (Vec::new(), None);
    loop {
        let health = store.health(from).await.expect("an answer");
        counts.push(health.keys_without_expiry.expect("known"));
        from = health.next;
        if from.is_none() {
            return counts;
        }
    }
}

#[tokio::test]
async fn memory_limit_and_evictions_are_those_that_the_server_tells() {
    let server = RedisServer::start(&["--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru"]);
    let store = RedisStore::connect(&server.url()).await.expect("a server");
    let before = store.health(None).await.expect("an answer");
    assert_eq!(before.memory_limit_bytes, Some(8 << 20));
    assert_eq!(before.evicted_keys, Some(0));
    add_sessions(&store, 30_000).await;
    // otherwise the other client, which needs memory too, makes it evict more
    let mut stop = cmd("CONFIG");
    stop.arg("SET").arg("maxmemory-policy").arg("noeviction");
    let _: Value = run(&server.url(), &stop).await;
    let health = store.health(None).await.expect("an answer");
    let told = |field| info(&server.url(), field);
    let (memory, used) = (health.memory_bytes.expect("known"), told("used_memory"));
    assert!(memory.abs_diff(used) < used / 5, "{memory}, {used}");
    assert_eq!(health.memory_limit_bytes, Some(told("maxmemory")));
    let evicted = told("evicted_keys");
    assert!(evicted > 1000, "{evicted}");
    assert_eq!(health.evicted_keys, Some(evicted));
}

#[tokio::test]
async fn expired_keys_are_those_that_the_server_tells() {
    let server = RedisServer::start(&[]);
    let store = RedisStore::connect(&server.url()).await.expect("a server");
    for n in 0..20 {
        let soon = OffsetDateTime::now_utc() + Duration::from_millis(30);
        let row = Row::new(Version::new(1), b"short", soon, None);
        let key = StoreKey::new([n; 16]);
        store.create(key, &row).await.expect("created");
    }
    wait_until(async || info(&server.url(), "expired_keys") == 20).await;
    let health = store.health(None).await.expect("an answer");
    assert_eq!(health.expired_keys, Some(20));
    assert_eq!(health.evicted_keys, Some(0));
}

#[tokio::test]
async fn only_sessions_whose_expiry_was_removed_count() {
    let server = RedisServer::start(&[]);
    let store = RedisStore::connect(&server.url()).await.expect("a server");
    let keys = add_sessions(&store, 5).await;
    let owner = OwnerTag::new([0xab; 16]);
    let expires = OffsetDateTime::now_utc() + Duration::from_secs(3600);
    let owned = Row::new(Version::new(1), b"owned", expires, Some(owner));
    let key = StoreKey::new([0xcd; 16]);
    store.create(key, &owned).await.expect("created");
    // the index of an owner, a log of revocations, and keys of other apps
    let index = format!("session:owner:{}", "ab".repeat(16));
    let persisted: u64 = run(&server.url(), cmd("PERSIST").arg(index)).await;
    assert_eq!(persisted, 1);
    let mut log = cmd("XADD");
    log.arg("session:{revocations}:log")
        .arg("*")
        .arg("e")
        .arg("");
    let _: Value = run(&server.url(), &log).await;
    for name in ["other", "session:other", &"ab".repeat(16)] {
        let _: Value = run(&server.url(), cmd("SET").arg(name).arg(1)).await;
    }
    assert_eq!(samples(&store).await, [0]);
    for (n, key) in keys.iter().enumerate() {
        let persist = cmd("PERSIST").arg(name_of(*key)).clone();
        assert_eq!(run::<u64>(&server.url(), &persist).await, 1);
        assert_eq!(samples(&store).await, [n as u64 + 1]);
    }
    // sessions under another prefix are those of another app
    assert_eq!(samples(&store.prefix("app:")).await, [0]);
}

#[tokio::test]
async fn every_key_of_a_large_database_is_looked_at_over_several_calls() {
    const SESSIONS: u64 = 3500;
    let server = RedisServer::start(&[]);
    let store = RedisStore::connect(&server.url()).await.expect("a server");
    let keys = add_sessions(&store, SESSIONS.into()).await;
    let mut persist = redis::pipe();
    for key in keys {
        persist.cmd("PERSIST").arg(name_of(key)).ignore();
    }
    let client = redis::Client::open(server.url()).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await;
    let mut connection = connection.expect("a server");
    persist.exec_async(&mut connection).await.expect("done");
    // after the last key, it begins again
    for _ in 0..2 {
        let counts = samples(&store).await;
        assert!(counts.len() >= 3, "{counts:?}");
        assert!(counts.iter().all(|count| *count < 1200), "{counts:?}");
        assert_eq!(counts.iter().sum::<u64>(), SESSIONS, "{counts:?}");
    }
}

#[tokio::test]
async fn what_the_user_may_not_ask_for_is_unknown() {
    let server = RedisServer::start(&[]);
    let without = async |right: &str| {
        let rules: Vec<_> = documented().split(' ').filter(|it| *it != right).collect();
        let url = user(&server, &rules.join(" ")).await;
        let store = RedisStore::connect(&url).await.expect("enough rights");
        store.health(None).await.expect("an answer")
    };
    let health = without("+info").await;
    let mut expected = Health::default();
    expected.keys_without_expiry = Some(0);
    assert_eq!(health, expected);
    let health = without("+scan").await;
    assert!(health.memory_bytes.is_some() && health.expired_keys.is_some());
    assert_eq!((health.keys_without_expiry, health.next), (None, None));
}

#[tokio::test]
async fn server_that_is_down_is_an_error() {
    let mut server = RedisServer::start(&[]);
    let store = RedisStore::connect(&server.url()).await.expect("a server");
    store.health(None).await.expect("an answer");
    server.kill();
    let error = store.health(None).await.expect_err("no server");
    assert_eq!(error.kind(), StoreErrorKind::Unreachable, "{error}");
}
