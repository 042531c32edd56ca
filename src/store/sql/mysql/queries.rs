use std::time::Duration;

use sqlx::{AssertSqlSafe, MySql, mysql::MySqlArguments, query::Query};
use time::OffsetDateTime;

use super::{
    super::{
        row::{
            BATCH, Columns, KeyedColumns, LISTED, SCANNED, cursor_of, id, key_of, keyed, millis,
            moment, number, places, stored, tag,
        },
        server::{COUNT, STEP, patience},
    },
    MySqlStore,
};
use crate::store::{
    contract::{Creation, OwnerTag, Row, Saving, Store, StoreKey, Stored, Version},
    error::{StoreError, StoreErrorKind},
    log::AnyLog,
    operate::{Cursor, Operate, Pruned, Scanned, Statistics},
};

impl MySqlStore {
    /// Runs a statement, and returns the number of rows that it found. Of two statements that wait
    /// for each other's locks, the server ends one without an effect. That one is run again.
    pub(super) async fn write<'q>(
        &self,
        statement: impl Fn() -> Query<'q, MySql, MySqlArguments>,
    ) -> Result<u64, StoreError> {
        loop {
            let mut call = self.server.call().await?;
            let made = statement().execute(call.connection()).await;
            match call.end(made) {
                Err(error) if error.kind() == StoreErrorKind::Contended => {}
                made => return made.map(|made| made.rows_affected()),
            }
        }
    }

    /// Runs an insert. If there is a row with one of its keys, nothing is inserted. `insert ignore`
    /// would also ignore other errors.
    pub(super) async fn insert<'q>(
        &self,
        statement: impl Fn() -> Query<'q, MySql, MySqlArguments>,
    ) -> Result<Creation, StoreError> {
        let exists = |error: &sqlx::Error| {
            let error = error.as_database_error();
            error.is_some_and(|error| error.is_unique_violation())
        };
        loop {
            let mut call = self.server.call().await?;
            let made = match statement().execute(call.connection()).await {
                Ok(_) => Ok(Creation::Created),
                Err(error) if exists(&error) => Ok(Creation::Exists),
                Err(error) => Err(error),
            };
            match call.end(made) {
                // as in `write`
                Err(error) if error.kind() == StoreErrorKind::Contended => {}
                made => return made,
            }
        }
    }
}

impl Store for MySqlStore {
    fn kind(&self) -> &'static str {
        "mysql"
    }

    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        let mut call = self.server.call().await?;
        let select = sqlx::query_as(
            "select version, encrypted_data, expires_at, user_id from sessions where id = ?",
        );
        let row = select
            .bind(id(&key))
            .fetch_optional(call.connection())
            .await;
        let row: Option<Columns> = call.end(row)?;
        Ok(row.map(stored))
    }

    async fn create(&self, key: StoreKey, row: &Row<'_>) -> Result<Creation, StoreError> {
        let (id, tag, bytes) = (id(&key), tag(&row.owner), row.bytes);
        let (expires, version) = (millis(row.expires), number(row.version));
        let insert = self.insert(|| {
            let insert = sqlx::query(
                "insert into sessions (id, user_id, encrypted_data, expires_at, version) \
                 values (?, ?, ?, ?, ?)",
            );
            let insert = insert.bind(id).bind(tag).bind(bytes);
            insert.bind(expires).bind(version)
        });
        insert.await
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
        let saved = self.write(|| {
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
        let touched = self.write(|| {
            let update =
                sqlx::query("update sessions set expires_at = ? where id = ? and version = ?");
            update.bind(expires).bind(id).bind(number(expected))
        });
        Ok(touched.await? > 0)
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        let id = id(&key);
        let deleted = self.write(|| sqlx::query("delete from sessions where id = ?").bind(id));
        Ok(deleted.await? > 0)
    }

    async fn list_owner(&self, owner: &[OwnerTag]) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        if owner.is_empty() {
            return Ok(Vec::new());
        }
        let select = format!(
            "select id, version, encrypted_data, expires_at, user_id from sessions \
             where user_id in ({}) limit ?",
            places(owner.len())
        );
        let mut select = sqlx::query_as(AssertSqlSafe(select));
        for tag in owner {
            select = select.bind(&tag.as_bytes()[..]);
        }
        let mut call = self.server.call().await?;
        let rows = select.bind(LISTED).fetch_all(call.connection()).await;
        let rows: Vec<KeyedColumns> = call.end(rows)?;
        Ok(rows.into_iter().filter_map(keyed).collect())
    }

    async fn delete_owner(
        &self,
        owner: &[OwnerTag],
        except: &[StoreKey],
    ) -> Result<u64, StoreError> {
        // `in ()` is invalid
        if owner.is_empty() {
            return Ok(0);
        }
        let spared = match except {
            [] => String::new(),
            _ => format!("and id not in ({})", places(except.len())),
        };
        let delete = format!(
            "delete from sessions where user_id in ({}) {spared} limit ?",
            places(owner.len())
        );
        self.write(|| {
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

impl Operate for MySqlStore {
    async fn create_schema(&self) -> Result<(), StoreError> {
        Self::create_schema(self).await
    }

    async fn prune(&self, now: OffsetDateTime, _: Option<Cursor>) -> Result<Pruned, StoreError> {
        let now = millis(now);
        let delete = self.write(|| {
            let delete = sqlx::query(
                "delete from sessions where expires_at <= ? order by expires_at limit ?",
            );
            delete.bind(now).bind(BATCH)
        });
        let deleted = patience(STEP, delete).await?;
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
        patience(STEP, async {
            let begun = self.write(|| {
                let begin = sqlx::query(
                    "update sessions_sweep set next = ? where id = 1 and not (next > ? and next <= ?)",
                );
                begin.bind(next).bind(now).bind(next)
            });
            if begun.await? > 0 {
                return Ok(true);
            }
            // a crash may have lost the row of a schema that was just created
            let inserted = self.write(|| {
                sqlx::query("insert ignore into sessions_sweep values (1, ?)").bind(next)
            });
            Ok(inserted.await? > 0)
        })
        .await
    }

    /// The number of rows is the estimate of InnoDB. Only those that have expired are counted.
    async fn statistics(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        let counts = sqlx::query_as(
            "select cast(coalesce(max(table_rows), 0) as signed), \
                 (select count(*) from sessions where expires_at <= ?) \
             from information_schema.tables \
             where table_schema = database() and table_name = 'sessions'",
        );
        let counts = counts.bind(millis(now));
        let (all, expired): (i64, i64) = patience(STEP, async {
            let mut call = self.server.call().await?;
            let counts = counts.fetch_one(call.connection()).await;
            call.end(counts)
        })
        .await?;
        let live = (all - expired).max(0);
        Ok(Statistics::estimated(
            live.cast_unsigned(),
            expired.cast_unsigned(),
        ))
    }

    async fn count(&self, now: OffsetDateTime) -> Result<Statistics, StoreError> {
        let count = sqlx::query_as(
            "select count(*), count(case when expires_at > ? then 1 end) from sessions",
        );
        let count = count.bind(millis(now));
        let (all, live): (i64, i64) = patience(COUNT, async {
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
             where id > ? order by id limit ?",
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
            "select timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) div 1000",
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
