use sqlx::{AssertSqlSafe, query::Query};
use time::OffsetDateTime;

use super::{
    super::{BATCH, Columns, busy::patiently, id, millis, number, stored, tag},
    SqliteStore,
};
use crate::store::{
    contract::{Creation, OwnerTag, Row, Saving, Store, StoreKey, Stored, Version},
    error::StoreError,
    operate::{Operate, Statistics},
};

impl Store for SqliteStore {
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

    async fn delete_owner(&self, owner: &[OwnerTag]) -> Result<u64, StoreError> {
        let tags = vec!["?"; owner.len()].join(", ");
        let delete = format!(
            "delete from sessions where id in (select id from sessions where user_id in ({tags}) limit ?)",
        );
        let delete = &delete;
        self.write(move || {
            let delete = sqlx::query(AssertSqlSafe(delete.clone()));
            let bind = |delete, tag: &'_ OwnerTag| Query::bind(delete, &tag.as_bytes()[..]);
            owner.iter().fold(delete, bind).bind(BATCH)
        })
        .await
    }
}

impl Operate for SqliteStore {
    async fn prune(&self, now: OffsetDateTime) -> Result<u64, StoreError> {
        let now = millis(now);
        self.write(move || {
            let delete = sqlx::query(
                "delete from sessions where id in (select id from sessions where expires_at <= ? limit ?)",
            );
            delete.bind(now).bind(BATCH)
        })
        .await
    }

    async fn statistics(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        let (now, pool) = (millis(now), &self.readers);
        let (all, expired): (i64, i64) = patiently(move || {
            sqlx::query_as("select count(*), count(*) filter (where expires_at <= ?) from sessions")
                .bind(now)
                .fetch_one(pool)
        })
        .await?;
        Ok(Statistics::new(
            (all - expired).cast_unsigned(),
            expired.cast_unsigned(),
        ))
    }
}
