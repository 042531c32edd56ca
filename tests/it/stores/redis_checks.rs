//! What a Redis server is, and what its user may do, is checked at start-up and while it runs.

use std::time::{Duration, Instant};

use axum::Router;
use http::StatusCode;
use redis::{Value, cmd};
use tower_sealed_session::store::{Operate as _, RedisStore, StoreErrorKind};

use super::{
    faults::{BUSY, over, recovers, visitor},
    proxy::Proxy,
    redis_client::{catches_up, run, wait_until},
    redis_server::RedisServer,
};
use crate::{
    processes::{Folder, free_port},
    support::Visitor,
};

/// Makes a server a replica of another one, or a primary.
async fn follow(server: &RedisServer, primary: Option<&RedisServer>) {
    let mut command = cmd("REPLICAOF");
    match primary {
        Some(primary) => command.arg("127.0.0.1").arg(primary.port),
        None => command.arg("NO").arg("ONE"),
    };
    let _: Value = run(&server.url(), &command).await;
}

/// A replica that has all data of the primary.
async fn replica_of(primary: &RedisServer) -> RedisServer {
    let replica = RedisServer::start(&["--repl-diskless-sync-delay", "0"]);
    follow(&replica, Some(primary)).await;
    catches_up(&replica.url(), &primary.url()).await;
    replica
}

/// The old primary goes on as a replica of the new one, and its connections stay open. The address
/// leads to the new one.
async fn fail_over(old: &RedisServer, new: &RedisServer, proxy: &Proxy) {
    catches_up(&new.url(), &old.url()).await;
    follow(new, None).await;
    follow(old, Some(new)).await;
    proxy.lead_to(new.port);
}

