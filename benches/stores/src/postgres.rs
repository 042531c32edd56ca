//! Sessions in PostgreSQL: the contestants, the settings of the server, and the size at rest.

use tower_sealed_session::store::PostgresStore;
use tower_sessions_sqlx_store::{
    PostgresStore as PeersStore,
    sqlx::{
        Connection as _, PgConnection, postgres::PgPoolOptions, query_as, query_scalar, raw_sql,
    },
};

use crate::{
    Result,
    contestant::{Access, Begin, Contestant},
    load::fill,
    ours, peer,
};

/// The maximum number of connections to the server. This crate's store has no setting for it.
const CONNECTIONS: u32 = 10;

/// The tables of the contestants' sessions.
const TABLES: [&str; 2] = ["sessions", "tower_sessions.session"];

/// `pings`: whether the peer's pool pings a connection before each use, which is sqlx's default.
pub async fn start(url: &str, pings: bool) -> Result<Vec<Contestant>> {
    // it opens at most `CONNECTIONS` connections
    let store = PostgresStore::connect(url).await?;
    store.create_schema().await?;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .test_before_acquire(pings);
    let peers = PeersStore::new(pool.connect(url).await?);
    peers.migrate().await?;

    let apps = [
        (ours::NAME, ours::app(store)?),
        (peer::NAME, peer::app(peers)),
    ];
    let mut contestants = Vec::new();
    for (name, app) in apps {
        contestants.push(Contestant {
            name,
            begin: Begin::Login,
            access: Access::serve(app).await?,
        });
    }
    Ok(contestants)
}

/// Prints `setting name value` for the version and for the settings that decide about durability.
pub async fn print_settings(url: &str) -> Result<()> {
    let mut server = PgConnection::connect(url).await?;
    for name in [
        "server_version",
        "fsync",
        "synchronous_commit",
        "wal_sync_method",
    ] {
        let value = query_scalar("select current_setting($1)").bind(name);
        let value: String = value.fetch_one(&mut server).await?;
        println!("setting\t{name}\t{value}");
    }
    Ok(server.close().await?)
}

/// Creates that many sessions of each contestant, and returns the bytes of one at rest: of the
/// table with its indexes.
///
/// Prints `size contestant sessions bytes_per_session of_the_table of_the_indexes`.
pub async fn sizes(url: &str, contestants: &[Contestant], sessions: u64) -> Result<Vec<f64>> {
    let mut server = PgConnection::connect(url).await?;
    let mut sizes = Vec::new();
    for (contestant, table) in contestants.iter().zip(TABLES) {
        fill(contestant, sessions).await?;
        raw_sql(&format!("vacuum analyze {table}"))
            .execute(&mut server)
            .await?;
        let query = format!(
            "select count(*), pg_total_relation_size('{table}'), pg_table_size('{table}'), \
             pg_indexes_size('{table}') from {table}"
        );
        let found: (i64, i64, i64, i64) = query_as(&query).fetch_one(&mut server).await?;
        let (count, all, rows, indexes) = found;
        let each = |bytes: i64| bytes as f64 / count as f64;
        println!(
            "size\t{}\t{count}\t{:.1}\t{:.1}\t{:.1}",
            contestant.name,
            each(all),
            each(rows),
            each(indexes)
        );
        sizes.push(each(all));
    }
    server.close().await?;
    Ok(sizes)
}
