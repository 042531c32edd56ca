//! The rows of a layer, by family. They are sealed before they are stored, and opened after they
//! are loaded.
//!
//! A call is sent at most once. If it was not answered, one look shows whether the row has exactly
//! our bytes; then the call was applied. No two seals are equal.

use super::{
    content::{self, Tombstone},
    found::Found,
    storage::Storage,
    vault::Vault,
};
use crate::{
    clock::{Millis, moment},
    error::Error,
    id::{Family, Replaced},
    metrics::{Metric, Metrics},
    record::Head,
    seal,
    session::{Draft, Place, RowRef, Rules},
    store::{self, Creation, OwnerTag, Saving, StoreError, StoreKey, Turn, Version},
};

/// How long the tombstone of a session stays that was only in tickets. Longer than a request takes.
const MEMORY: Millis = 10 * 60_000;

/// How long the row stays that guards the cookie of a session after its creation. Longer than any
/// configuration accepts the cookie, so that a longer `absolute_timeout` does not revive it.
pub(super) const GUARD: Millis = 400 * 24 * 3600 * 1000;

/// The rows of a layer.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(super) storage: &'a Storage,
    pub(super) rules: &'a Rules,
}

/// The result of replacing a row.
pub(super) enum Replacing {
    Done(RowRef),
    /// Another request changed the row before.
    Conflict(Box<Found>),
}

/// A row that keeps the cookie of a session from being used.
pub(super) enum Guard {
    Ended(Tombstone),
    /// It moved to the row of that family.
    Moved(Family),
}

impl Storage {
    pub(crate) fn rows<'a>(&'a self, rules: &'a Rules) -> Rows<'a> {
        Rows {
            storage: self,
            rules,
        }
    }
}

