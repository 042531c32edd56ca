//! The log of revocations: a stream, and a sorted set of the keys of entries that were added in the
//! last hour. Both are in one slot of a cluster.

use std::time::{Duration, SystemTime};

use redis::Value;

use super::{
    RedisStore,
    command::{Command, number, unexpected},
    scripts,
};
use crate::{
    clock::Millis,
    store::{
        error::{StoreError, StoreErrorKind},
        log::{BATCH, Entry, Position, RevocationLog},
    },
};

/// How long the key of an entry is remembered, so that the entry is not added again.
const KEYS: Duration = Duration::from_secs(3600);

/// The number of entries that one step of a trim looks at.
const TRIMMED: usize = 100;

/// An entry is restored at most once in so many seconds.
const RESTORED: u64 = 600;

/// The field of the stream's entries.
const FIELD: &[u8] = b"e";

impl RedisStore {
    fn log_key(&self) -> String {
        format!("{}{{revocations}}:log", self.prefix)
    }

    fn keys_key(&self) -> String {
        format!("{}{{revocations}}:keys", self.prefix)
    }

    /// Adds entries whose keys, followed by `mark`, are not remembered.
    async fn add(&self, entries: &[Entry], mark: &[u8]) -> Result<u64, StoreError> {
        let (keys, log) = (self.keys_key(), self.log_key());
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let lives = entries
            .iter()
            .map(|entry| entry.until.saturating_sub(entry.at));
        let life = u64::from(lives.max().unwrap_or(0)) * 1000 + KEYS.as_millis() as u64;
        let append = Command::script(&scripts::APPEND, &[&keys, &log])
            .arg(now.saturating_sub(KEYS).as_millis() as u64)
            .arg(now.as_millis() as u64)
            .arg(KEYS.as_millis() as u64)
            .arg(life);
        let append = entries.iter().fold(append, |append, entry| {
            append
                .arg([&entry.key_bytes()[..], mark].concat())
                .arg(entry.encode())
        });
        number(self.servers.send(&log, append).await?)
    }

    async fn range(
        &self,
        from: &str,
        count: usize,
    ) -> Result<Vec<(Position, Option<Entry>)>, StoreError> {
        let log = self.log_key();
        let range = Command::new("XRANGE", &log).arg(from).arg("+");
        let range = range.arg("COUNT").arg(count);
        let reply = self.servers.send(&log, range).await?;
        let entries: Vec<(String, Vec<Vec<u8>>)> =
            redis::from_redis_value(reply).map_err(|_| unexpected())?;
        let entries = entries.iter().map(|(id, fields)| {
            let entry = match &fields[..] {
                [field, value] if field == FIELD => Entry::decode(value),
                _ => None,
            };
            Ok((position(id).ok_or_else(unexpected)?, entry))
        });
        entries.collect()
    }
}

impl RevocationLog for RedisStore {
    const KIND: &'static str = "redis";
    const PAUSE: Duration = Duration::from_millis(25);
    const OVERLAP: Duration = Duration::ZERO;

    async fn check(&self) -> Result<(), StoreError> {
        let probe = format!("{}{{revocations}}:rights", self.prefix);
        let tries = Command::script(&scripts::LOG_RIGHTS, &[&probe]);
        match self.servers.send(&probe, tries).await? {
            Value::BulkString(missing) if missing.is_empty() => Ok(()),
            Value::BulkString(missing) => {
                let missing = String::from_utf8_lossy(&missing);
                Err(StoreError::new(StoreErrorKind::Denied).message(format!(
                    "the redis user may not run {missing}: grant it; the documentation of \
                     `RedisStore` has a line with the rights for a log of revocations"
                )))
            }
            _ => Err(unexpected()),
        }
    }

    async fn append(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        self.add(entries, &[]).await
    }

    /// The keys of entries may still be there, as after a part of the stream was cut off. With
    /// others, the first instance that adds an entry again is still the only one.
    async fn restore(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let period = now.as_secs() / RESTORED;
        self.add(entries, &period.to_be_bytes()).await
    }

    async fn read(&self, from: Position) -> Result<Vec<(Position, Option<Entry>)>, StoreError> {
        self.range(&id(from), BATCH).await
    }

    async fn trim(&self, now: Millis) -> Result<bool, StoreError> {
        let first = self.range("-", TRIMMED).await?;
        let lives = |entry: &Entry| now < Millis::from(entry.until) * 1000;
        let living = first
            .iter()
            .find(|(_, entry)| entry.as_ref().is_some_and(lives));
        let rest = match (living, first.last()) {
            (Some((position, _)), _) => *position,
            (None, Some((position, _))) => position + 1,
            (None, None) => return Ok(false),
        };
        let log = self.log_key();
        let trim = Command::new("XTRIM", &log).arg("MINID").arg(id(rest));
        self.servers.send(&log, trim).await?;
        Ok(living.is_none() && first.len() == TRIMMED)
    }
}

/// The id of a stream's entry: milliseconds, and a number within them.
fn id(position: Position) -> String {
    format!("{}-{}", position >> 64, position as u64)
}

fn position(id: &str) -> Option<Position> {
    let (millis, number) = id.split_once('-')?;
    let (millis, number): (u64, u64) = (millis.parse().ok()?, number.parse().ok()?);
    Some(Position::from(millis) << 64 | Position::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_positions_in_order() {
        for text in ["0-0", "0-1", "1526919030474-55", "18446744073709551615-0"] {
            assert_eq!(id(position(text).expect("an id")), text);
        }
        assert!(position("9-9") < position("10-0"));
        for text in ["", "1", "1-", "-1", "x-1", "1-18446744073709551616"] {
            assert_eq!(position(text), None);
        }
    }
}
