use std::{collections::HashSet, time::Duration};

use sqlx::AssertSqlSafe;

use super::{
    super::{
        log,
        row::places,
        server::{OVERLAP, STEP, patience},
    },
    MySqlStore,
};
use crate::{
    clock::Millis,
    store::{
        contract::Creation,
        error::StoreError,
        log::{Entry, Position, RevocationLog},
    },
};

impl MySqlStore {
    /// Inserts all of the rows, or none if there is one with the name of any of them.
    async fn insert_all(&self, rows: &[log::Row]) -> Result<Creation, StoreError> {
        let insert = format!(
            "insert into session_revocations (name, entry, expires_at) values {}",
            vec!["(?, ?, ?)"; rows.len()].join(", ")
        );
        self.insert(|| {
            let query = sqlx::query(AssertSqlSafe(insert.clone()));
            rows.iter().fold(query, |query, row| {
                query.bind(&row.name).bind(&row.entry).bind(row.expires)
            })
        })
        .await
    }

    /// The names of those rows that exist.
    async fn names(&self, rows: &[log::Row]) -> Result<HashSet<Vec<u8>>, StoreError> {
        let select = format!(
            "select name from session_revocations where name in ({})",
            places(rows.len())
        );
        let select = sqlx::query_scalar(AssertSqlSafe(select));
        let select = rows
            .iter()
            .fold(select, |select, row| select.bind(&row.name));
        let mut call = self.server.call().await?;
        let names = select.fetch_all(call.connection()).await;
        Ok(call.end(names)?.into_iter().collect())
    }
}

impl RevocationLog for MySqlStore {
    const KIND: &'static str = "mysql";
    const PAUSE: Duration = log::PAUSE;
    const OVERLAP: Duration = OVERLAP;

    async fn create(&self) -> Result<(), StoreError> {
        let created = self.run(Self::REVOCATIONS_SCHEMA).await;
        created.map_err(log::failed)
    }

    /// No single statement ignores the names that exist and also counts the others: `insert ignore`
    /// would ignore other errors too. With `on duplicate key update seq = seq`, the server counts
    /// rows that exist as well, since sqlx sets CLIENT_FOUND_ROWS.
    async fn append(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        let mut rows = log::rows(entries);
        while !rows.is_empty() {
            let added = self.insert_all(&rows).await.map_err(log::failed)?;
            match added {
                Creation::Created => return Ok(rows.len() as u64),
                Creation::Exists if rows.len() == 1 => break,
                Creation::Exists => {}
            }
            let names = self.names(&rows).await.map_err(log::failed)?;
            rows.retain(|row| !names.contains(&row.name));
        }
        Ok(0)
    }

    async fn read(&self, from: Position) -> Result<Vec<(Position, Option<Entry>)>, StoreError> {
        let Ok(from) = i64::try_from(from) else {
            return Ok(Vec::new());
        };
        let select = sqlx::query_as(
            "select seq, entry from session_revocations where seq >= ? order by seq limit ?",
        );
        let mut call = self.server.call().await?;
        let select = select.bind(from).bind(log::BATCH);
        let rows = select.fetch_all(call.connection()).await;
        let rows: Vec<log::Columns> = call.end(rows).map_err(log::failed)?;
        Ok(rows.into_iter().map(log::entry).collect())
    }

    async fn trim(&self, now: Millis) -> Result<bool, StoreError> {
        let now = log::millis(now);
        let delete = self.write(|| {
            let delete = sqlx::query(
                "delete from session_revocations where expires_at <= ? order by expires_at limit ?",
            );
            delete.bind(now).bind(log::BATCH)
        });
        let deleted = patience(STEP, delete).await.map_err(log::failed)?;
        Ok(deleted == log::BATCH.cast_unsigned())
    }
}
