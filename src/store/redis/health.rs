//! What the servers tell of their own state, and a sample of the keys.

use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join, stream};
use redis::{FromRedisValue as _, Value};

use super::{RedisStore, command::Command, owners::AHEAD, scan::Place};
use crate::store::{
    contract::StoreKey,
    error::StoreError,
    operate::{Cursor, Health},
};

/// The answer to `PTTL` for a key without a time to live.
const NO_EXPIRY: Value = Value::Int(-1);

/// Numbers of one server, or of all.
#[derive(Clone, Copy)]
struct Numbers {
    memory: Memory,
    evicted: Option<u64>,
    expired: Option<u64>,
}

/// The memory of one server: of a cluster, the one that evicts first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Memory {
    used: Option<u64>,
    limit: Option<u64>,
}

impl RedisStore {
    /// The numbers of all servers, and one step of a scan.
    pub(super) async fn state(&self, from: Option<Cursor>) -> Result<Health, StoreError> {
        let (numbers, (keys_without_expiry, next)) =
            try_join(self.numbers(), self.sample(from)).await?;
        Ok(Health {
            memory_bytes: numbers.memory.used,
            memory_limit_bytes: numbers.memory.limit,
            evicted_keys: numbers.evicted,
            expired_keys: numbers.expired,
            keys_without_expiry,
            next,
        })
    }

    async fn numbers(&self) -> Result<Numbers, StoreError> {
        let names = self.servers.names().into_iter();
        let each = names.map(async |name| self.numbers_of(&name).await);
        let each = stream::iter(each).buffer_unordered(AHEAD);
        each.try_fold(Numbers::ZERO, async |all, one| Ok(all.plus(one)))
            .await
    }

    async fn numbers_of(&self, server: &str) -> Result<Numbers, StoreError> {
        // a command for each section: servers before 7.0 take only one
        let (memory, stats) = try_join(
            self.section(server, "memory"),
            self.section(server, "stats"),
        )
        .await?;
        Ok(Numbers {
            memory: Memory {
                used: field(&memory, "used_memory"),
                limit: field(&memory, "maxmemory").filter(|limit| *limit > 0),
            },
            evicted: field(&stats, "evicted_keys"),
            expired: field(&stats, "expired_keys"),
        })
    }

    /// A section of `INFO`. It is empty if the user may not ask for it.
    async fn section(&self, server: &str, name: &str) -> Result<String, StoreError> {
        let info = self
            .servers
            .send_to(server, Command::bare("INFO").arg(name));
        let reply = told(info.await)?;
        Ok(reply
            .and_then(|reply| String::from_redis_value(reply).ok())
            .unwrap_or_default())
    }

    /// One step of a scan: how many of its keys have no time to live, and where to go on.
    async fn sample(
        &self,
        from: Option<Cursor>,
    ) -> Result<(Option<u64>, Option<Cursor>), StoreError> {
        let Some(place) = self.place_at(from.as_ref()) else {
            return Ok((None, None));
        };
        let sampled = async {
            let (keys, next) = self.keys_at(place).await?;
            Ok((self.without_expiry(keys).await?, next))
        };
        Ok(match told(sampled.await)? {
            Some((count, next)) => (Some(count), next.as_ref().map(Place::cursor)),
            None => (None, None),
        })
    }

    async fn without_expiry(&self, keys: Vec<StoreKey>) -> Result<u64, StoreError> {
        let asked = keys.into_iter().map(async |key| {
            let name = self.row_key(key);
            self.servers.send(&name, Command::new("PTTL", &name)).await
        });
        let asked = stream::iter(asked).buffer_unordered(AHEAD);
        asked
            .try_fold(
                0,
                async |count, ttl| Ok(count + u64::from(ttl == NO_EXPIRY)),
            )
            .await
    }
}

impl Numbers {
    const ZERO: Self = Self {
        memory: Memory {
            used: None,
            limit: None,
        },
        evicted: Some(0),
        expired: Some(0),
    };

    /// A sum is known if each part is.
    fn plus(self, other: Self) -> Self {
        let sum = |one: Option<u64>, other: Option<u64>| one?.checked_add(other?);
        Self {
            memory: self.memory.fuller(other.memory),
            evicted: sum(self.evicted, other.evicted),
            expired: sum(self.expired, other.expired),
        }
    }
}

impl Memory {
    /// The one of which the larger share is used. Without a limit, that is none.
    fn fuller(self, other: Self) -> Self {
        let share = |memory: &Self| {
            let used = memory.used? as f64;
            Some((memory.limit.map_or(0.0, |limit| used / limit as f64), used))
        };
        match share(&other) > share(&self) {
            true => other,
            false => self,
        }
    }
}

/// `None` if the server answers that the user may not ask, or that it does not know the command.
fn told<T>(answer: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match answer {
        Err(error) if !error.is_silence() => Ok(None),
        answer => answer.map(Some),
    }
}

/// A number in the answer to `INFO`.
fn field(info: &str, name: &str) -> Option<u64> {
    let mut fields = info.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(field, _)| *field == name)?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str =
        "# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nmaxmemory:0\r\n";

    #[test]
    fn numbers_are_read_from_info() {
        assert_eq!(field(INFO, "used_memory"), Some(1_048_576));
        assert_eq!(field(INFO, "used_memory_human"), None);
        assert_eq!(field(INFO, "evicted_keys"), None);
        assert_eq!(field("", "used_memory"), None);
    }

    #[test]
    fn memory_is_that_of_the_fullest_server() {
        let memory = |used, limit| Memory {
            used: Some(used),
            limit,
        };
        let full = memory(80, Some(100));
        for other in [
            Memory::default(),
            memory(900, None),
            memory(700, Some(1000)),
        ] {
            assert_eq!(full.fuller(other), full);
            assert_eq!(other.fuller(full), full);
        }
        assert_eq!(memory(1, None).fuller(memory(2, None)), memory(2, None));
    }

    #[test]
    fn sum_with_an_unknown_part_is_unknown() {
        let one = Numbers {
            memory: Memory::default(),
            evicted: Some(2),
            expired: Some(u64::MAX),
        };
        let sum = Numbers::ZERO.plus(one).plus(one);
        assert_eq!((sum.evicted, sum.expired), (Some(4), None));
    }
}
