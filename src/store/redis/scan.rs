//! A scan of the keys of all sessions, in small steps.

use super::{
    RedisStore,
    command::{Command, unexpected},
    owners::key,
};
use crate::store::{contract::StoreKey, error::StoreError, operate::Cursor};

/// The number of keys that one step of a scan looks at.
const SCANNED: u64 = 1000;

/// A place in a scan: a server, and the cursor of its own scan.
pub(super) struct Place {
    server: String,
    cursor: u64,
}

impl RedisStore {
    pub(super) fn first_place(&self) -> Option<Place> {
        let server = self.servers.names().into_iter().next()?;
        Some(Place::start_of(server))
    }

    /// The place of a cursor that may be old. If its server is gone, goes on with the next one.
    pub(super) fn place_at(&self, from: Option<&Cursor>) -> Option<Place> {
        let Some(place) = from.and_then(Place::of) else {
            return self.first_place();
        };
        let names = self.servers.names();
        if names.contains(&place.server) {
            return Some(place);
        }
        let next = names.into_iter().find(|name| *name > place.server);
        next.map(Place::start_of).or_else(|| self.first_place())
    }

    /// One step of a scan of all sessions: keys, and the next place.
    pub(super) async fn keys_at(
        &self,
        place: Place,
    ) -> Result<(Vec<StoreKey>, Option<Place>), StoreError> {
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
    fn start_of(server: String) -> Self {
        Self { server, cursor: 0 }
    }

    pub(super) fn cursor(&self) -> Cursor {
        Cursor::new([&self.cursor.to_be_bytes(), self.server.as_bytes()].concat())
    }

    pub(super) fn of(cursor: &Cursor) -> Option<Self> {
        let (cursor, server) = cursor.as_bytes().split_first_chunk()?;
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
