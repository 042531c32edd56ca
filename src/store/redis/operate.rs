//! What operators do with sessions in Redis.

use time::OffsetDateTime;

use super::{
    super::{
        error::StoreError,
        log::AnyLog,
        operate::{Cursor, Health, Operate, Pruned, Scanned, Statistics},
    },
    RedisStore,
    command::{Command, number, unexpected},
    scan::Place,
};

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
        let place = from.as_ref().and_then(Place::of);
        let (mut sessions, mut next) = (Vec::new(), None);
        if let Some(place) = place.or_else(|| self.first_place()) {
            let (keys, place) = self.keys_at(place).await?;
            sessions = self.rows(keys).await?;
            next = place;
        }
        Ok(Scanned {
            sessions,
            next: next.as_ref().map(Place::cursor),
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

    /// The numbers are those of the servers, of all databases and apps. What the user may not ask
    /// for is `None`.
    async fn health(&self, from: Option<Cursor>) -> Result<Health, StoreError> {
        self.state(from).await
    }

    fn revocation_log(&self) -> Option<AnyLog> {
        Some(AnyLog::new(self.clone()))
    }
}
