//! The size of sessions at rest, and the settings of the server.

use tower_sessions_sqlx_store::sqlx::{
    Connection as _, PgConnection, query_as, query_scalar, raw_sql,
};

use crate::{Result, contestant::Contestant, load::fill};

/// The clients that create the sessions at the same time.
const CLIENTS: u64 = 64;

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

/// Creates that many sessions of each contestant, and returns the bytes of one at rest: of the table
/// with its indexes.
///
/// Prints `size contestant sessions bytes_per_session of_the_table of_the_indexes`.
pub async fn measure(url: &str, contestants: &[Contestant; 2], sessions: u64) -> Result<[f64; 2]> {
    let mut server = PgConnection::connect(url).await?;
    let mut sizes = [0.0; 2];
    for (size, contestant) in sizes.iter_mut().zip(contestants) {
        fill(contestant, CLIENTS, sessions).await?;
        let table = contestant.table;
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
        *size = each(all);
    }
    server.close().await?;
    Ok(sizes)
}
