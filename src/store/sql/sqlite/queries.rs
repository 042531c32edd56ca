use time::OffsetDateTime;

use super::{
    super::{BATCH, Columns, busy::patiently, id, millis, number, stored, tag},
    SqliteStore,
};
use crate::store::{
    contract::{Creation, OwnerTag, Saving, Store, StoreKey, Stored, Version},
    error::StoreError,
    operate::{Operate, Statistics},
};

impl Store for SqliteStore {
    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        let (id, pool) = (id(&key), &self.readers);
        let row: Option<Columns> = patiently(move || {
            sqlx::query_as("select version, encrypted_data, expires_at from sessions where id = ?")
                .bind(id)
                .fetch_optional(pool)
        })
        .await?;
        Ok(row.map(stored))
    }

    async fn create(
        &self,
        key: StoreKey,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> Result<Creation, StoreError> {
        let (id, tag, expires) = (id(&key), tag(&owner), millis(expires));
        let made = self.write(move || {
            let insert = sqlx::query(
                "insert into sessions (id, user_id, encrypted_data, expires_at, version) values (?, ?, ?, ?, 1) \
                 on conflict do nothing",
            );
            insert.bind(id).bind(tag).bind(bytes).bind(expires)
        });
        Ok(match made.await? {
            0 => Creation::Exists,
            _ => Creation::Created(Version::new(1)),
        })
    }

    async fn save(
        &self,
        key: StoreKey,
        expected: Version,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        let (id, tag, expires) = (id(&key), tag(&owner), millis(expires));
        let saved = self.write(move || {
            let update = sqlx::query(
                "update sessions set user_id = ?, encrypted_data = ?, expires_at = ?, version = version + 1 \
                 where id = ? and version = ?",
            );
            let update = update.bind(tag).bind(bytes).bind(expires);
            update.bind(id).bind(number(expected))
        });
        if saved.await? > 0 {
            return Ok(Saving::Saved(expected.next()));
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

    async fn delete_owner(&self, owner: OwnerTag) -> Result<u64, StoreError> {
        let tag = &owner.as_bytes()[..];
        let mut count = 0;
        loop {
            let deleted =
                self.write(move || sqlx::query("delete from sessions where user_id = ?").bind(tag));
            match deleted.await? {
                0 => return Ok(count),
                // a session may have moved to another key in the meantime
                some => count += some,
            }
        }
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
