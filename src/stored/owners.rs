//! The sessions of one owner.

use super::{
    find::POINTERS,
    found::Found,
    rows::Rows,
    vault::{Unreadable, Vault},
};
use crate::{
    clock::Millis,
    error::Error,
    event::{EndReason, Event},
    id::SessionId,
    metrics::Metrics,
    record::{Head, Record},
    session::{Incoming, Place},
    store::{OwnerTag, StoreKey, Stored},
};

impl Found {
    /// Opens a row whose family is not known. One that does not open is an event, and counts as
    /// absent.
    fn listed(vault: &Vault, metrics: &Metrics, key: StoreKey, stored: (Place, Stored)) -> Self {
        let at = |record: &Record| vault.key(record.head.family()) == key;
        Self::open(vault, metrics, key, stored, at).unwrap_or_else(|Unreadable(reason)| {
            let session = SessionId::new(*key.as_bytes());
            Event::Unreadable { session, reason }.emit(metrics);
            Self::Absent
        })
    }
}

impl Rows<'_> {
    /// The sessions of an owner that can be used, at most 1000.
    pub(crate) async fn list_owner(
        &self,
        owner: &str,
        now: Millis,
    ) -> Result<Vec<(StoreKey, Incoming)>, Error> {
        let tags = self.tags(owner);
        let mut all: Vec<(StoreKey, Incoming)> = Vec::new();
        for (place, store) in self.storage.sweep() {
            let listed = store.list_owner(&tags).await.map_err(Error::store)?;
            let before = all.len();
            for (key, stored) in listed {
                let Found::Live(record, row) =
                    Found::listed(self.vault(), self.metrics(), key, (place, stored))
                else {
                    continue;
                };
                let Ok(incoming) = self.incoming(record, row, now) else {
                    continue;
                };
                // while a session moves, it has two rows with one serial
                let serial = incoming.record.head.id.serial();
                let same = |(other, it): &&mut (StoreKey, Incoming)| {
                    *other == key || it.record.head.id.serial() == serial
                };
                match all[..before].iter_mut().find(same) {
                    Some(known) if known.0 == key || ends(&known.1) < row.expires => {
                        *known = (key, incoming);
                    }
                    Some(_) => {}
                    None => all.push((key, incoming)),
                }
            }
        }
        Ok(all)
    }

    /// Deletes the sessions of an owner, except those with one of these heads.
    pub(crate) async fn delete_owner(&self, owner: &str, except: &[Head]) -> Result<u64, Error> {
        let (tags, mut deleted) = (self.tags(owner), 0);
        for (_, store) in self.storage.sweep() {
            let except = self.keys_of(except).await?;
            let batches = store.delete_owner(&tags, &except).await;
            deleted += batches.map_err(Error::store)?;
        }
        if deleted > 0 {
            Event::OwnerEnded { count: deleted }.emit(self.metrics());
        }
        Ok(deleted)
    }

    /// Ends the session of the row under a key if it has that owner. The family of a session with
    /// an owner has no other owner later.
    pub(crate) async fn delete_owned(
        &self,
        owner: &str,
        key: StoreKey,
        now: Millis,
    ) -> Result<bool, Error> {
        let Some(stored) = self.stored(key).await? else {
            return Ok(false);
        };
        if self.may_delete() {
            let tag = stored.1.owner;
            if !tag.is_some_and(|tag| self.vault().tags(owner).any(|known| known == tag)) {
                return Ok(false);
            }
            let deleted = self.backend().delete(key).await.map_err(Error::store)?;
            if deleted {
                self.tell_ended(SessionId::new(*key.as_bytes()), EndReason::Owner);
            }
            return Ok(deleted);
        }
        // the session may have moved since it was listed
        let found = Found::listed(self.vault(), self.metrics(), key, stored);
        match self.end_of(found).await? {
            Found::Live(record, row) if record.owner() == Some(owner) => {
                self.end_always(record.head, row, now, EndReason::Owner)
                    .await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The keys of sessions, also of the rows that they moved to.
    async fn keys_of(&self, heads: &[Head]) -> Result<Vec<StoreKey>, Error> {
        let mut keys: Vec<_> = heads.iter().map(|head| self.key(head.family())).collect();
        if self.may_delete() {
            // sessions in tickets do not move
            return Ok(keys);
        }
        for head in heads {
            let mut family = head.family();
            for _ in 0..POINTERS {
                let Found::Moved(to) = self.find(family).await? else {
                    break;
                };
                family = to;
                keys.push(self.key(family));
            }
        }
        Ok(keys)
    }

    fn tags(&self, owner: &str) -> Vec<OwnerTag> {
        self.vault().tags(owner).collect()
    }
}

/// The end of a session's row.
fn ends(incoming: &Incoming) -> Millis {
    incoming.row().map_or(0, |row| row.expires)
}
