//! PostgreSQL and MariaDB servers that crash, hang, are unreachable or read-only, and recover.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use axum::Router;
use http::StatusCode;
use sqlx::{mysql::MySqlPoolOptions, postgres::PgPoolOptions};
use tower_sealed_session::store::{self, AnyStore, MySqlStore, PostgresStore, StoreErrorKind};

use super::{
    faults::{
        BUSY, TIMEOUT, lost_answers_are_harmless, over, recovers, send_with_bounded_latency, timed,
        visitor,
    },
    proxy::Proxy,
    sql::on_every_server,
    sql_server::{Engine, SqlServer},
};
use crate::support::{Answer, Events, Visitor};

on_every_server! {
    #[ignore = "`.ci/nightly stores` runs it: it needs root, to mount a small disk"]
    full_disk_refuses_new_sessions_and_logs_nobody_out;
    killed_server_answers_503_fast_until_it_restarts;
    stopped_server_answers_503_fast_until_it_continues;
    silently_dead_connections_are_replaced;
    silently_dead_connections_of_the_apps_pool_are_replaced;
    connections_that_take_longer_than_a_call_are_opened;
    terminated_connections_are_replaced;
    any_lost_answer_is_harmless;
    server_that_becomes_read_only_counts_as_down;
    errors_at_start_say_what_to_do_and_no_password;
}

/// An app over a database behind that address.
async fn behind(server: &SqlServer, address: &str) -> Router {
    let url = server.url_at(address, server.first_database());
    let store = store::connect(&url).await.expect("a server");
    store.create_schema().await.expect("a schema");
    over(store)
}

async fn direct(server: &SqlServer) -> Router {
    behind(server, &format!("127.0.0.1:{}", server.port)).await
}

fn assert_unavailable(statuses: &[StatusCode]) {
    for status in statuses {
        assert_eq!(*status, StatusCode::SERVICE_UNAVAILABLE);
    }
}

async fn killed_server_answers_503_fast_until_it_restarts(engine: Engine) {
    let mut server = SqlServer::start(engine, &[]);
    let app = direct(&server).await;
    let mut visitor = visitor(&app).await;
    server.kill();
    assert_unavailable(&send_with_bounded_latency(&app, &visitor).await);
    server.restart();
    recovers(&app, &mut visitor, Instant::now()).await;
}

async fn stopped_server_answers_503_fast_until_it_continues(engine: Engine) {
    let server = SqlServer::start(engine, &[]);
    let app = direct(&server).await;
    let mut visitor = visitor(&app).await;
    server.stop();
    assert_unavailable(&send_with_bounded_latency(&app, &visitor).await);
    server.go_on();
    recovers(&app, &mut visitor, Instant::now()).await;
}

async fn silently_dead_connections_are_replaced(engine: Engine) {
    let server = SqlServer::start(engine, &[]);
    let proxy = Proxy::before(server.port).await;
    let app = behind(&server, &proxy.address.to_string()).await;
    let mut visitor = visitor(&app).await;
    // all connections are open and in use
    hurry(&app, &visitor, 40).await;
    proxy.black_hole();
    recovers(&app, &mut visitor, Instant::now()).await;

    // connections that die while idle are replaced before the next request
    hurry(&app, &visitor, 40).await;
    proxy.black_hole();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let (took, answer) = timed(&app, &visitor, "/who").await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "ada"));
    assert!(took < BUSY, "{took:?}");

    // new connections are refused too
    proxy.refuse(true);
    proxy.black_hole();
    assert_unavailable(&send_with_bounded_latency(&app, &visitor).await);
    proxy.refuse(false);
    recovers(&app, &mut visitor, Instant::now()).await;
}

/// Sends requests at the same time.
async fn hurry(app: &Router, visitor: &Visitor, count: usize) -> Vec<(Duration, Answer)> {
    let requests = (0..count).map(|_| timed(app, visitor, "/who"));
    futures_util::future::join_all(requests).await
}

/// An app's pool with so many connections, which it does not check.
struct PoolOf(Engine, u32);

impl PoolOf {
    async fn store(&self, url: &str) -> AnyStore {
        let Self(engine, connections) = *self;
        match engine {
            Engine::Postgres => {
                let pool = PgPoolOptions::new().max_connections(connections);
                let pool = pool.test_before_acquire(false).connect(url).await;
                AnyStore::new(PostgresStore::from_pool(pool.expect("a server")))
            }
            Engine::MariaDb => {
                let pool = MySqlPoolOptions::new().max_connections(connections);
                let pool = pool.test_before_acquire(false).connect(url).await;
                AnyStore::new(MySqlStore::from_pool(pool.expect("a server")))
            }
        }
    }
}

