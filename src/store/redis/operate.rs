//! What operators do with sessions in Redis.

use time::OffsetDateTime;

use super::{
    super::{
        error::StoreError,
        operate::{Cursor, Operate, Pruned, Scanned, Statistics},
    },
    RedisStore,
    call::{number, unexpected},
    decoded,
};

/// The number of keys that one step of a scan looks at.
const SCANNED: u64 = 1000;

impl Operate for RedisStore {
    /// Does nothing, because Redis deletes ended sessions by itself.
    async fn prune(&self, _: OffsetDateTime, _: Option<Cursor>) -> Result<Pruned, StoreError> {
        Ok(Pruned::default())
    }

    /// The number of keys in the database, which includes those of owners and of other apps.
    async fn statistics(&self, _: OffsetDateTime) -> Result<Statistics, StoreError> {
        let mut call = self.call().await?;
        let reply = redis::cmd("DBSIZE").query_async(&mut call).await;
        Ok(Statistics::estimated(number(call.end(reply)?)?, 0))
    }

    /// Scans all keys of the database in small steps. Changes during the scan make the result
    /// inexact.
    async fn count(&self, _: OffsetDateTime) -> Result<Statistics, StoreError> {
        let (mut cursor, mut live) = (0, 0);
        loop {
            let (next, keys) = self.keys_after(cursor).await?;
            live += keys.len() as u64;
            if next == 0 {
                return Ok(Statistics::exact(live, 0));
            }
            cursor = next;
        }
    }

    async fn scan(&self, from: Option<Cursor>) -> Result<Scanned, StoreError> {
        let from = from.and_then(|from| from.as_bytes().try_into().ok());
        let (next, keys) = self.keys_after(from.map_or(0, u64::from_be_bytes)).await?;
        let mut sessions = Vec::new();
        if !keys.is_empty() {
            let mut call = self.call().await?;
            let reply = redis::cmd("MGET").arg(&keys).query_async(&mut call).await;
            let values: Vec<Option<Vec<u8>>> =
                redis::from_redis_value(call.end(reply)?).map_err(|_| unexpected())?;
            let found = keys.into_iter().zip(values);
            let found = found.filter_map(|(key, value)| {
                decoded((key.strip_prefix(&*self.prefix)?.to_owned(), value?))
            });
            sessions = found.collect::<Result<_, _>>()?;
        }
        Ok(Scanned {
            sessions,
            next: (next != 0).then(|| Cursor::new(next.to_be_bytes())),
        })
    }
}

impl RedisStore {
    /// One step of a scan of all sessions: the next cursor, and keys.
    async fn keys_after(&self, cursor: u64) -> Result<(u64, Vec<String>), StoreError> {
        let pattern = format!("{}{}", literal(&self.prefix), "[0-9a-f]".repeat(32));
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(pattern);
        scan.arg("COUNT").arg(SCANNED);
        let mut call = self.call().await?;
        let reply = scan.query_async(&mut call).await;
        redis::from_redis_value(call.end(reply)?).map_err(|_| unexpected())
    }
}

/// Escapes `text` to a pattern that matches only `text`.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '^' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
