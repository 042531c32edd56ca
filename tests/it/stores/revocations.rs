//! The log of revocations in a real Redis, and what happens when its server fails.

use std::time::{Duration, Instant};

use axum::Router;
use http::StatusCode;
use redis::cmd;
use tower_sealed_session::{
    Revocations, SessionLayer,
    store::{RedisStore, StoreErrorKind},
    testing,
};

use super::{
    proxy::Proxy,
    redis_client::{catches_up, run, wait_until},
    redis_cluster::Lent,
    redis_server::RedisServer,
};
use crate::{
    logout,
    support::{Events, Visitor, keys},
};

const ADA: &str = r#"Some("ada") []"#;
const NOBODY: &str = "None []";
const SECOND: Duration = Duration::from_secs(1);

/// An instance of an app whose sessions are in cookies.
struct Instance {
    app: Router,
    layer: SessionLayer,
    log: Revocations,
}

impl Instance {
    async fn start(url: &str) -> Self {
        Self::with(Revocations::connect(url).await.expect("a server"))
    }

    fn with(log: Revocations) -> Self {
        let builder = testing::as_another_process(SessionLayer::builder(keys()));
        let layer = builder.revocations(log.clone()).build().expect("valid");
        Self {
            app: logout::app(layer.clone()),
            layer,
            log,
        }
    }

    async fn login(&self) -> Visitor {
        let mut visitor = Visitor::default();
        visitor.get(&self.app, "/login").await;
        visitor
    }

    async fn sees(&self, copy: &Visitor) -> String {
        copy.clone().get(&self.app, "/see").await.body
    }

    async fn status(&self, copy: &Visitor, path: &str) -> StatusCode {
        copy.clone().get(&self.app, path).await.status
    }
}