/// Case 24. The pool does not check its connections.
async fn silently_dead_connections_of_the_apps_pool_are_replaced(engine: Engine) {
    let server = SqlServer::start(engine, &[]);
    let proxy = Proxy::before(server.port).await;
    let url = server.url_at(&proxy.address.to_string(), server.first_database());
    drop(direct(&server).await); // it creates the schema
    let app = over(PoolOf(engine, 4).store(&url).await);
    let mut visitor = visitor(&app).await;
    for _ in 0..3 {
        hurry(&app, &visitor, 20).await;
        // sqlx checks each connection once more when it gets it back
        tokio::time::sleep(Duration::from_millis(50)).await;
        proxy.black_hole();
        for (took, answer) in hurry(&app, &visitor, 20).await {
            assert!(took < TIMEOUT + BUSY, "{took:?}");
            assert!(answer.sets_nothing());
        }
        recovers(&app, &mut visitor, Instant::now()).await;
        for (_, answer) in hurry(&app, &visitor, 20).await {
            assert_eq!(answer.status, StatusCode::OK, "all connections work again");
        }
    }
}

/// The server is far away, or its encryption is slow.
async fn connections_that_take_longer_than_a_call_are_opened(engine: Engine) {
    let server = SqlServer::start(engine, &[]);
    drop(direct(&server).await); // it creates the schema
    let proxy = Proxy::before(server.port).await;
    proxy.slow_down(Duration::from_millis(400));
    let url = server.url_at(&proxy.address.to_string(), server.first_database());
    let own = over(store::connect(&url).await.expect("a server"));
    let pool = over(PoolOf(engine, 8).store(&url).await);
    for app in [own, pool] {
        let visitor = visitor(&app).await;
        // they wait for connections, and some give up
        hurry(&app, &visitor, 40).await;
        tokio::time::sleep(Duration::from_millis(1000)).await;
        for (took, answer) in hurry(&app, &visitor, 40).await {
            assert_eq!(answer.status, StatusCode::OK, "{took:?}");
        }
    }
}

/// An administrator ends all connections, as a server does when it restarts.
async fn terminated_connections_are_replaced(engine: Engine) {
    let server = SqlServer::start(engine, &[]);
    let app = direct(&server).await;
    let mut visitor = visitor(&app).await;
    for _ in 0..3 {
        hurry(&app, &visitor, 40).await;
        let all = match engine {
            Engine::Postgres => {
                "select pg_terminate_backend(pid) from pg_stat_activity \
                 where backend_type = 'client backend' and pid <> pg_backend_pid()"
            }
            Engine::MariaDb => {
                "begin not atomic for c in (select id from information_schema.processlist \
                 where user = 'root' and id <> connection_id()) do \
                 begin declare continue handler for 1094 begin end; \
                 execute immediate concat('kill ', c.id); end; end for; end"
            }
        };
        server.execute(server.first_database(), all).await;
        for (took, answer) in hurry(&app, &visitor, 40).await {
            assert!(took < TIMEOUT + BUSY, "{took:?}");
            assert!(answer.sets_nothing());
        }
        recovers(&app, &mut visitor, Instant::now()).await;
    }
}

async fn any_lost_answer_is_harmless(engine: Engine) {
    let server = SqlServer::start(engine, &[]);
    let proxy = Proxy::before(server.port).await;
    let app = behind(&server, &proxy.address.to_string()).await;
    lost_answers_are_harmless(&app, &direct(&server).await, &proxy).await;
}

/// After a fail-over, the connections may still lead to the old primary. Nothing is read from it.
async fn server_that_becomes_read_only_counts_as_down(engine: Engine) {
    let server = SqlServer::start(engine, &[]);
    let url = match engine {
        // root may write even if the server is read-only
        Engine::MariaDb => {
            let make = "create database app; create user app identified by ''; \
                        grant all on app.* to app";
            server.execute("mysql", make).await;
            server.url("app").replace("root@", "app@")
        }
        Engine::Postgres => server.url(server.first_database()),
    };
    let store = store::connect(&url).await.expect("a server");
    store.create_schema().await.expect("a schema");
    let app = over(store);
    let mut visitor = visitor(&app).await;
    hurry(&app, &visitor, 20).await;
    let set = async |on: bool| {
        let sql = match (engine, on) {
            (Engine::Postgres, true) => {
                "alter system set default_transaction_read_only = on; select pg_reload_conf()"
            }
            (Engine::Postgres, false) => {
                "set transaction_read_only = off; \
                 alter system reset default_transaction_read_only; select pg_reload_conf()"
            }
            (Engine::MariaDb, true) => "set global read_only = 1",
            (Engine::MariaDb, false) => "set global read_only = 0",
        };
        for sql in sql.split(';') {
            server.execute(server.first_database(), sql).await;
        }
    };
    set(true).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let events = Events::capture();
    let answer = visitor.get(&app, "/count").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.sets_nothing());
    let log = events.text();
    assert!(log.contains("kind=\"read_only\""), "{log}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (took, answer) = timed(&app, &visitor, "/who").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "reads too");
    assert!(took < BUSY);
    // it cannot be connected either
    let error = store::connect(&url).await.expect_err("it is read-only");
    assert_eq!(error.kind(), StoreErrorKind::ReadOnly);
    assert!(
        error.to_string().contains("connect to the primary"),
        "{error}"
    );
    set(false).await;
    recovers(&app, &mut visitor, Instant::now()).await;
}

