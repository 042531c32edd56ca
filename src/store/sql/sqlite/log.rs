use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::{
    super::{busy::patiently, log},
    SqliteStore,
};
use crate::{
    clock::Millis,
    store::{
        error::StoreError,
        log::{Entry, Position, RevocationLog},
    },
};

impl RevocationLog for SqliteStore {
    const KIND: &'static str = "sqlite";
    const PAUSE: Duration = log::PAUSE;

    /// Only one statement writes at a time, so rows appear in the order of their numbers.
    const OVERLAP: Duration = Duration::ZERO;

    async fn create(&self) -> Result<(), StoreError> {
        let create = || sqlx::raw_sql(Self::REVOCATIONS_SCHEMA).execute(&self.writer);
        patiently(create).await.map(drop).map_err(log::failed)
    }

    async fn append(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        let rows = log::rows(entries);
        if rows.is_empty() {
            return Ok(0);
        }
        let insert = format!(
            "insert into session_revocations (name, entry, expires_at) values {} \
             on conflict (name) do nothing",
            vec!["(?, ?, ?)"; rows.len()].join(", ")
        );
        let (insert, rows) = (&insert, &rows);
        let added = self.write(move || {
            let query = sqlx::query(AssertSqlSafe(insert.clone()));
            rows.iter().fold(query, |query, row| {
                query.bind(&row.name).bind(&row.entry).bind(row.expires)
            })
        });
        added.await.map_err(log::failed)
    }

    async fn read(&self, from: Position) -> Result<Vec<(Position, Option<Entry>)>, StoreError> {
        let Ok(from) = i64::try_from(from) else {
            return Ok(Vec::new());
        };
        let pool = &self.readers;
        let rows: Result<Vec<log::Columns>, _> = patiently(move || {
            sqlx::query_as(
                "select seq, entry from session_revocations where seq >= ? order by seq limit ?",
            )
            .bind(from)
            .bind(log::BATCH)
            .fetch_all(pool)
        })
        .await;
        let rows = rows.map_err(log::failed)?;
        Ok(rows.into_iter().map(log::entry).collect())
    }

    async fn trim(&self, now: Millis) -> Result<bool, StoreError> {
        let now = log::millis(now);
        let deleted = self.write(move || {
            let delete = sqlx::query(
                "delete from session_revocations where seq in ( \
                     select seq from session_revocations where expires_at <= ? limit ? \
                 )",
            );
            delete.bind(now).bind(log::BATCH)
        });
        Ok(deleted.await.map_err(log::failed)? == log::BATCH.cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        error::StoreErrorKind,
        log::{BATCH, Revoked, Subject},
    };

    fn entries(names: std::ops::Range<u64>, until: u32) -> Vec<Entry> {
        let entries = names.map(|name| Entry {
            subject: Subject::Session(name, Revoked::LoggedOut),
            at: 1,
            until,
        });
        entries.collect()
    }

    async fn log() -> SqliteStore {
        let log = SqliteStore::connect("sqlite::memory:").await;
        let log = log.expect("a database in memory");
        RevocationLog::create(&log).await.expect("a table");
        log
    }

    async fn all(log: &SqliteStore) -> Vec<(Position, Option<Entry>)> {
        let (mut all, mut from) = (Vec::new(), 0);
        loop {
            let batch = log.read(from).await.expect("a table");
            let Some((last, _)) = batch.last() else { break };
            from = last + 1;
            all.extend(batch);
        }
        all
    }

    #[tokio::test]
    async fn missing_table_is_told_and_created_once() {
        let log = SqliteStore::connect("sqlite::memory:").await;
        let log = log.expect("a database in memory");
        let error = log.read(0).await.expect_err("there is no table");
        assert_eq!(error.kind(), StoreErrorKind::Schema);
        assert!(error.to_string().contains("session_revocations"));
        for _ in 0..2 {
            RevocationLog::create(&log).await.expect("a table");
            assert!(log.read(0).await.expect("a table").is_empty());
        }
    }

    #[tokio::test]
    async fn entries_are_added_once_and_read_in_order() {
        let log = log().await;
        let first = entries(0..500, 9);
        assert_eq!(log.append(&first).await.expect("a table"), 500);
        assert_eq!(log.append(&first).await.expect("a table"), 0);
        let overlapping = entries(400..900, 9);
        assert_eq!(log.append(&overlapping).await.expect("a table"), 400);
        let twice = [entries(1000..1001, 9), entries(1000..1001, 9)].concat();
        assert_eq!(log.append(&twice).await.expect("a table"), 1);
        assert_eq!(log.append(&[]).await.expect("a table"), 0);

        assert_eq!(log.read(0).await.expect("a table").len(), BATCH);
        let all = all(&log).await;
        assert_eq!(all.len(), 901);
        assert!(all.is_sorted_by(|(one, _), (other, _)| one < other));
        assert!(all.iter().all(|(_, entry)| entry.is_some()));
        let (last, entry) = all[900];
        assert!(log.read(last).await.expect("a table") == [(last, entry)]);
        for after in [last + 1, i64::MAX as Position + 1, Position::MAX] {
            assert!(log.read(after).await.expect("a table").is_empty());
        }
    }

    #[tokio::test]
    async fn expired_entries_are_deleted_in_steps_and_their_numbers_are_not_used_again() {
        let log = log().await;
        for names in [0..500, 500..1000] {
            log.append(&entries(names, 9)).await.expect("a table");
        }
        log.append(&entries(2000..2003, 10)).await.expect("a table");
        assert!(!log.trim(8_999).await.expect("a table"));
        assert_eq!(all(&log).await.len(), 1003);
        assert!(log.trim(9_999).await.expect("a table"));
        while log.trim(9_999).await.expect("a table") {}
        let rest = all(&log).await;
        assert_eq!(rest.len(), 3);
        assert!(!log.trim(Millis::MAX).await.expect("a table"));
        assert!(all(&log).await.is_empty());
        // also an entry that was deleted can be added
        let again = log.append(&entries(0..1, 20)).await;
        assert_eq!(again.expect("a table"), 1);
        assert!(rest[2].0 < all(&log).await[0].0);
    }

    #[tokio::test]
    async fn what_is_no_entry_of_ours_is_none() {
        let log = log().await;
        let foreign =
            "insert into session_revocations (name, entry, expires_at) values (x'00', x'ff', 1)";
        log.write(|| sqlx::query(foreign)).await.expect("a table");
        assert!(matches!(all(&log).await[..], [(1, None)]));
    }
}