fn through(proxy: &Proxy) -> String {
    format!("redis://{}/0", proxy.address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_instances_know_an_end_within_a_second() {
    let server = RedisServer::start(&[]);
    let (here, there) = (
        Instance::start(&server.url()).await,
        Instance::start(&server.url()).await,
    );
    let mut delays = Vec::new();
    for _ in 0..50 {
        let mut visitor = here.login().await;
        let copy = visitor.clone();
        assert_eq!(there.sees(&copy).await, ADA);
        visitor.get(&here.app, "/logout").await;
        let end = Instant::now();
        while there.sees(&copy).await == ADA {
            assert!(end.elapsed() < SECOND);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        delays.push(end.elapsed());
    }
    delays.sort();
    eprintln!(
        "known after {:?} (median), {:?} (longest)",
        delays[25], delays[49]
    );
    let copy = here.login().await;
    there.layer.revoke_owner("ada").await.expect("a log");
    tokio::time::sleep(SECOND).await;
    for instance in [&here, &there, &Instance::start(&server.url()).await] {
        assert_eq!(instance.sees(&copy).await, NOBODY);
    }
}

/// The first instance restarts, then all of them.
#[tokio::test]
async fn ends_outlive_all_instances_and_the_server() {
    let mut server = RedisServer::start(&[]);
    let mut copies = Vec::new();
    {
        let here = Instance::start(&server.url()).await;
        for end in ["/logout", "/bob", "/renew"] {
            let mut visitor = here.login().await;
            copies.push(visitor.clone());
            visitor.get(&here.app, end).await;
        }
    }
    for _ in 0..2 {
        let later = Instance::start(&server.url()).await;
        for copy in &copies {
            assert_eq!(later.sees(copy).await, NOBODY);
        }
        drop(later);
        server.kill();
        server.restart();
        // it answers when it has read its file
        wait_until(async || RedisStore::connect(&server.url()).await.is_ok()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instance_that_is_cut_off_refuses_sessions_after_the_limit_and_recovers() {
    let server = RedisServer::start(&[]);
    let proxy = Proxy::before(server.port).await;
    let log = async |url: &str| Revocations::connect(url).await.expect("a server");
    let strict = Instance::with(log(&through(&proxy)).await.max_staleness(SECOND));
    let lenient = Instance::with(log(&through(&proxy)).await.max_staleness(SECOND).lenient());
    let other = Instance::start(&server.url()).await;
    let visitor = strict.login().await;
    let mut leaving = strict.login().await;
    let left = leaving.clone();

    proxy.refuse(true);
    proxy.black_hole();
    assert_eq!(strict.sees(&visitor).await, ADA, "for now");
    // a logout is an error, and the log is told later
    let answer = leaving.get(&strict.app, "/logout").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(leaving.jar.is_empty(), "the browser forgets the cookie");
    assert_eq!(strict.sees(&left).await, NOBODY, "here, at once");
    tokio::time::sleep(SECOND * 3 / 2).await;
    let refused = StatusCode::SERVICE_UNAVAILABLE;
    assert_eq!(strict.status(&visitor, "/see").await, refused);
    assert_eq!(
        strict.status(&Visitor::default(), "/see").await,
        StatusCode::OK
    );
    assert_eq!(lenient.sees(&visitor).await, ADA);
    assert_eq!(lenient.status(&visitor, "/renew").await, refused);
    assert!(strict.log.staleness() > SECOND);
    assert_eq!(other.sees(&left).await, ADA, "it cannot know");

    proxy.refuse(false);
    let back = Instant::now();
    wait_until(async || strict.status(&visitor, "/see").await == StatusCode::OK).await;
    assert!(back.elapsed() < 3 * SECOND, "{:?}", back.elapsed());
    wait_until(async || other.sees(&left).await == NOBODY).await;
    assert_eq!(strict.status(&visitor, "/renew").await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_of_a_server_that_lost_everything_is_restored() {
    let (first, second) = (RedisServer::start(&[]), RedisServer::start(&[]));
    let proxy = Proxy::before(first.port).await;
    let here = Instance::start(&through(&proxy)).await;
    let there = Instance::start(&through(&proxy)).await;
    let mut copies = Vec::new();
    for n in 0..700 {
        let mut visitor = here.login().await;
        copies.push(visitor.clone());
        let end = ["/logout", "/renew", "/bob"][n % 3];
        visitor.get(&here.app, end).await;
    }
    let owned = here.login().await;
    there.layer.revoke_owner("ada").await.expect("a log");
    wait_until(async || there.log.len() == 701 && here.log.len() == 701).await;

    proxy.lead_to(second.port);
    drop(first);
    let length =
        async || run::<u64>(&second.url(), cmd("XLEN").arg("session:{revocations}:log")).await;
    // with the one by which an instance asks the other to do the same
    wait_until(async || length().await == 702).await;
    // both instances added what was missing, and nothing twice
    tokio::time::sleep(3 * SECOND).await;
    assert_eq!(length().await, 702);
    let later = Instance::start(&second.url()).await;
    for copy in copies.iter().chain([&owned]) {
        assert_eq!(later.sees(copy).await, NOBODY);
    }
}

/// The replica has not received the last entries when it takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_that_a_promoted_replica_lacks_is_added_again() {
    let mut primary = RedisServer::start(&[]);
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &primary.port.to_string()]);
    let proxy = Proxy::before(primary.port).await;
    let here = Instance::start(&through(&proxy)).await;
    let mut early = here.login().await;
    let before = early.clone();
    early.get(&here.app, "/logout").await;
    catches_up(&replica.url(), &primary.url()).await;
    let _: () = run(&replica.url(), cmd("REPLICAOF").arg("NO").arg("ONE")).await;

    let mut late = here.login().await;
    let after = late.clone();
    late.get(&here.app, "/logout").await;
    proxy.lead_to(replica.port);
    primary.kill();
    let length =
        async || run::<u64>(&replica.url(), cmd("XLEN").arg("session:{revocations}:log")).await;
    assert_eq!(length().await, 1, "the tail is lost");
    wait_until(async || length().await >= 2).await;
    let later = Instance::start(&replica.url()).await;
    for copy in [&before, &after] {
        assert_eq!(later.sees(copy).await, NOBODY);
    }
}

/// The instance that was cut off cannot know what it missed. The other one does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gap_that_an_instance_missed_is_filled_by_the_others() {
    let server = RedisServer::start(&[]);
    let proxy = Proxy::before(server.port).await;
    let cut_off = Instance::start(&through(&proxy)).await;
    let other = Instance::start(&server.url()).await;
    let mut first = other.login().await;
    first.get(&other.app, "/logout").await;
    wait_until(async || cut_off.log.len() == 1).await;
    proxy.refuse(true);
    proxy.black_hole();
    let mut copies = Vec::new();
    for _ in 0..5 {
        let mut visitor = other.login().await;
        copies.push(visitor.clone());
        visitor.get(&other.app, "/logout").await;
    }
    let mut trim = cmd("XTRIM");
    trim.arg("session:{revocations}:log").arg("MAXLEN").arg(1);
    let _: u64 = run(&server.url(), &trim).await;
    proxy.refuse(false);
    for copy in &copies {
        wait_until(async || {
            let answer = copy.clone().get(&cut_off.app, "/see").await;
            answer.status == StatusCode::OK && answer.body == NOBODY
        })
        .await;
    }
    assert_eq!(Instance::start(&server.url()).await.log.len(), 6);
}

/// It empties the log, so what comes after that must still be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_that_was_deleted_is_restored_while_it_is_followed() {
    let server = RedisServer::start(&[]);
    let (here, there) = (
        Instance::start(&server.url()).await,
        Instance::start(&server.url()).await,
    );
    let mut visitor = here.login().await;
    let copy = visitor.clone();
    visitor.get(&here.app, "/logout").await;
    wait_until(async || there.log.len() == 1).await;
    let _: () = run(&server.url(), &cmd("FLUSHALL")).await;
    let log = "session:{revocations}:log";
    wait_until(async || run::<u64>(&server.url(), cmd("XLEN").arg(log)).await >= 1).await;
    let mut next = here.login().await;
    next.get(&here.app, "/logout").await;
    wait_until(async || there.log.len() == 2).await;
    assert_eq!(
        Instance::start(&server.url()).await.sees(&copy).await,
        NOBODY
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_in_a_cluster_is_followed() {
    let cluster = Lent::new().await;
    let (here, there) = (
        Instance::start(&cluster.url()).await,
        Instance::start(&cluster.url()).await,
    );
    for end in ["/logout", "/renew"] {
        let mut visitor = here.login().await;
        let copy = visitor.clone();
        assert_eq!(visitor.get(&here.app, end).await.status, StatusCode::OK);
        wait_until(async || there.sees(&copy).await == NOBODY).await;
    }
}

/// Reads of sessions make no calls: the server sees only the task that reads the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_use_their_session_do_not_call_the_log() {
    let server = RedisServer::start(&[]);
    let here = Instance::start(&server.url()).await;
    let mut leaving = here.login().await;
    leaving.get(&here.app, "/logout").await;
    let mut visitor = here.login().await;
    let _: () = run(&server.url(), cmd("CONFIG").arg("RESETSTAT")).await;
    let start = Instant::now();
    for path in ["/see", "/count", "/cart"] {
        for _ in 0..500 {
            assert_eq!(visitor.get(&here.app, path).await.status, StatusCode::OK);
        }
    }
    let took = start.elapsed();
    let stats: String = run(&server.url(), cmd("INFO").arg("commandstats")).await;
    let mut calls = 0;
    for line in stats
        .lines()
        .filter_map(|line| line.strip_prefix("cmdstat_"))
    {
        let (name, rest) = line.split_once(":calls=").expect("a command");
        let count: u64 = rest
            .split(',')
            .next()
            .and_then(|n| n.parse().ok())
            .expect("a number");
        match name {
            "xrange" => calls += count,
            "evalsha" | "zadd" | "xadd" | "get" | "set" => panic!("{name} was called"),
            _ => {}
        }
    }
    // half of the pause of 25 ms is the least
    let most = took.as_millis() / 12 + 5;
    assert!(u128::from(calls) <= most, "{calls} reads in {took:?}");
}

#[tokio::test]
async fn user_needs_only_the_documented_rights() {
    let server = RedisServer::start(&[]);
    let connect = async |rights: &str| {
        let mut user = cmd("ACL");
        user.arg("SETUSER").arg("log").arg("reset");
        user.arg("on").arg(">secret").arg("~session:*").arg("-@all");
        for right in rights.split(' ') {
            user.arg(right);
        }
        let _: () = run(&server.url(), &user).await;
        Revocations::connect(&format!("redis://log:secret@127.0.0.1:{}/0", server.port)).await
    };
    let store = "+ping +hello +select +evalsha +script|load +get +getrange +set +setrange +del \
                 +pexpire +pttl +zadd +zrem +zremrangebyscore +zscan +zrevrange +info +config|get";
    let log = "+xadd +xtrim +xrange";
    let here = Instance::with(connect(&format!("{store} {log}")).await.expect("enough"));
    let mut visitor = here.login().await;
    assert_eq!(
        visitor.get(&here.app, "/logout").await.status,
        StatusCode::OK
    );
    for missing in ["xadd", "xtrim", "xrange"] {
        let rights = format!("{store} {log}").replace(&format!(" +{missing}"), "");
        let error = connect(&rights).await.expect_err("a right is missing");
        assert_eq!(error.kind(), StoreErrorKind::Denied);
        assert!(
            error.to_string().contains(&missing.to_uppercase()),
            "{error}"
        );
    }
}

/// A session that ended must not become valid because a cache filled the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_server_still_takes_entries() {
    let server = RedisServer::start(&[]);
    let here = Instance::start(&server.url()).await;
    let _: () = run(
        &server.url(),
        cmd("CONFIG").arg("SET").arg("maxmemory").arg(1),
    )
    .await;
    for end in ["/logout", "/renew", "/bob"] {
        let mut visitor = here.login().await;
        let copy = visitor.clone();
        assert_eq!(visitor.get(&here.app, end).await.status, StatusCode::OK);
        let later = Instance::start(&server.url()).await;
        assert_eq!(later.sees(&copy).await, NOBODY, "{end}");
    }
}

#[tokio::test]
async fn log_shares_the_connection_of_a_store_and_holds_nothing_in_plain_text() {
    let server = RedisServer::start(&[]);
    let store = RedisStore::connect(&server.url()).await.expect("a server");
    let here = Instance::with(Revocations::sharing(&store).await.expect("a log"));
    let clients = || async { run::<String>(&server.url(), cmd("CLIENT").arg("LIST")).await };
    assert_eq!(
        clients().await.lines().count(),
        2,
        "the store's, and this one"
    );
    let mut visitor = here.login().await;
    let view = here
        .layer
        .open(&crate::view::of(&visitor))
        .await
        .expect("it opens");
    let id = view.id().expect("a session");
    visitor.get(&here.app, "/renew").await;
    visitor.get(&here.app, "/logout").await;
    here.layer.revoke_owner("ada").await.expect("a log");
    here.layer.revoke_everything().await.expect("a log");
    let files = server.files();
    let holds = |part: &[u8]| files.windows(part.len()).any(|window| window == part);
    assert!(holds(b"revocations"), "the log is in the files");
    assert!(!holds(b"ada"));
    assert!(!holds(&id.as_bytes()[..8]) && !holds(&id.as_bytes()[8..]));
}

/// As one of a newer release may be.
#[tokio::test]
async fn entry_that_cannot_be_read_is_told_once_and_hides_none() {
    let server = RedisServer::start(&[]);
    let (here, there) = (
        Instance::start(&server.url()).await,
        Instance::start(&server.url()).await,
    );
    let events = Events::capture();
    for (field, value) in [("e", "future"), ("other", "")] {
        let mut add = cmd("XADD");
        add.arg("session:{revocations}:log")
            .arg("*")
            .arg(field)
            .arg(value);
        let _: String = run(&server.url(), &add).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let told = events.drain();
        // by each instance
        assert_eq!(told, ["revocation_unreadable"; 2], "{field}");
    }
    let mut visitor = here.login().await;
    let copy = visitor.clone();
    visitor.get(&here.app, "/logout").await;
    wait_until(async || there.sees(&copy).await == NOBODY).await;
}