async fn behind_an_address_that_can_move() -> (RedisServer, Proxy, Router) {
    let server = RedisServer::start(&["--repl-diskless-sync-delay", "0"]);
    let proxy = Proxy::before(server.port).await;
    let url = format!("redis://{}/0", proxy.address);
    let app = over(RedisStore::connect(&url).await.expect("a server"));
    (server, proxy, app)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fail_over_that_keeps_the_connection_is_recovered_from() {
    let (old, proxy, app) = behind_an_address_that_can_move().await;
    let mut visitor = visitor(&app).await;
    let new = replica_of(&old).await;
    fail_over(&old, &new, &proxy).await;
    // the first write shows that the old one is a replica
    let fault = Instant::now();
    while visitor.get(&app, "/count").await.status != StatusCode::OK {
        assert!(fault.elapsed() < Duration::from_secs(1) + BUSY);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("written after {:?}", fault.elapsed());
    recovers(&app, &mut visitor, fault).await;
    let role: Vec<Value> = run(&new.url(), &cmd("ROLE")).await;
    assert_eq!(role[0], Value::BulkString(b"master".to_vec()));
}

/// A replica that is cut off from its primary does not learn of a logout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_became_a_replica_is_not_read_for_long() {
    let (old, proxy, app) = behind_an_address_that_can_move().await;
    let mut member = visitor(&app).await;
    let new = replica_of(&old).await;
    fail_over(&old, &new, &proxy).await;
    // the link to the new primary is cut
    let mut command = cmd("REPLICAOF");
    let _: Value = run(&old.url(), command.arg("127.0.0.1").arg(free_port())).await;
    let fault = Instant::now();
    let direct = over(RedisStore::connect(&new.url()).await.expect("a server"));
    let mut other = member.clone();
    assert_eq!(other.get(&direct, "/logout").await.status, 200);
    // nothing but reads, all the time
    while member.get(&app, "/who").await.body == "ada" {
        assert!(
            fault.elapsed() < Duration::from_secs(1) + BUSY,
            "the old one is read"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Redis refuses writes while it has too few replicas, or while its snapshots fail. Reads go on, and
/// nobody is logged out.
#[tokio::test]
async fn server_that_refuses_only_writes_is_read() {
    let server = RedisServer::start(&["--enable-protected-configs", "yes"]);
    let app = over(RedisStore::connect(&server.url()).await.expect("a server"));
    let mut member = visitor(&app).await;
    let set = async |name: &str, value: &str| {
        let mut command = cmd("CONFIG");
        let command = command.arg("SET").arg(name).arg(value);
        let _: Value = run(&server.url(), command).await;
    };
    set("min-replicas-to-write", "1").await;
    only_writes_fail(&app, &mut member).await;
    set("min-replicas-to-write", "0").await;
    recovers(&app, &mut member, Instant::now()).await;

    // snapshots go to a folder that is gone
    let gone = Folder::new();
    set("dir", &gone.0.display().to_string()).await;
    drop(gone);
    set("save", "3600 1").await;
    let _: Value = run(&server.url(), &cmd("BGSAVE")).await;
    wait_until(async || {
        let info: String = run(&server.url(), cmd("INFO").arg("persistence")).await;
        info.contains("rdb_last_bgsave_status:err")
    })
    .await;
    only_writes_fail(&app, &mut member).await;
    set("save", "").await;
    recovers(&app, &mut member, Instant::now()).await;
}

async fn only_writes_fail(app: &Router, member: &mut Visitor) {
    for path in ["/count", "/login/eve", "/logout"] {
        let answer = member.clone().get(app, path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    assert_eq!(member.get(app, "/who").await.body, "ada");
}

/// After a restart, a server refuses commands until it has loaded its data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_loads_its_data_counts_as_down_until_it_has() {
    let mut server = RedisServer::start(&[]);
    let app = over(RedisStore::connect(&server.url()).await.expect("a server"));
    let mut visitor = visitor(&app).await;
    let fill = "for i = 1, 20000 do redis.call('SET', ARGV[1] .. i, i) end";
    for n in 0..40 {
        let mut command = cmd("EVAL");
        command.arg(fill).arg(0).arg(format!("{n}:"));
        let _: Value = run(&server.url(), &command).await;
    }
    server.kill();
    server.restart();
    let client = redis::Client::open(server.url()).expect("a URL");
    let mut refused = 0;
    loop {
        let asked = async {
            let mut connection = client.get_multiplexed_async_connection().await?;
            cmd("GET").arg("0:1").exec_async(&mut connection).await
        };
        match asked.await {
            Ok(()) => break,
            Err(error) => assert_eq!(error.code(), Some("LOADING"), "{error}"),
        }
        refused += 1;
        let status = visitor.get(&app, "/count").await.status;
        assert!(status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(refused > 0, "it loads too fast to be observed");
    recovers(&app, &mut visitor, Instant::now()).await;
}

#[tokio::test]
async fn servers_that_do_not_suit_are_refused_by_name() {
    let primary = RedisServer::start(&["--repl-diskless-sync-delay", "0"]);
    let replica = replica_of(&primary).await;
    let bus = free_port().to_string();
    let node = RedisServer::start(&["--cluster-enabled", "yes", "--cluster-port", &bus]);
    let sentinel = RedisServer::sentinel();
    for (server, kind, text) in [
        (&replica, StoreErrorKind::ReadOnly, "a replica"),
        (
            &node,
            StoreErrorKind::Config,
            "no node of the redis cluster has slots",
        ),
        (&sentinel, StoreErrorKind::Config, "a sentinel"),
    ] {
        let error = RedisStore::connect(&server.url())
            .await
            .expect_err("refused");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
}

/// A URL of a user with these rights.
pub(super) async fn user(server: &RedisServer, rules: &str) -> String {
    let mut command = cmd("ACL");
    command.arg("SETUSER");
    for word in rules.split_ascii_whitespace() {
        command.arg(word);
    }
    let _: Value = run(&server.url(), &command).await;
    let name = rules.split(' ').next().expect("a name");
    format!("redis://{name}:PASSWORD@127.0.0.1:{}/0", server.port)
}

/// The rules in the documentation of the store.
pub(crate) fn documented() -> &'static str {
    let docs = include_str!("../../../src/store/redis/mod.rs");
    let line = docs
        .lines()
        .find_map(|line| line.split_once("ACL SETUSER "));
    line.expect("a line in the documentation").1
}

#[tokio::test]
async fn user_with_the_documented_rights_can_do_everything() {
    let server = RedisServer::start(&[]);
    let store = RedisStore::connect(&user(&server, documented()).await).await;
    let store = store.expect("enough rights");
    let app = over(store.clone());
    let mut visitor = visitor(&app).await;
    for path in ["/count", "/who", "/logout"] {
        assert_eq!(visitor.get(&app, path).await.status, 200, "{path}");
    }
    let now = tower_sealed_session::OffsetDateTime::now_utc();
    store.count(now).await.expect("enough rights");
    store.scan(None).await.expect("enough rights");
    store.statistics(now).await.expect("enough rights");
    store.server_time(0).await.expect("enough rights");
    let health = store.health(None).await.expect("enough rights");
    assert!(health.memory_bytes.is_some() && health.keys_without_expiry.is_some());
}

/// Operators use these, or they are checks at start-up that are skipped.
const OPTIONAL: [&str; 8] = [
    "ping",
    "hello",
    "select",
    "scan",
    "dbsize",
    "time",
    "info",
    "config|get",
];

#[tokio::test]
async fn user_without_a_needed_right_is_refused_by_its_name() {
    let server = RedisServer::start(&[]);
    let rules = documented();
    let rights: Vec<_> = rules
        .split(' ')
        .filter_map(|word| word.strip_prefix('+'))
        .collect();
    assert!(rights.len() > 15);
    for right in rights {
        let others: Vec<_> = rules
            .split(' ')
            .filter(|word| *word != format!("+{right}"))
            .collect();
        let url = user(&server, &others.join(" ")).await;
        let connected = RedisStore::connect(&url).await;
        if OPTIONAL.contains(&right) {
            connected.expect("enough rights");
            continue;
        }
        let error = connected.map(drop).expect_err("refused");
        assert_eq!(error.kind(), StoreErrorKind::Denied, "{right}: {error}");
        let named = right.to_uppercase().replace('|', " ");
        assert!(error.to_string().contains(&named), "{right}: {error}");
        assert!(!format!("{error:?}").contains("PASSWORD"));
    }
}
