//! The index of an owner: a sorted set of the keys of rows.
//!
//! Index and row are different keys, and on a cluster they are on different nodes. These rules keep
//! each living row of an owner in the index:
//!
//! - A key enters the index before its row gets the owner, or a later end than the index knows.
//! - `delete_owner` forgets only the keys whose rows it deleted itself. The row of another key may be
//!   created later.
//! - It tries all keys again until it finds no key that it has not seen. A login that follows another
//!   one must not be deleted while the earlier one stays.
//! - A key whose row gets another owner stays in the index of the one before. While instances have
//!   different secrets, an owner has two tags, and a row can change from one to the other and back.
//!   A pass would miss a key that is never in the index that it looks at.
//!
//! A key that stayed leaves the index with the next login of the owner, after its hour.

use std::collections::HashSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use redis::Value;

use super::{
    RedisStore,
    command::{Command, number, unexpected},
    row::{self, End, hex, named, past, unhex},
    scripts,
};
use crate::store::{
    contract::{OwnerTag, StoreKey, Stored},
    error::StoreError,
};

/// The maximum number of sessions that are listed, or deleted by one call.
const BATCH: usize = 1000;

/// The number of commands that are sent without waiting for the answers of those before.
pub(super) const AHEAD: usize = 64;

impl RedisStore {
    fn index_key(&self, owner: OwnerTag) -> String {
        named(&[&self.prefix, "owner:"], owner.as_bytes())
    }

    /// Enters a key in the index of an owner, or moves its end there.
    pub(super) async fn enter(
        &self,
        owner: OwnerTag,
        key: StoreKey,
        end: End,
    ) -> Result<(), StoreError> {
        let index = self.index_key(owner);
        let enter = Command::script(&scripts::ENTER, &[&index]).arg(hex(key.as_bytes()));
        let enter = enter.arg(end.score()).arg(past()).arg(end.index_ttl());
        self.servers.send(&index, enter).await.map(drop)
    }

    /// Removes a key whose row has ended. If that fails, the key stays there until its hour ends.
    pub(super) async fn leave(&self, owner: OwnerTag, key: StoreKey) {
        let index = self.index_key(owner);
        let remove = Command::new("ZREM", &index).arg(hex(key.as_bytes()));
        let _ = self.servers.send(&index, remove).await;
    }

    pub(super) async fn list(
        &self,
        owner: &[OwnerTag],
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let mut found = Vec::new();
        for &tag in owner {
            let index = self.index_key(tag);
            let mut seen = 0;
            while found.len() < BATCH {
                // those that end last come first
                let range = Command::new("ZREVRANGE", &index)
                    .arg(seen)
                    .arg(seen + BATCH - 1);
                let keys = members(self.servers.send(&index, range).await?)?;
                let count = keys.len();
                found.extend(
                    self.rows(keys)
                        .await?
                        .into_iter()
                        .filter(|(_, row)| row.owner == Some(tag)),
                );
                seen += count;
                if count < BATCH {
                    break;
                }
            }
        }
        found.truncate(BATCH);
        Ok(found)
    }

    /// Loads the rows that are there.
    pub(super) async fn rows(
        &self,
        keys: Vec<StoreKey>,
    ) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let loads = keys.into_iter().map(async |key| {
            let name = self.row_key(key);
            match self.servers.send(&name, Command::new("GET", &name)).await? {
                Value::BulkString(value) => row::decode(value).map(|row| Some((key, row))),
                _ => Ok(None),
            }
        });
        let rows = stream::iter(loads).buffered(AHEAD);
        rows.try_filter_map(async |row| Ok(row)).try_collect().await
    }

    pub(super) async fn delete_batch(
        &self,
        owner: &[OwnerTag],
        except: &[StoreKey],
    ) -> Result<u64, StoreError> {
        let (mut seen, mut deleted) = (HashSet::<StoreKey>::new(), 0);
        loop {
            let before = seen.len();
            for &tag in owner {
                let index = self.index_key(tag);
                let mut cursor = 0;
                loop {
                    let (next, mut keys) = self.index_after(&index, cursor).await?;
                    keys.retain(|key| !except.contains(key));
                    seen.extend(&keys);
                    // also those that were tried before: their rows may have been created since
                    deleted += self.delete_of(owner, &index, keys).await?;
                    // the caller repeats the call
                    if deleted >= BATCH as u64 {
                        return Ok(deleted);
                    }
                    if next == 0 {
                        break;
                    }
                    cursor = next;
                }
            }
            if seen.len() == before {
                return Ok(deleted);
            }
        }
    }

    /// One step of a scan of an index: the next cursor, and keys.
    async fn index_after(
        &self,
        index: &str,
        cursor: u64,
    ) -> Result<(u64, Vec<StoreKey>), StoreError> {
        let scan = Command::new("ZSCAN", index)
            .arg(cursor)
            .arg("COUNT")
            .arg(BATCH);
        let reply = self.servers.send(index, scan).await?;
        let (next, pairs): (u64, Vec<(String, f64)>) =
            redis::from_redis_value(reply).map_err(|_| unexpected())?;
        let keys = pairs.into_iter().filter_map(|(member, _)| key(&member));
        Ok((next, keys.collect()))
    }

    /// Deletes the rows under these keys that have one of the owner's tags, then forgets their keys.
    async fn delete_of(
        &self,
        owner: &[OwnerTag],
        index: &str,
        keys: Vec<StoreKey>,
    ) -> Result<u64, StoreError> {
        let deletes = keys.into_iter().map(async |key| {
            let name = self.row_key(key);
            let mut delete = Command::script(&scripts::DELETE_OWNED, &[&name]);
            for tag in owner {
                delete = delete.arg(&tag.as_bytes()[..]);
            }
            let count = number(self.servers.send(&name, delete).await?)?;
            Ok::<_, StoreError>((count > 0).then_some(key))
        });
        let deleted = stream::iter(deletes).buffer_unordered(AHEAD);
        let deleted: Vec<_> = deleted
            .try_filter_map(async |key| Ok(key))
            .try_collect()
            .await?;
        if !deleted.is_empty() {
            let mut forget = Command::new("ZREM", index);
            for key in &deleted {
                forget = forget.arg(hex(key.as_bytes()));
            }
            self.servers.send(index, forget).await?;
        }
        Ok(deleted.len() as u64)
    }
}

/// The key that a member of an index names. `None`: it is none of ours.
pub(super) fn key(member: &str) -> Option<StoreKey> {
    unhex(member).map(StoreKey::new)
}

fn members(reply: Value) -> Result<Vec<StoreKey>, StoreError> {
    let members: Vec<String> = redis::from_redis_value(reply).map_err(|_| unexpected())?;
    Ok(members.iter().filter_map(|member| key(member)).collect())
}
