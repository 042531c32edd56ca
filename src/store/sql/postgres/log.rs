use std::time::Duration;

use super::{
    super::{
        log,
        server::{OVERLAP, STEP, patience},
    },
    PostgresStore,
};
use crate::{
    clock::Millis,
    store::{
        error::{StoreError, StoreErrorKind},
        log::{Entry, Position, RevocationLog},
    },
};

impl RevocationLog for PostgresStore {
    const KIND: &'static str = "postgres";
    const PAUSE: Duration = log::PAUSE;
    const OVERLAP: Duration = OVERLAP;

    async fn create(&self) -> Result<(), StoreError> {
        let created = self.run(Self::REVOCATIONS_SCHEMA).await;
        created.map(drop).map_err(log::failed)
    }

    async fn append(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        let rows = log::rows(entries);
        let names: Vec<_> = rows.iter().map(|row| &row.name[..]).collect();
        let entries: Vec<_> = rows.iter().map(|row| &row.entry[..]).collect();
        let ends: Vec<_> = rows.iter().map(|row| row.expires).collect();
        loop {
            let insert = sqlx::query(
                "insert into session_revocations (name, entry, expires_at) \
                 select * from unnest($1::bytea[], $2::bytea[], $3::bigint[]) \
                 on conflict (name) do nothing",
            );
            let insert = insert.bind(&names).bind(&entries).bind(&ends);
            let mut call = self.server.call().await?;
            let made = insert.execute(call.connection()).await;
            match call.end(made) {
                // of two calls that wait for each other, the server ends one without an effect
                Err(error) if error.kind() == StoreErrorKind::Contended => {}
                Err(error) => return Err(log::failed(error)),
                Ok(made) => return Ok(made.rows_affected()),
            }
        }
    }

    async fn read(&self, from: Position) -> Result<Vec<(Position, Option<Entry>)>, StoreError> {
        let Ok(from) = i64::try_from(from) else {
            return Ok(Vec::new());
        };
        let select = sqlx::query_as(
            "select seq, entry from session_revocations where seq >= $1 order by seq limit $2",
        );
        let mut call = self.server.call().await?;
        let select = select.bind(from).bind(log::BATCH);
        let rows = select.fetch_all(call.connection()).await;
        let rows: Vec<log::Columns> = call.end(rows).map_err(log::failed)?;
        Ok(rows.into_iter().map(log::entry).collect())
    }

    /// Instances that do this at the same time delete different rows.
    async fn trim(&self, now: Millis) -> Result<bool, StoreError> {
        let delete = sqlx::query(
            "delete from session_revocations where seq = any(array( \
                 select seq from session_revocations where expires_at <= $1 \
                 order by expires_at limit $2 for update skip locked \
             ))",
        );
        let delete = delete.bind(log::millis(now)).bind(log::BATCH);
        let deleted = patience(STEP, async {
            let mut call = self.server.call().await?;
            let made = delete.execute(call.connection()).await;
            call.end(made)
        });
        let deleted = deleted.await.map_err(log::failed)?.rows_affected();
        Ok(deleted == log::BATCH.cast_unsigned())
    }
}
