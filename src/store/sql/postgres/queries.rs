use std::time::Duration;

use time::OffsetDateTime;

use super::{
    super::{
        row::{
            BATCH, Columns, KeyedColumns, LISTED, SCANNED, cursor_of, id, key_of, keyed, millis,
            moment, number, stored, tag, tags,
        },
        server::{COUNT, STEP, patience},
    },
    PostgresStore,
};
use crate::store::{
    contract::{Creation, OwnerTag, Row, Saving, Store, StoreKey, Stored, Version},
    error::{StoreError, StoreErrorKind},
    log::AnyLog,
    operate::{Cursor, Operate, Pruned, Scanned, Statistics},
};

/// The number of pages that one statement prunes: about 4 MiB.
const PAGES: u32 = 500;

impl Store for PostgresStore {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        let mut call = self.server.call().await?;
        let select = sqlx::query_as(
            "select version, encrypted_data, expires_at, user_id from sessions where id = $1",
        );
        let row = select
            .bind(id(&key))
            .fetch_optional(call.connection())
            .await;
        let row: Option<Columns> = call.end(row)?;
        Ok(row.map(stored))
    }

    async fn create(&self, key: StoreKey, row: &Row<'_>) -> Result<Creation, StoreError> {
        let insert = sqlx::query(
            "insert into sessions (id, user_id, encrypted_data, expires_at, version) \
             values ($1, $2, $3, $4, $5) on conflict do nothing",
        );
        let insert = insert.bind(id(&key)).bind(tag(&row.owner)).bind(row.bytes);
        let insert = insert.bind(millis(row.expires)).bind(number(row.version));
        let mut call = self.server.call().await?;
        let made = insert.execute(call.connection()).await;
        Ok(match call.end(made)?.rows_affected() {
            0 => Creation::Exists,
            _ => Creation::Created,
        })
    }

    async fn save(
        &self,
        key: StoreKey,
        expected: Version,
        row: &Row<'_>,
        _: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        let update = sqlx::query(
            "update sessions set user_id = $3, encrypted_data = $4, expires_at = $5, version = $6 \
             where id = $1 and version = $2",
        );
        let update = update.bind(id(&key)).bind(number(expected));
        let update = update.bind(tag(&row.owner)).bind(row.bytes);
        let update = update.bind(millis(row.expires)).bind(number(row.version));
        let mut call = self.server.call().await?;
        let made = update.execute(call.connection()).await;
        if call.end(made)?.rows_affected() > 0 {
            return Ok(Saving::Saved);
        }
        Ok(self.load(key).await?.map_or(Saving::Gone, Saving::Conflict))
    }

    async fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let update =
            sqlx::query("update sessions set expires_at = $3 where id = $1 and version = $2");
        let update = update.bind(id(&key)).bind(number(expected));
        let mut call = self.server.call().await?;
        let made = update
            .bind(millis(expires))
            .execute(call.connection())
            .await;
        Ok(call.end(made)?.rows_affected() > 0)
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        let delete = sqlx::query("delete from sessions where id = $1").bind(id(&key));
        let mut call = self.server.call().await?;
        let made = delete.execute(call.connection()).await;
        Ok(call.end(made)?.rows_affected() > 0)
    }

    async fn list_owner(&self, owner: &[OwnerTag]) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let select = sqlx::query_as(
            "select id, version, encrypted_data, expires_at, user_id from sessions \
             where user_id = any($1) limit $2",
        );
        let mut call = self.server.call().await?;
        let rows = select
            .bind(tags(owner))
            .bind(LISTED)
            .fetch_all(call.connection())
            .await;
        let rows: Vec<KeyedColumns> = call.end(rows)?;
        Ok(rows.into_iter().filter_map(keyed).collect())
    }

    async fn delete_owner(
        &self,
        owner: &[OwnerTag],
        except: &[StoreKey],
    ) -> Result<u64, StoreError> {
        let except: Vec<&[u8]> = except.iter().map(id).collect();
        loop {
            // another call may delete, or move to another owner, what was found
            let delete = sqlx::query_as(
                "with found as ( \
                     select id from sessions where user_id = any($1) and id <> all($2) limit $3 \
                 ), deleted as ( \
                     delete from sessions using found \
                     where sessions.id = found.id and user_id = any($1) returning 1 \
                 ) select (select count(*) from found), (select count(*) from deleted)",
            );
            let mut call = self.server.call().await?;
            let delete = delete.bind(tags(owner)).bind(&except).bind(BATCH);
            let made: Result<(i64, i64), _> = delete.fetch_one(call.connection()).await;
            match call.end(made) {
                Ok((1.., 0)) => {}
                Ok((_, deleted)) => return Ok(deleted.cast_unsigned()),
                // of two calls that wait for each other, the server ends one without an effect
                Err(error) if error.kind() == StoreErrorKind::Contended => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Operate for PostgresStore {
    async fn create_schema(&self) -> Result<(), StoreError> {
        Self::create_schema(self).await
    }

    /// Deletes from 4 MiB of the table.
    async fn prune(&self, now: OffsetDateTime, from: Option<Cursor>) -> Result<Pruned, StoreError> {
        let page = from.and_then(|from| from.as_bytes().try_into().ok());
        let page = page.map_or(0, u32::from_be_bytes);
        let next = page.saturating_add(PAGES);
        let tid = |page: u32| format!("({page},0)");
        let delete = sqlx::query_as(
            "with deleted as ( \
                 delete from sessions \
                 where ctid >= $1::tid and ctid < $2::tid and expires_at <= $3 returning 1 \
             ) select (select count(*) from deleted), \
                 pg_relation_size('sessions') / current_setting('block_size')::bigint",
        );
        let delete = delete.bind(tid(page)).bind(tid(next)).bind(millis(now));
        let (deleted, pages): (i64, i64) = patience(STEP, async {
            let mut call = self.server.call().await?;
            let made = delete.fetch_one(call.connection()).await;
            call.end(made)
        })
        .await?;
        Ok(Pruned {
            deleted: deleted.cast_unsigned(),
            next: (i64::from(next) < pages).then(|| Cursor::new(next.to_be_bytes())),
        })
    }

    async fn begin_sweep(
        &self,
        now: OffsetDateTime,
        interval: Duration,
    ) -> Result<bool, StoreError> {
        let begin = sqlx::query(
            "insert into sessions_sweep as sweep values (1, $2) on conflict (id) \
             do update set next = $2 where not (sweep.next > $1 and sweep.next <= $2)",
        );
        let begin = begin.bind(millis(now)).bind(millis(now + interval));
        patience(STEP, async {
            let mut call = self.server.call().await?;
            let made = begin.execute(call.connection()).await;
            Ok(call.end(made)?.rows_affected() > 0)
        })
        .await
    }

    /// Counts a random sample of about 500 pages.
    async fn statistics(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        let sample = sqlx::query_as(
            "select count(*) filter (where expires_at > $1), count(*) \
             from sessions tablesample system ($2)",
        );
        patience(STEP, async {
            let mut call = self.server.call().await?;
            let pages = sqlx::query_scalar(
                "select pg_relation_size('sessions') / current_setting('block_size')::bigint",
            );
            let pages: Result<i64, _> = pages.fetch_one(call.connection()).await;
            let pages = call.end(pages)? as f64;
            let share = (f64::from(PAGES) / pages.max(1.0)).min(1.0);
            let mut call = self.server.call().await?;
            let sample = sample.bind(millis(now)).bind(share * 100.0);
            let counts: Result<(i64, i64), _> = sample.fetch_one(call.connection()).await;
            let (live, all) = call.end(counts)?;
            let scaled = |count: i64| (count as f64 / share).round() as u64;
            Ok(match share < 1.0 {
                true => Statistics::estimated(scaled(live), scaled(all - live)),
                false => Statistics::exact(live.cast_unsigned(), (all - live).cast_unsigned()),
            })
        })
        .await
    }

    async fn count(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        let count = sqlx::query_as(
            "select count(*) filter (where expires_at > $1), count(*) from sessions",
        );
        let count = count.bind(millis(now));
        let (live, all): (i64, i64) = patience(COUNT, async {
            let mut call = self.server.call().await?;
            let counts = count.fetch_one(call.connection()).await;
            call.end(counts)
        })
        .await?;
        Ok(Statistics::exact(
            live.cast_unsigned(),
            (all - live).cast_unsigned(),
        ))
    }

    async fn scan(&self, from: Option<Cursor>) -> Result<Scanned, StoreError> {
        let select = sqlx::query_as(
            "select id, version, encrypted_data, expires_at, user_id from sessions \
             where id > $1 order by id limit $2",
        );
        let select = select.bind(key_of(from)).bind(SCANNED);
        let rows: Vec<KeyedColumns> = patience(STEP, async {
            let mut call = self.server.call().await?;
            let rows = select.fetch_all(call.connection()).await;
            call.end(rows)
        })
        .await?;
        Ok(Scanned {
            next: cursor_of(&rows),
            sessions: rows.into_iter().filter_map(keyed).collect(),
        })
    }

    async fn server_time(&self, server: usize) -> Result<Option<OffsetDateTime>, StoreError> {
        if server > 0 {
            return Ok(None);
        }
        let select = sqlx::query_scalar(
            "select floor(extract(epoch from clock_timestamp()) * 1000)::bigint",
        );
        let millis: i64 = patience(STEP, async {
            let mut call = self.server.call().await?;
            let time = select.fetch_one(call.connection()).await;
            call.end(time)
        })
        .await?;
        Ok(Some(moment(millis)))
    }

    fn revocation_log(&self) -> Option<AnyLog> {
        Some(AnyLog::new(self.clone()))
    }
}
