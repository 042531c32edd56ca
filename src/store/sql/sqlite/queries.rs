use std::time::Duration;

use sqlx::AssertSqlSafe;
use time::OffsetDateTime;

use super::{
    super::{
        busy::patiently,
        row::{
            BATCH, Columns, KeyedColumns, LISTED, SCANNED, cursor_of, id, key_of, keyed, millis,
            number, places, stored, tag,
        },
    },
    SqliteStore,
};
use crate::store::{
    contract::{Creation, OwnerTag, Row, Saving, Store, StoreKey, Stored, Version},
    error::StoreError,
    log::AnyLog,
    operate::{Cursor, Operate, Pruned, Scanned, Statistics},
};

impl Store for SqliteStore {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        let (id, pool) = (id(&key), &self.readers);
        let row: Option<Columns> = patiently(move || {
            sqlx::query_as(
                "select version, encrypted_data, expires_at, user_id from sessions where id = ?",
            )
            .bind(id)
            .fetch_optional(pool)
        })
        .await?;
        Ok(row.map(stored))
    }

    async fn create(&self, key: StoreKey, row: &Row<'_>) -> Result<Creation, StoreError> {
        let (id, tag, bytes) = (id(&key), tag(&row.owner), row.bytes);
        let (expires, version) = (millis(row.expires), number(row.version));
        let made = self.write(move || {
            let insert = sqlx::query(
                "insert into sessions (id, user_id, encrypted_data, expires_at, version) values (?, ?, ?, ?, ?) \
                 on conflict do nothing",
            );
            let insert = insert.bind(id).bind(tag).bind(bytes);
            insert.bind(expires).bind(version)
        });
        Ok(match made.await? {
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
        let (id, tag, bytes) = (id(&key), tag(&row.owner), row.bytes);
        let (expires, version) = (millis(row.expires), number(row.version));
        let saved = self.write(move || {
            let update = sqlx::query(
                "update sessions set user_id = ?, encrypted_data = ?, expires_at = ?, version = ? \
                 where id = ? and version = ?",
            );
            let update = update.bind(tag).bind(bytes).bind(expires).bind(version);
            update.bind(id).bind(number(expected))
        });
        if saved.await? > 0 {
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
        let (id, expires) = (id(&key), millis(expires));
        let touched = self.write(move || {
            let update =
                sqlx::query("update sessions set expires_at = ? where id = ? and version = ?");
            update.bind(expires).bind(id).bind(number(expected))
        });
        Ok(touched.await? > 0)
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        let id = id(&key);
        let deleted = self.write(move || sqlx::query("delete from sessions where id = ?").bind(id));
        Ok(deleted.await? > 0)
    }

    async fn list_owner(&self, owner: &[OwnerTag]) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let select = format!(
            "select id, version, encrypted_data, expires_at, user_id from sessions \
             where user_id in ({}) limit ?",
            places(owner.len())
        );
        let (select, pool) = (&select, &self.readers);
        let rows: Vec<KeyedColumns> = patiently(move || {
            let mut query = sqlx::query_as(AssertSqlSafe(select.clone()));
            for tag in owner {
                query = query.bind(&tag.as_bytes()[..]);
            }
            query.bind(LISTED).fetch_all(pool)
        })
        .await?;
        Ok(rows.into_iter().filter_map(keyed).collect())
    }

    async fn delete_owner(
        &self,
        owner: &[OwnerTag],
        except: &[StoreKey],
    ) -> Result<u64, StoreError> {
        let delete = format!(
            "delete from sessions where id in ( \
                 select id from sessions where user_id in ({}) and id not in ({}) limit ? \
             )",
            places(owner.len()),
            places(except.len())
        );
        let delete = &delete;
        self.write(move || {
            let mut query = sqlx::query(AssertSqlSafe(delete.clone()));
            for tag in owner {
                query = query.bind(&tag.as_bytes()[..]);
            }
            for key in except {
                query = query.bind(id(key));
            }
            query.bind(BATCH)
        })
        .await
    }
}

impl Operate for SqliteStore {
    async fn create_schema(&self) -> Result<(), StoreError> {
        Self::create_schema(self).await
    }

    async fn prune(&self, now: OffsetDateTime, _: Option<Cursor>) -> Result<Pruned, StoreError> {
        let now = millis(now);
        let deleted = self.write(move || {
            let delete = sqlx::query(
                "delete from sessions where id in (select id from sessions where expires_at <= ? limit ?)",
            );
            delete.bind(now).bind(BATCH)
        });
        let deleted = deleted.await?;
        Ok(Pruned {
            deleted,
            next: (deleted == BATCH.cast_unsigned()).then(|| Cursor::new([])),
        })
    }

    async fn begin_sweep(
        &self,
        now: OffsetDateTime,
        interval: Duration,
    ) -> Result<bool, StoreError> {
        let (now, next) = (millis(now), millis(now + interval));
        let begun = self.write(move || {
            let begin = sqlx::query(
                "insert into sessions_sweep values (1, ?2) on conflict (id) \
                 do update set next = ?2 where not (next > ?1 and next <= ?2)",
            );
            begin.bind(now).bind(next)
        });
        Ok(begun.await? > 0)
    }

    /// Counts the rows. SQLite reads an index for that, not the data.
    async fn statistics(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        let (now, pool) = (millis(now), &self.readers);
        let (all, expired): (i64, i64) = patiently(move || {
            sqlx::query_as("select count(*), count(*) filter (where expires_at <= ?) from sessions")
                .bind(now)
                .fetch_one(pool)
        })
        .await?;
        Ok(Statistics::exact(
            (all - expired).cast_unsigned(),
            expired.cast_unsigned(),
        ))
    }

    async fn count(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        self.statistics(now).await
    }

    async fn scan(&self, from: Option<Cursor>) -> Result<Scanned, StoreError> {
        let (from, pool) = (key_of(from), &self.readers);
        let from = &from;
        let rows: Vec<KeyedColumns> = patiently(move || {
            sqlx::query_as(
                "select id, version, encrypted_data, expires_at, user_id from sessions \
                 where id > ? order by id limit ?",
            )
            .bind(from)
            .bind(SCANNED)
            .fetch_all(pool)
        })
        .await?;
        Ok(Scanned {
            next: cursor_of(&rows),
            sessions: rows.into_iter().filter_map(keyed).collect(),
        })
    }

    fn revocation_log(&self) -> Option<AnyLog> {
        Some(AnyLog::new(self.clone()))
    }
}
