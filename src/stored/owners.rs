//! The sessions of one owner.

use super::{
    found::Found,
    rows::Rows,
    vault::{Unreadable, Vault},
};
use crate::{
    clock::Millis,
    error::Error,
    event::Event,
    id::SessionId,
    record::{Head, Record},
    session::Incoming,
    store::{OwnerTag, StoreKey, Stored},
};

impl Found {
    /// Opens a row whose family is not known. One that does not open is an event, and counts as
    /// absent.
    fn listed(vault: &Vault, key: StoreKey, stored: Stored) -> Self {
        let at = |record: &Record| vault.key(record.head.family()) == key;
        Self::open(vault, key, stored, at).unwrap_or_else(|Unreadable(reason)| {
            let session = SessionId::new(*key.as_bytes());
            Event::Unreadable { session, reason }.emit();
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
        let listed = self.backend().list_owner(&self.tags(owner)).await;
        let found = listed.map_err(Error::store)?.into_iter();
        let usable =
            found.filter_map(
                |(key, stored)| match Found::listed(self.vault(), key, stored) {
                    Found::Live(record, row) => Some((key, self.incoming(record, row, now).ok()?)),
                    _ => None,
                },
            );
        Ok(usable.collect())
    }

    /// Deletes the sessions of an owner, except those with one of these heads.
    pub(crate) async fn delete_owner(&self, owner: &str, except: &[Head]) -> Result<u64, Error> {
        let except: Vec<_> = except.iter().map(|head| self.key(head.family())).collect();
        let deleted = self
            .backend()
            .delete_owner(&self.tags(owner), &except)
            .await;
        deleted.map_err(Error::store)
    }

    /// Deletes the row under a key if it has that owner. The family of a session with an owner has
    /// no other owner later.
    pub(crate) async fn delete_owned(&self, owner: &str, key: StoreKey) -> Result<bool, Error> {
        let stored = self.backend().load(key).await.map_err(Error::store)?;
        let tag = stored.and_then(|stored| stored.owner);
        if !tag.is_some_and(|tag| self.vault().tags(owner).any(|known| known == tag)) {
            return Ok(false);
        }
        self.backend().delete(key).await.map_err(Error::store)
    }

    fn tags(&self, owner: &str) -> Vec<OwnerTag> {
        self.vault().tags(owner).collect()
    }
}
