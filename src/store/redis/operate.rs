//! What operators do with sessions in Redis.

use time::OffsetDateTime;

use super::{
    super::{
        contract::StoreKey,
        error::StoreError,
        log::AnyLog,
        operate::{Cursor, Operate, Pruned, Scanned, Statistics},
    },
    RedisStore,
    command::{Command, number, unexpected},
    owners::key,
};

/// The number of keys that one step of a scan looks at.
const SCANNED: u64 = 1000;

/// A place in a scan: a server, and the cursor of its own scan.
struct Place {
    server: String,
    cursor: u64,
}

impl Operate for RedisStore {
    /// Does nothing, because Redis deletes ended sessions by itself.
    async fn prune(&self, _: OffsetDateTime, _: Option<Cursor>) -> Result<Pruned, StoreError> {
        Ok(Pruned::default())
    }

    /// The number of keys in the database, which includes those of owners and of other apps.
    async fn statistics(&self, _: OffsetDateTime) -> Result<Statistics, StoreError> {
        let mut keys = 0;
        for server in self.servers.names() {
            keys += number(
                self.servers
                    .send_to(&server, Command::bare("DBSIZE"))
                    .await?,
            )?;
        }
        Ok(Statistics::estimated(keys, 0))
    }

    /// Scans all keys of the database in small steps. Changes during the scan make the result
    /// inexact.
    async fn count(&self, _: OffsetDateTime) -> Result<Statistics, StoreError> {
        let (mut place, mut live) = (self.first_place(), 0);
        while let Some(from) = place {
            let (keys, next) = self.keys_at(from).await?;
            live += keys.len() as u64;
            place = next;
        }
        Ok(Statistics::exact(live, 0))
    }

    async fn scan(&self, from: Option<Cursor>) -> Result<Scanned, StoreError> {
        let place = from.and_then(|from| Place::decode(from.as_bytes()));
        let (mut sessions, mut next) = (Vec::new(), None);
        if let Some(place) = place.or_else(|| self.first_place()) {
            let (keys, place) = self.keys_at(place).await?;
            sessions = self.rows(keys).await?;
            next = place;
        }
        Ok(Scanned {
            sessions,
            next: next.map(|place| Cursor::new(place.encode())),
        })
    }

    /// Asks a node of a cluster, or the one server. With a connection of the app to a cluster, one
    /// node answers for all.
    async fn server_time(&self, server: usize) -> Result<Option<OffsetDateTime>, StoreError> {
        let Some(name) = self.servers.names().into_iter().nth(server) else {
            return Ok(None);
        };
        let reply = self.servers.send_to(&name, Command::bare("TIME")).await?;
        let (seconds, micros): (i128, i128) =
            redis::from_redis_value(reply).map_err(|_| unexpected())?;
        let nanos = (seconds * 1_000_000 + micros) * 1000;
        let time = OffsetDateTime::from_unix_timestamp_nanos(nanos);
        time.map(Some).map_err(|_| unexpected())
    }

    fn revocation_log(&self) -> Option<AnyLog> {
        Some(AnyLog::new(self.clone()))
    }
}

impl RedisStore {
    fn first_place(&self) -> Option<Place> {
        let server = self.servers.names().into_iter().next()?;
        Some(Place { server, cursor: 0 })
    }

    /// One step of a scan of all sessions: keys, and the next place.
    async fn keys_at(&self, place: Place) -> Result<(Vec<StoreKey>, Option<Place>), StoreError> {
        let Place { server, cursor } = place;
        let pattern = format!("{}{}", literal(&self.prefix), "[0-9a-f]".repeat(32));
        let scan = Command::bare("SCAN").arg(cursor).arg("MATCH").arg(pattern);
        let scan = scan.arg("COUNT").arg(SCANNED);
        let reply = self.servers.send_to(&server, scan).await?;
        let (cursor, names): (u64, Vec<String>) =
            redis::from_redis_value(reply).map_err(|_| unexpected())?;
        let members = names
            .iter()
            .filter_map(|name| name.strip_prefix(&*self.prefix));
        let keys = members.filter_map(key).collect();
        let server = match cursor {
            0 => self.servers.names().into_iter().find(|name| *name > server),
            _ => Some(server),
        };
        Ok((keys, server.map(|server| Place { server, cursor })))
    }
}

impl Place {
    fn encode(&self) -> Vec<u8> {
        [&self.cursor.to_be_bytes(), self.server.as_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (cursor, server) = bytes.split_first_chunk()?;
        Some(Self {
            server: str::from_utf8(server).ok()?.to_owned(),
            cursor: u64::from_be_bytes(*cursor),
        })
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
