//! What is particular to PostgreSQL and MariaDB: the schema, pruning, and what operators do.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use http::StatusCode;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tower_sealed_session::{
    Clock as _, OffsetDateTime, SessionLayer,
    store::{
        self, AnyStore, Creation, Cursor, Operate as _, PostgresStore, Row, Statistics, Store as _,
        StoreErrorKind, StoreKey, Version, prune_every,
    },
};

use super::{
    app,
    backend::built,
    faults::{over, visitor},
    sql_server::{Engine, SqlServer, shared},
};
use crate::support::{Visitor, keys, on_a_clock};

/// Runs each test with each server.
macro_rules! on_every_server {
    ($($(#[$ignore:meta])? $claim:ident;)*) => {$(
        mod $claim {
            use crate::stores::sql_server::Engine;

            $(#[$ignore])?
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$claim(Engine::Postgres).await;
            }

            $(#[$ignore])?
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn mariadb() {
                super::$claim(Engine::MariaDb).await;
            }
        }
    )*};
}
pub(super) use on_every_server;

on_every_server! {
    schema_is_created_by_instances_that_start_at_once;
    instance_that_starts_waits_for_nobody_and_stops_nobody;
    missing_columns_are_added;
    other_apps_table_is_refused_and_stays;
    view_shows_the_table_to_humans;
    nothing_expired_is_served_and_nothing_living_is_pruned;
    one_instance_prunes_in_each_interval;
    pruning_survives_a_restart_of_the_server;
    restored_dump_has_the_sessions_that_live;
    statistics_are_estimates_of_large_tables;
    owner_with_many_sessions_stalls_nobody;
    #[ignore = "`.ci/nightly stores` runs it: it makes a million rows"]
    pruning_a_million_rows_is_short_statements;
}

/// A database of the shared server, without a schema.
async fn empty(engine: Engine) -> (String, String) {
    let server = shared(engine);
    let database = server.database().await;
    let url = server.url(&database);
    (database, url)
}

async fn with_schema(engine: Engine) -> (String, String) {
    let (database, url) = empty(engine).await;
    opened(&url).await.create_schema().await.expect("a schema");
    (database, url)
}

async fn opened(url: &str) -> AnyStore {
    store::connect(url).await.expect("a server")
}

async fn schema_is_created_by_instances_that_start_at_once(engine: Engine) {
    let (_, url) = empty(engine).await;
    for _ in 0..2 {
        let instances = (0..8).map(|_| async {
            let store = opened(&url).await;
            store.create_schema().await.expect("a schema");
            store.load(StoreKey::new([1; 16])).await.expect("a table")
        });
        let loaded = futures_util::future::join_all(instances).await;
        assert!(loaded.iter().all(Option::is_none));
    }
}

/// A backup reads the table for an hour, and another app has changed a row and not committed yet.
async fn instance_that_starts_waits_for_nobody_and_stops_nobody(engine: Engine) {
    let (_, url) = with_schema(engine).await;
    let app = over(opened(&url).await);
    let mut ada = visitor(&app).await;
    let statements =
        "begin; select count(*) from sessions; update sessions set version = version + 0";
    let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
    let held = match engine {
        Engine::Postgres => {
            let mut held = sqlx::PgConnection::connect(&url).await.expect("a server");
            held.execute(statements).await.expect("a table");
            Held::Postgres(held)
        }
        Engine::MariaDb => {
            let mut held = sqlx::MySqlConnection::connect(&url)
                .await
                .expect("a server");
            held.execute(statements).await.expect("a table");
            Held::MariaDb(held)
        }
    };
    let starts = async {
        let store = opened(&url).await;
        store.create_schema().await.expect("a schema");
    };
    let started = tokio::time::timeout(Duration::from_secs(3), starts).await;
    started.expect("it does not wait");
    assert_eq!(ada.get(&app, "/who").await.body, "ada", "reads do not wait");
    drop(held);
}

/// A connection with an open transaction.
#[expect(dead_code, reason = "it is only kept open")]
enum Held {
    Postgres(sqlx::PgConnection),
    MariaDb(sqlx::MySqlConnection),
}

/// As after an upgrade of the crate. An instance of the old version goes on working.
async fn missing_columns_are_added(engine: Engine) {
    let (database, url) = empty(engine).await;
    let old = opened(&url).await;
    old.create_schema().await.expect("a schema");
    let server = shared(engine);
    let mut visitor = visitor(&over(old.clone())).await;
    for sql in [
        "drop view sessions_readable",
        "alter table sessions drop column created_at",
        "drop table sessions_sweep",
    ] {
        server.execute(&database, sql).await;
    }
    let instances = (0..4).map(|_| async {
        let store = opened(&url).await;
        store.create_schema().await.expect("a schema");
        store
    });
    let stores = futures_util::future::join_all(instances).await;
    let all = server
        .number(&database, "select count(created_at) from sessions_readable")
        .await;
    assert_eq!(all, 1);
    for store in [&old, &stores[0]] {
        assert_eq!(visitor.get(&over(store.clone()), "/who").await.body, "ada");
    }
    let now = OffsetDateTime::now_utc();
    let begun = stores[1].begin_sweep(now, Duration::from_secs(60)).await;
    assert!(begun.expect("a table"));
}

async fn other_apps_table_is_refused_and_stays(engine: Engine) {
    let (database, url) = empty(engine).await;
    let server = shared(engine);
    let made = "create table sessions (id varchar(40) primary key, data varchar(40))";
    server.execute(&database, made).await;
    let error = store::connect(&url).await.expect_err("another app's table");
    assert_eq!(error.kind(), StoreErrorKind::Schema);
    assert!(error.to_string().contains("their own database"), "{error}");
    let columns = "select count(*) from information_schema.columns where table_name = 'sessions' \
                   and table_schema in ('public', database())";
    let columns = match engine {
        Engine::Postgres => columns.replace("database()", "''"),
        Engine::MariaDb => columns.to_owned(),
    };
    assert_eq!(server.number(&database, &columns).await, 2);

    // without a table, the text says what to call
    let (_, url) = empty(engine).await;
    let store = opened(&url).await;
    let error = store
        .load(StoreKey::new([1; 16]))
        .await
        .expect_err("no table");
    assert_eq!(error.kind(), StoreErrorKind::Schema);
    assert!(error.to_string().contains("create_schema()"), "{error}");
}

async fn view_shows_the_table_to_humans(engine: Engine) {
    let (database, url) = with_schema(engine).await;
    let server = shared(engine);
    visitor(&over(opened(&url).await)).await;
    let sql = match engine {
        Engine::Postgres => {
            "select count(*) from sessions_readable where length(id) = 32 and length(user_id) = 32 \
             and bytes > 100 and not expired and created_at between now() - interval '1 minute' and now() \
             and expires_at > now()"
        }
        Engine::MariaDb => {
            "select count(*) from sessions_readable where length(id) = 32 and length(user_id) = 32 \
             and bytes > 100 and not expired and created_at between now() - interval 1 minute and now(6) \
             and expires_at > now()"
        }
    };
    assert_eq!(server.number(&database, sql).await, 1);
}

/// In several time zones of the database, and after steps of the clock.
async fn nothing_expired_is_served_and_nothing_living_is_pruned(engine: Engine) {
    const IDLE: Duration = Duration::from_secs(1000);
    const ABSOLUTE: Duration = Duration::from_secs(5000);
    let server = SqlServer::start(engine, &[]);
    let first = server.first_database();
    for zone in ["+00:00", "-05:00", "+09:00"] {
        let set = match engine {
            // the sign of a POSIX time zone is inverted
            Engine::Postgres => {
                let posix = zone.replace('+', "~").replace('-', "+").replace('~', "-");
                format!("alter database postgres set timezone = 'X{posix}'")
            }
            Engine::MariaDb => format!("set global time_zone = '{zone}'"),
        };
        server.execute(first, &set).await;
        let store = opened(&server.url(first)).await;
        store.create_schema().await.expect("a schema");
        let (builder, clock) = on_a_clock();
        let layer = builder.idle_timeout(IDLE).absolute_timeout(ABSOLUTE);
        let app = app(built(layer).store(store.clone()));
        let (mut active, mut away) = (visitor(&app).await, visitor(&app).await);
        let mut at_night = visitor(&app).await;
        let prune = async || {
            let mut from = None;
            loop {
                from = store.prune(clock.now(), from).await.expect("a table").next;
                if from.is_none() {
                    break;
                }
            }
        };
        let rows = async || store.count(clock.now()).await.expect("a table");
        for _ in 0..5 {
            clock.advance(IDLE * 9 / 10);
            prune().await;
            assert_eq!(active.get(&app, "/who").await.body, "ada", "{zone}");
        }
        assert_eq!(rows().await, Statistics::exact(1, 0), "{zone}");
        assert_eq!(away.get(&app, "/who").await.body, "", "{zone}");
        // an instance whose clock is late by an hour neither serves what expired nor prunes more
        clock.set(clock.now() - Duration::from_secs(3600));
        prune().await;
        assert_eq!(at_night.get(&app, "/who").await.body, "", "{zone}");
        assert_eq!(rows().await, Statistics::exact(1, 0), "{zone}");
        clock.set(clock.now() + Duration::from_secs(3600));
        assert_eq!(active.get(&app, "/who").await.body, "ada", "{zone}");
        clock.advance(IDLE * 6 / 10);
        assert_eq!(
            active.get(&app, "/who").await.body,
            "",
            "{zone}: the absolute limit"
        );
        prune().await;
        assert_eq!(rows().await, Statistics::exact(0, 0), "{zone}");
    }
}

async fn one_instance_prunes_in_each_interval(engine: Engine) {
    let (database, url) = with_schema(engine).await;
    let interval = Duration::from_secs(600);
    let mut now = OffsetDateTime::now_utc();
    let mut instances = Vec::new();
    for _ in 0..8 {
        instances.push(opened(&url).await);
    }
    let begun = async |now| {
        let all = instances
            .iter()
            .map(|store| store.begin_sweep(now, interval));
        let all = futures_util::future::join_all(all).await;
        all.into_iter()
            .filter(|begun| *begun.as_ref().expect("a table"))
            .count()
    };
    for _ in 0..3 {
        assert_eq!(begun(now).await, 1);
        assert_eq!(begun(now + interval / 2).await, 0);
        now += interval;
    }
    // an instance whose clock is a year ahead stops the others for one interval at most
    let year = Duration::from_secs(365 * 24 * 3600);
    assert_eq!(begun(now + year).await, 1);
    assert_eq!(begun(now).await, 1);
    assert_eq!(begun(now).await, 0);
    // the row may be lost
    let lost = "delete from sessions_sweep";
    shared(engine).execute(&database, lost).await;
    assert_eq!(begun(now).await, 1);
    assert_eq!(begun(now).await, 0);
}

fn key(n: u32) -> StoreKey {
    let mut bytes = [7; 16];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    StoreKey::new(bytes)
}

async fn insert(store: &AnyStore, n: u32, expires: OffsetDateTime) {
    let row = Row::new(Version::new(1), b"x", expires, None);
    let created = store.create(key(n), &row).await.expect("a table");
    assert_eq!(created, Creation::Created);
}

async fn pruning_survives_a_restart_of_the_server(engine: Engine) {
    let mut server = SqlServer::start(engine, &[]);
    let store = opened(&server.url(server.first_database())).await;
    store.create_schema().await.expect("a schema");
    let task = tokio::spawn(prune_every(Duration::from_millis(50), store.clone()));
    let now = OffsetDateTime::now_utc();
    let (past, later) = (now - Duration::from_secs(9), now + Duration::from_secs(900));
    for restarted in [false, true] {
        if restarted {
            server.kill();
            tokio::time::sleep(Duration::from_millis(300)).await;
            server.restart();
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while store.load(key(0)).await.is_err() {
            assert!(Instant::now() < deadline, "the store recovers");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        insert(&store, u32::from(restarted), later).await;
        for n in 100..110 {
            insert(&store, n, past).await;
        }
        loop {
            let left = store.count(now).await.expect("a table");
            if left.expired == 0 {
                assert_eq!(left.live, 1 + u64::from(restarted));
                break;
            }
            assert!(Instant::now() < deadline, "{left:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(!task.is_finished());
}

async fn restored_dump_has_the_sessions_that_live(engine: Engine) {
    let server = SqlServer::start(engine, &[]);
    let database = server.database().await;
    let store = opened(&server.url(&database)).await;
    store.create_schema().await.expect("a schema");
    let (builder, clock) = on_a_clock();
    let before = app(built(builder).store(store));
    let (mut short, mut long) = (visitor(&before).await, visitor(&before).await);
    long.get(&before, "/remember").await;
    long.get(&before, "/set/cart/tea").await;

    let restored = server.database().await;
    let port = server.port.to_string();
    let copy = match engine {
        Engine::Postgres => format!(
            "set -e; export PGHOST=127.0.0.1 PGUSER=postgres PGPORT={port}; \
             pg_dump {database} | psql -q -v ON_ERROR_STOP=1 {restored}"
        ),
        Engine::MariaDb => format!(
            "set -e; at='--no-defaults -uroot -h127.0.0.1 -P{port}'; \
             mariadb-dump $at {database} | mariadb $at {restored}"
        ),
    };
    let copied = Command::new("sh")
        .args(["-c", &copy])
        .output()
        .expect("a shell");
    assert!(
        copied.status.success(),
        "{}",
        String::from_utf8_lossy(&copied.stderr)
    );
    let store = opened(&server.url(&restored)).await;
    store.create_schema().await.expect("a schema");
    clock.advance(Duration::from_secs(3 * 24 * 3600));
    let after = app(built(SessionLayer::builder(keys()).clock(clock)).store(store));
    assert_eq!(long.get(&after, "/who").await.body, "ada");
    assert_eq!(long.get(&after, "/get/cart").await.body, "tea");
    assert_eq!(
        short.get(&after, "/who").await.body,
        "",
        "it expired meanwhile"
    );
}

/// Inserts rows by one statement. Every tenth has expired.
async fn fill(server: &SqlServer, database: &str, rows: u32, owner: &str) {
    let sql = match server.engine {
        Engine::Postgres => format!(
            "insert into sessions (id, user_id, encrypted_data, expires_at, version) \
             select decode(md5(n::text), 'hex'), {owner}, decode(repeat(md5(n::text), 20), 'hex'), \
                 case when n % 10 = 0 then 1 else 9000000000000 end, 1 \
             from generate_series(1, {rows}) n; analyze sessions"
        ),
        Engine::MariaDb => format!(
            "set @owner = ({owner}); \
             insert into sessions (id, user_id, encrypted_data, expires_at, version) \
             select unhex(md5(seq)), @owner, unhex(repeat(md5(seq), 20)), \
                 if(seq % 10 = 0, 1, 9000000000000), 1 from seq_1_to_{rows}; \
             analyze table sessions"
        ),
    };
    server.execute(database, &sql).await;
}

async fn statistics_are_estimates_of_large_tables(engine: Engine) {
    let (database, url) = with_schema(engine).await;
    let server = shared(engine);
    let store = opened(&url).await;
    fill(server, &database, 50_000, "null").await;
    let now = OffsetDateTime::now_utc();
    let exact = store.count(now).await.expect("a table");
    assert_eq!(exact, Statistics::exact(45_000, 5_000));
    let estimated = store.statistics(now).await.expect("a table");
    assert!(!estimated.exact);
    assert!((30_000..60_000).contains(&estimated.live), "{estimated:?}");
    assert!((3_000..7_000).contains(&estimated.expired), "{estimated:?}");
}

/// An owner with many sessions logs out everywhere, while others go on.
async fn owner_with_many_sessions_stalls_nobody(engine: Engine) {
    let many =
        std::env::var("OWNED_SESSIONS").map_or(10_000, |many| many.parse().expect("a number"));
    let (database, url) = with_schema(engine).await;
    let server = shared(engine);
    let layer = built(SessionLayer::builder(keys())).store(opened(&url).await);
    let app = app(layer.clone());
    let mut ada = visitor(&app).await;
    fill(
        server,
        &database,
        many,
        "(select user_id from sessions limit 1)",
    )
    .await;
    let mut bob = Visitor::default();
    bob.get(&app, "/login/bob").await;
    let deletion = layer.delete_owner("ada");
    let mut deletion = std::pin::pin!(deletion);
    let (mut slowest, mut requests) = (Duration::ZERO, 0_u32);
    let deleted = loop {
        tokio::select! {
            deleted = &mut deletion => break deleted.expect("a store"),
            () = async {
                let start = Instant::now();
                let answer = bob.get(&app, "/count").await;
                slowest = slowest.max(start.elapsed());
                requests += 1;
                assert_eq!(answer.status, StatusCode::OK, "within the time-out");
                tokio::time::sleep(Duration::from_millis(1)).await;
            } => {}
        }
    };
    println!("{engine:?}: {deleted} deleted, {requests} other requests, the slowest {slowest:?}");
    assert_eq!(deleted, u64::from(many) + 1);
    assert_eq!(ada.get(&app, "/who").await.body, "");
    assert_eq!(bob.get(&app, "/who").await.body, "bob");
}

async fn pruning_a_million_rows_is_short_statements(engine: Engine) {
    let (database, url) = with_schema(engine).await;
    let server = shared(engine);
    let store = opened(&url).await;
    fill(server, &database, 1_000_000, "null").await;
    let app = over(store.clone());
    let traffic = tokio::spawn(async move {
        let mut ada = visitor(&app).await;
        loop {
            assert_eq!(ada.get(&app, "/count").await.status, StatusCode::OK);
        }
    });
    let (mut from, mut times) = (None::<Cursor>, Vec::new());
    let mut deleted = 0;
    loop {
        let start = Instant::now();
        let pruned = store
            .prune(OffsetDateTime::now_utc(), from)
            .await
            .expect("a table");
        times.push(start.elapsed());
        deleted += pruned.deleted;
        from = pruned.next;
        if from.is_none() {
            break;
        }
    }
    assert!(!traffic.is_finished());
    traffic.abort();
    assert_eq!(deleted, 100_000);
    times.sort();
    println!(
        "{engine:?}: {} statements in {:?}, median {:?}, slowest {:?}",
        times.len(),
        times.iter().sum::<Duration>(),
        times[times.len() / 2],
        times[times.len() - 1]
    );
}

/// With the statistics of PostgreSQL. MariaDB's statements are the same but for `create`.
#[tokio::test]
async fn each_call_is_one_statement() {
    let server = SqlServer::start(
        Engine::Postgres,
        &["-c", "shared_preload_libraries=pg_stat_statements"],
    );
    let extension = "create extension pg_stat_statements";
    server.execute("postgres", extension).await;
    let store = opened(&server.url("postgres")).await;
    store.create_schema().await.expect("a schema");
    let app = over(store);
    let statements = async || {
        let sql = "select sum(calls)::bigint from pg_stat_statements \
                   where query ~ '(from|into|update) sessions' and query !~ 'limit \\$?0'";
        server.number("postgres", sql).await
    };
    let mut visitor = Visitor::default();
    visitor.get(&app, "/set/a/1").await;
    let mut before = statements().await;
    for (path, calls) in [
        ("/get/a", 1),
        ("/set/a/2", 2),
        ("/login/ada", 3),
        ("/renew", 2),
        ("/logout", 2),
    ] {
        visitor.get(&app, path).await;
        let now = statements().await;
        assert_eq!(now - before, calls, "{path}");
        before = now;
    }
}

/// Touches change pages in place: by heap-only tuples.
#[tokio::test]
async fn touches_of_postgresql_are_heap_only() {
    // autovacuum reads other tables meanwhile, and PostgreSQL keeps old rows for that
    let server = SqlServer::start(Engine::Postgres, &["-c", "autovacuum=off"]);
    let database = server.first_database();
    let url = server.url(database);
    opened(&url).await.create_schema().await.expect("a schema");
    let store = PostgresStore::connect(&url).await.expect("a server");
    let end = OffsetDateTime::now_utc() + Duration::from_secs(3600);
    let bytes = [9; 500];
    for n in 0..400 {
        let row = Row::new(Version::new(1), &bytes, end, None);
        store.create(key(n), &row).await.expect("a table");
    }
    for round in 0..10 {
        for n in 0..400 {
            let end = end + Duration::from_secs(round);
            assert!(
                store
                    .touch(key(n), Version::new(1), end)
                    .await
                    .expect("a table")
            );
        }
    }
    // a session tells its statistics when it is idle
    let sql = "select n_tup_upd from pg_stat_user_tables where relname = 'sessions'";
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.number(database, sql).await < 4000 {
        assert!(Instant::now() < deadline, "the statistics arrive");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let sql = "select 100 * n_tup_hot_upd / n_tup_upd from pg_stat_user_tables where relname = 'sessions'";
    let hot = server.number(database, sql).await;
    println!("{hot} % of the touches are heap-only");
    assert!(hot >= 95, "{hot} %");
}
