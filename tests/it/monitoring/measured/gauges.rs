//! The gauges of a store, next to what another client finds in it.

use std::time::Duration;

use sqlx::Connection as _;
use time::OffsetDateTime;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tower_sealed_session::{
    SessionLayer,
    store::{self, AnyStore, Row, Store as _, StoreKey, Version, measure_every, prune_every},
};

use super::recorder::Recorded;
use crate::{
    processes::Folder,
    stores::{
        self,
        redis_server::RedisServer,
        sql_server::{self, Engine},
    },
    support::{Visitor, keys},
};

const OFTEN: Duration = Duration::from_millis(50);

/// Waits until a measurement finds what is expected.
async fn until(recorded: &Recorded, what: &str, is_so: impl Fn(&Recorded) -> bool) {
    let met = timeout(Duration::from_secs(10), async {
        while !is_so(recorded) {
            sleep(OFTEN).await;
        }
    });
    assert!(met.await.is_ok(), "{what}:\n{}", recorded.text());
}

fn rows(recorded: &Recorded, state: &str) -> u64 {
    recorded.count("session_rows", &[("state", state)])
}

async fn connect(url: &str) -> (AnyStore, JoinHandle<()>) {
    let store = store::connect(url).await.expect("a store");
    store.create_schema().await.expect("a schema");
    let measuring = tokio::spawn(measure_every(OFTEN, store.clone()));
    (store, measuring)
}

/// Creates 30 rows that live and 20 that have expired.
async fn fill(store: &AnyStore) {
    let now = OffsetDateTime::now_utc();
    for n in 0..50_u8 {
        let expires = match n < 30 {
            true => now + Duration::from_secs(3600),
            false => now - Duration::from_secs(60),
        };
        let row = Row::new(Version::new(1), b"bytes", expires, None);
        let created = store.create(StoreKey::new([n; 16]), &row).await;
        created.expect("a store");
    }
}

#[tokio::test]
async fn rows_of_postgres_are_those_that_another_client_counts() {
    let recorded = Recorded::begin();
    let server = sql_server::shared(Engine::Postgres);
    let database = server.database().await;
    let (store, measuring) = connect(&server.url(&database)).await;
    fill(&store).await;
    until(&recorded, "rows", |now| {
        (rows(now, "live"), rows(now, "expired")) == (30, 20)
    })
    .await;
    let now = OffsetDateTime::now_utc().unix_timestamp() * 1000;
    let live = format!("select count(*) from sessions where expires_at > {now}");
    assert_eq!(server.number(&database, &live).await, 30);
    assert_eq!(
        recorded.sum("session_store_up", &[("store", "postgres")]),
        1.0
    );
    let skew = recorded.sum("session_clock_skew_seconds", &[("store", "postgres")]);
    assert!(
        skew.abs() < 1.0,
        "the server has the clock of this machine: {skew}"
    );

    let before = OffsetDateTime::now_utc().unix_timestamp() as f64;
    let pruning = tokio::spawn(prune_every(OFTEN, store));
    until(&recorded, "pruned", |now| rows(now, "expired") == 0).await;
    assert_eq!(recorded.count("session_pruned_rows_total", &[]), 20);
    let all = server.number(&database, "select count(*) from sessions");
    assert_eq!(all.await, 30);
    until(&recorded, "the time of the sweep", |now| {
        now.sum("session_prune_last_success_timestamp_seconds", &[]) >= before
    })
    .await;
    pruning.abort();
    measuring.abort();
}

#[tokio::test]
async fn rows_of_sqlite_are_those_that_another_client_counts() {
    let (recorded, folder) = (Recorded::begin(), Folder::new());
    let url = format!("sqlite:{}", folder.0.join("sessions.db").display());
    let (store, measuring) = connect(&url).await;
    fill(&store).await;
    until(&recorded, "rows", |now| {
        (rows(now, "live"), rows(now, "expired")) == (30, 20)
    })
    .await;
    let mut client = sqlx::SqliteConnection::connect(&url).await.expect("a file");
    let live = sqlx::query_scalar("select count(*) from sessions where expires_at > ?")
        .bind(OffsetDateTime::now_utc().unix_timestamp() * 1000);
    let live: i64 = live.fetch_one(&mut client).await.expect("a number");
    assert_eq!(live, 30);
    // it has no server, so it is neither up nor down
    assert!(!recorded.text().contains("session_store_up"));
    measuring.abort();
}

/// The number of rows is an estimate of InnoDB; that of expired ones is counted.
#[tokio::test]
async fn expired_rows_of_mariadb_are_those_that_another_client_counts() {
    let recorded = Recorded::begin();
    let server = sql_server::shared(Engine::MariaDb);
    let database = server.database().await;
    let (store, measuring) = connect(&server.url(&database)).await;
    fill(&store).await;
    until(&recorded, "rows", |now| rows(now, "expired") == 20).await;
    server.execute(&database, "analyze table sessions").await;
    until(&recorded, "live rows", |now| rows(now, "live") == 30).await;
    let skew = recorded.sum("session_clock_skew_seconds", &[("store", "mysql")]);
    assert!(skew.abs() < 1.0, "{skew}");
    measuring.abort();
}

/// Of a Redis server: the value of a field of `INFO`.
async fn info(server: &RedisServer, field: &str) -> u64 {
    let client = redis::Client::open(server.url()).expect("a URL");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("a server");
    let info: String = redis::cmd("INFO")
        .query_async(&mut connection)
        .await
        .expect("an answer");
    let value = info.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name == field).then(|| value.trim().parse().ok())?
    });
    value.unwrap_or_else(|| panic!("no {field}:\n{info}"))
}

#[tokio::test]
async fn sessions_that_redis_expires_are_counted_as_it_counts_them() {
    const VISITORS: u64 = 40;
    let recorded = Recorded::begin();
    let server = RedisServer::start(&["--maxmemory", "100mb"]);
    let (store, measuring) = connect(&server.url()).await;
    let builder = SessionLayer::builder(keys()).idle_timeout(Duration::from_secs(2));
    let app = stores::app(builder.store(store).build().expect("settings"));
    until(&recorded, "the first measurement", |now| {
        now.text().contains("session_store_expired_keys_total")
    })
    .await;
    for n in 0..VISITORS {
        let mut visitor = Visitor::default();
        visitor.get(&app, "/set/a/1").await;
        if n < 10 {
            visitor.get(&app, "/logout").await;
        }
    }
    until(&recorded, "rows", |now| rows(now, "live") == VISITORS).await;
    until(&recorded, "expired keys", |now| {
        now.count("session_store_expired_keys_total", &[]) == VISITORS - 10
    })
    .await;
    assert_eq!(info(&server, "expired_keys").await, VISITORS - 10);
    // what is left are tombstones
    until(&recorded, "tombstones", |now| rows(now, "live") == 10).await;
    assert_eq!(recorded.count("session_created_total", &[]), VISITORS);
    assert_eq!(recorded.count("session_ended_total", &[]), 10);
    assert_eq!(
        recorded.count("session_store_memory_limit_bytes", &[]),
        info(&server, "maxmemory").await
    );
    assert_eq!(recorded.count("session_store_evicted_keys_total", &[]), 0);
    assert_eq!(recorded.sum("session_store_keys_without_expiry", &[]), 0.0);
    measuring.abort();
}