/// A standby refuses writes until it is promoted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standby_is_refused_until_it_is_promoted() {
    let server = SqlServer::start(Engine::Postgres, &["-c", "hot_standby=on"]);
    drop(direct(&server).await); // it creates the schema
    let standby = server.standby();
    let url = standby.url("postgres");
    let error = store::connect(&url).await.expect_err("it is a standby");
    assert_eq!(error.kind(), StoreErrorKind::ReadOnly);

    // an app whose address leads to the standby after a fail-over
    let proxy = Proxy::before(server.port).await;
    let app = behind(&server, &proxy.address.to_string()).await;
    let mut visitor = visitor(&app).await;
    standby.catch_up_with(&server).await;
    proxy.lead_to(standby.port);
    proxy.black_hole();
    assert_unavailable(&send_with_bounded_latency(&app, &visitor).await[20..]);
    standby.execute("postgres", "select pg_promote()").await;
    recovers(&app, &mut visitor, Instant::now()).await;
}

/// A disk that is full refuses writes. Reads go on, and nobody is logged out.
async fn full_disk_refuses_new_sessions_and_logs_nobody_out(engine: Engine) {
    let server = SqlServer::start(engine, &[]);
    let database = server.database().await;
    // only the tables of this database are on the small disk
    let disk = match engine {
        Engine::Postgres => {
            let disk = SmallDisk::mount(&server.folder("small"));
            let at = disk.0.display();
            let make = format!("create tablespace small location '{at}'");
            server.execute("postgres", &make).await;
            let set = format!("alter database {database} set default_tablespace = small");
            server.execute("postgres", &set).await;
            disk
        }
        Engine::MariaDb => SmallDisk::mount(&server.folder(&format!("data/{database}"))),
    };
    let store = store::connect(&server.url(&database))
        .await
        .expect("a server");
    store.create_schema().await.expect("a schema");
    let app = over(store);
    let mut ada = visitor(&app).await;
    let events = Events::capture();
    let mut refused = 0;
    for _ in 0..1000 {
        let answer = Visitor::default().get(&app, "/big/40000").await;
        if answer.status != StatusCode::OK {
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(answer.sets_nothing());
            refused += 1;
        }
        if refused == 5 {
            break;
        }
    }
    assert_eq!(refused, 5, "the disk is full");
    let log = events.text();
    let kind = match engine {
        Engine::Postgres => "full",
        // it waits for someone to free space
        Engine::MariaDb => "timed_out",
    };
    assert!(log.contains(&format!("kind=\"{kind}\"")), "{log}");
    for _ in 0..5 {
        let answer = ada.get(&app, "/who").await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "ada"));
    }
    drop(app);
    drop(server);
    drop(disk);
}

/// A file system of 8 MiB.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Self {
        let mount = ["-t", "tmpfs", "-o", "size=8m,uid=nobody", "tmpfs"];
        let status = Command::new("mount").args(mount).arg(at).status();
        assert!(
            status.expect("mount runs").success(),
            "only root can mount a small disk"
        );
        Self(at.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

async fn errors_at_start_say_what_to_do_and_no_password(engine: Engine) {
    let server = SqlServer::start(engine, &[]);
    let (scheme, name) = match engine {
        Engine::Postgres => ("postgres", "PostgreSQL"),
        Engine::MariaDb => ("mysql", "MySQL"),
    };
    let at = format!("127.0.0.1:{}", server.port);
    let none = "127.0.0.1:1";
    let cases = [
        (
            format!("{scheme}://root:hunter2@{none}/app"),
            StoreErrorKind::Unreachable,
            format!("no {name} answers at {none}"),
        ),
        (
            format!("{scheme}://root:hunter2@nowhere.invalid/app"),
            StoreErrorKind::Unreachable,
            "nowhere.invalid".to_owned(),
        ),
        (
            format!("{scheme}://root:hunter2@{at}/missing"),
            StoreErrorKind::Denied,
            "user or the password".to_owned(),
        ),
        (
            server.url("missing"),
            StoreErrorKind::Config,
            "has no such database".to_owned(),
        ),
        (
            format!("{scheme}://root:hunter2@{at}:x/"),
            StoreErrorKind::Config,
            "password@host".to_owned(),
        ),
    ];
    for (url, kind, text) in cases {
        let error = store::connect(&url).await.expect_err("an error");
        let all = format!("{error} {error:?}");
        assert!(!all.contains("hunter2"), "{all}");
        assert!(
            error.kind() == kind && all.contains(&text),
            "{kind:?} {text}: {:?} {all}",
            error.kind()
        );
    }
}