impl Rows<'_> {
    /// Inserts the row of a draft, which expires at `expires`. `None`: the family has one already.
    pub(super) async fn create(
        &self,
        draft: &Draft,
        now: Millis,
        expires: Millis,
    ) -> Result<Option<RowRef>, Error> {
        let row = RowRef {
            version: self.first_version()?,
            expires,
            owner: self.tag(draft),
            replaced: draft.replaced(now),
            ticket: false,
            place: Place::Store,
        };
        let buffer = content::encode_live(&row.replaced, draft);
        let inserted = self
            .insert(self.key(draft.head.family()), row, buffer)
            .await?;
        Ok(inserted.then_some(row))
    }

    /// Replaces a row by a draft.
    pub(super) async fn save(
        &self,
        draft: &Draft,
        row: RowRef,
        now: Millis,
    ) -> Result<Replacing, Error> {
        let after = RowRef {
            version: row.version.next(),
            expires: self.rules.timeouts.end(draft.head.times),
            owner: self.tag(draft),
            replaced: draft.replaced(now),
            ..row
        };
        let buffer = content::encode_live(&after.replaced, draft);
        // boxed, so that neither future has more than a kilobyte, which takes longer to allocate
        Box::pin(self.replace(draft.head.family(), row, after, buffer)).await
    }

    /// Replaces the row of a session by a tombstone.
    pub(super) async fn end(
        &self,
        head: Head,
        row: RowRef,
        tombstone: Tombstone,
    ) -> Result<Replacing, Error> {
        let tombstone = tombstone.of(row.replaced, head.id.serial());
        let after = RowRef {
            version: row.version.next(),
            expires: tombstone.at.saturating_add(MEMORY),
            owner: None,
            ..row
        };
        let buffer = content::encode_tombstone(&tombstone);
        self.replace(head.family(), row, after, buffer).await
    }

    /// Replaces the row of a session that moved to another store by a pointer to its new family. The
    /// pointer stays for as long as tickets of the row are accepted.
    pub(super) async fn point(
        &self,
        head: Head,
        row: RowRef,
        to: Family,
        now: Millis,
    ) -> Result<Replacing, Error> {
        let after = RowRef {
            version: row.version.next(),
            expires: self.pointer_end(head, now),
            owner: None,
            ..row
        };
        let buffer = content::encode_pointer(to);
        self.replace(head.family(), row, after, buffer).await
    }

    /// When the pointer of a session that moved to another store expires.
    pub(super) fn pointer_end(&self, head: Head, now: Millis) -> Millis {
        let last = self.rules.timeouts.last(head.times);
        last.max(now.saturating_add(MEMORY))
    }

    /// Inserts a row that keeps the cookie of a session from being used. Returns `false` if the
    /// family has a row already.
    pub(super) async fn guard(&self, cookie: Head, guard: Guard) -> Result<bool, Error> {
        let buffer = match guard {
            Guard::Moved(to) => content::encode_pointer(to),
            Guard::Ended(tombstone) => {
                content::encode_tombstone(&tombstone.of(Replaced::default(), cookie.id.serial()))
            }
        };
        let timeouts = &self.rules.timeouts;
        let longest = timeouts.absolute.max(timeouts.max_remember).max(GUARD);
        let row = RowRef {
            version: self.first_version()?,
            expires: cookie.times.created.saturating_add(longest),
            owner: None,
            replaced: Replaced::default(),
            ticket: false,
            place: Place::Store,
        };
        self.insert(self.key(cookie.family()), row, buffer).await
    }

    /// Moves the end of a session that did not change. Returns whether its row still has that
    /// version.
    pub(super) async fn touch(
        &self,
        family: Family,
        row: RowRef,
        expires: Millis,
    ) -> Result<bool, Error> {
        let seen = (row.version, moment(row.expires));
        let store = self.storage.at(row.place);
        let touched = store.touch(self.key(family), seen, moment(expires)).await;
        touched.map_err(Error::store)
    }

    /// Moves the end of a session in a task that no request waits for.
    pub(super) fn touch_later(&self, family: Family, row: RowRef, expires: Millis) {
        let seen = (row.version, moment(row.expires));
        let store = self.storage.at(row.place);
        store.touch_later(self.key(family), seen, moment(expires));
    }

    /// Waits until no other request of this process changes that session.
    pub(super) async fn turn(&self, family: Family) -> Result<Turn, Error> {
        let turn = self.backend().turn(self.key(family)).await;
        turn.map_err(Error::store)
    }

    pub(super) fn backend(&self) -> &store::Backend {
        &self.storage.backend
    }

    pub(super) fn vault(&self) -> &Vault {
        &self.storage.vault
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.rules.metrics
    }

    pub(super) fn key(&self, family: Family) -> StoreKey {
        self.vault().key(family)
    }

    /// A random version, so that none repeats under a key, even after a row was deleted.
    pub(super) fn first_version(&self) -> Result<Version, Error> {
        let random = self.rules.draw_hedge()?;
        let number = u64::from_be_bytes(*random.first_chunk().expect("it is longer"));
        Ok(Version::new(number >> 12))
    }

    fn tag(&self, draft: &Draft) -> Option<OwnerTag> {
        draft.owner.as_deref().map(|owner| self.vault().tag(owner))
    }

    /// Inserts a row. `buffer`: its content, after [`seal::HEADROOM`] bytes. Returns `false` if the
    /// key has one already.
    pub(super) async fn insert(
        &self,
        key: StoreKey,
        row: RowRef,
        buffer: Vec<u8>,
    ) -> Result<bool, Error> {
        let sealed = self.seal(key, buffer)?;
        self.create_row(key, &stored_row(row, &sealed)).await
    }

    /// Inserts a sealed row. Returns `false` if the key has one already.
    pub(super) async fn create_row(
        &self,
        key: StoreKey,
        row: &store::Row<'_>,
    ) -> Result<bool, Error> {
        match self.backend().create(key, row).await {
            Ok(creation) => Ok(creation == Creation::Created),
            Err(error) => {
                let found = Box::pin(look(self.backend(), key, row, error)).await;
                found.map(|()| true)
            }
        }
    }

    async fn replace(
        &self,
        family: Family,
        before: RowRef,
        after: RowRef,
        buffer: Vec<u8>,
    ) -> Result<Replacing, Error> {
        let found = match self.write(self.key(family), before, after, buffer).await? {
            Saving::Saved => return Ok(Replacing::Done(after)),
            Saving::Conflict(stored) => {
                Found::read(self.vault(), self.metrics(), family, (before.place, stored))
            }
            Saving::Gone => Found::Absent,
        };
        Ok(Replacing::Conflict(Box::new(found)))
    }

    /// Saves over a row that was read. `buffer`: its content, after [`seal::HEADROOM`] bytes.
    pub(super) async fn write(
        &self,
        key: StoreKey,
        before: RowRef,
        after: RowRef,
        buffer: Vec<u8>,
    ) -> Result<Saving, Error> {
        let sealed = self.seal(key, buffer)?;
        let row = stored_row(after, &sealed);
        let store = self.storage.at(before.place);
        match store.save(key, before.version, &row, before.owner).await {
            Ok(saving) => Ok(saving),
            Err(error) => {
                Box::pin(look(store, key, &row, error)).await?;
                Ok(Saving::Saved)
            }
        }
    }

    fn seal(&self, key: StoreKey, buffer: Vec<u8>) -> Result<seal::Sealed, Error> {
        let random = self.rules.draw_hedge()?;
        let sealed = self.vault().seal(key, &random, buffer);
        self.metrics()
            .record(Metric::RowBytes, &[], sealed.len() as f64);
        Ok(sealed)
    }
}

/// Checks whether a call that broke off was applied.
async fn look(
    store: &store::Backend,
    key: StoreKey,
    row: &store::Row<'_>,
    error: StoreError,
) -> Result<(), Error> {
    if error.is_lost()
        && let Ok(Some(stored)) = store.load(key).await
        && stored.bytes == row.bytes
    {
        return Ok(());
    }
    Err(Error::store(error))
}

fn stored_row(row: RowRef, sealed: &[u8]) -> store::Row<'_> {
    store::Row::new(row.version, sealed, moment(row.expires), row.owner)
}
