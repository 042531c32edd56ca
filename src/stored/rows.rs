//! The rows of a layer: sessions and tombstones by id. They are sealed before they are stored and
//! opened after they are loaded.

use super::{
    storage::Storage,
    vault::{Content, Unreadable, Vault},
};
use crate::{
    clock::{Millis, moment},
    error::Error,
    event::Event,
    record::{Head, Record, SessionId},
    seal,
    session::{Draft, RowRef, Rules},
    store::{self, Saving, Stored, Turn, Version},
};

/// How long a tombstone of an id stays that was only in tickets. Longer than a request takes.
const MEMORY: Millis = 10 * 60_000;

/// The rows of a layer.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(super) storage: &'a Storage,
    pub(super) rules: &'a Rules,
}

/// The row under an id.
pub(super) enum Found {
    Live(Record, RowRef),
    /// The session was in a cookie and moved to this head.
    Moved(Head),
    /// The session ended. This head continues it; it is its own head if none does.
    Ended(Head),
    /// These keys do not open the row.
    Unreadable,
}

/// The result of replacing a row.
pub(super) enum Replaced {
    /// The row now has this version.
    Done(u64),
    /// Another request changed the row before.
    Conflict(Found),
    Gone,
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
    /// Loads the row under that id.
    pub(super) async fn find(&self, id: SessionId) -> Result<Option<Found>, Error> {
        let stored = self.backend().load(self.vault().key(id)).await;
        let stored = stored.map_err(Error::store)?;
        Ok(stored.map(|stored| self.read(id, stored)))
    }

    /// Inserts a row. `None`: the id has one already.
    pub(super) async fn create(&self, draft: &Draft) -> Result<Option<u64>, Error> {
        let sealed = self.seal(draft)?;
        let row = self.row(draft, &sealed);
        self.insert(draft.head.id, &row).await
    }

    /// Replaces a row by a draft.
    pub(super) async fn save(&self, draft: &Draft, version: u64) -> Result<Replaced, Error> {
        let sealed = self.seal(draft)?;
        let row = self.row(draft, &sealed);
        self.replace(draft.head.id, version, &row).await
    }

    /// Replaces a row by a tombstone. The session continues as `successor`, or ends if that is its
    /// own head.
    pub(super) async fn end(
        &self,
        id: SessionId,
        version: u64,
        successor: Head,
        now: Millis,
    ) -> Result<Replaced, Error> {
        let sealed = self.pointer(id, successor, false, now)?;
        let row = pointer_row(&sealed, now.saturating_add(MEMORY));
        self.replace(id, version, &row).await
    }

    /// Inserts a row for visitors who come with the cookie of a session: it has moved to
    /// `successor`, or it ended. Returns `false` if there is a row already.
    pub(super) async fn insert_pointer(
        &self,
        head: Head,
        successor: Head,
        moved: bool,
        now: Millis,
    ) -> Result<bool, Error> {
        let sealed = self.pointer(head.id, successor, moved, now)?;
        // until then, a copy of the cookie is valid
        let end = self.rules.timeouts.outlives(head.times);
        let row = pointer_row(&sealed, end.max(now.saturating_add(MEMORY)));
        Ok(self.insert(head.id, &row).await?.is_some())
    }

    /// Moves the end of a session that did not change.
    pub(super) async fn touch(&self, id: SessionId, row: RowRef, expires: Millis) {
        let seen = (Version::new(row.version), moment(row.expires));
        let key = self.vault().key(id);
        self.backend().touch(key, seen, moment(expires)).await;
    }

    /// Deletes a row that no cookie names. If that fails, it is still unreachable.
    pub(super) async fn discard(&self, id: SessionId) {
        let _ = self.backend().delete(self.vault().key(id)).await;
    }

    /// Ends a session by deleting its row, when there is no space for a tombstone. Returns whether
    /// there was a row.
    pub(super) async fn delete(&self, id: SessionId) -> Result<bool, Error> {
        let deleted = self.backend().delete(self.vault().key(id)).await;
        deleted.map_err(Error::store)
    }

    /// Waits until no other request of this process changes that session.
    pub(super) async fn turn(&self, id: SessionId) -> Result<Turn, Error> {
        let turn = self.backend().turn(self.vault().key(id)).await;
        turn.map_err(Error::store)
    }

    pub(super) fn backend(&self) -> &store::Backend {
        &self.storage.backend
    }

    fn vault(&self) -> &Vault {
        &self.storage.vault
    }

    async fn insert(&self, id: SessionId, row: &store::Row<'_>) -> Result<Option<u64>, Error> {
        let key = self.vault().key(id);
        let version = self.backend().create(key, row).await;
        Ok(version.map_err(Error::store)?.map(Version::get))
    }

    async fn replace(
        &self,
        id: SessionId,
        version: u64,
        row: &store::Row<'_>,
    ) -> Result<Replaced, Error> {
        let (key, version) = (self.vault().key(id), Version::new(version));
        let saving = self.backend().save(key, version, row).await;
        Ok(match saving.map_err(Error::store)? {
            Saving::Saved(version) => Replaced::Done(version.get()),
            Saving::Conflict(stored) => Replaced::Conflict(self.read(id, stored)),
            Saving::Gone => Replaced::Gone,
        })
    }

    fn read(&self, id: SessionId, stored: Stored) -> Found {
        let Stored {
            version,
            bytes,
            expires,
        } = stored;
        match self.vault().open(self.vault().key(id), bytes) {
            Ok(Content::Live(mut record)) => {
                record.head.id = id;
                let row = RowRef {
                    version: version.get(),
                    expires: u64::try_from(expires.unix_timestamp_nanos() / 1_000_000).unwrap_or(0),
                    ticket: true,
                };
                Found::Live(record, row)
            }
            Ok(Content::Moved(head)) => Found::Moved(head),
            Ok(Content::Ended(successor)) => Found::Ended(successor),
            Err(Unreadable(reason)) => {
                Event::Unreadable {
                    session: id,
                    reason,
                }
                .emit();
                Found::Unreadable
            }
        }
    }

    fn seal(&self, draft: &Draft) -> Result<seal::Sealed, Error> {
        let random = self.rules.draw_hedge()?;
        let buffer = draft.encode(seal::HEADROOM, seal::TAG_LEN);
        let key = self.vault().key(draft.head.id);
        Ok(self.vault().seal(key, &random, buffer))
    }

    fn row<'a>(&self, draft: &Draft, sealed: &'a [u8]) -> store::Row<'a> {
        let end = self.rules.timeouts.end(draft.head.times);
        store::Row {
            bytes: sealed,
            expires: moment(end),
            owner: draft.owner.as_deref().map(|owner| self.vault().tag(owner)),
        }
    }

    /// Sealed at `now`, so that a reader knows how old the tombstone is.
    fn pointer(
        &self,
        id: SessionId,
        mut head: Head,
        moved: bool,
        now: Millis,
    ) -> Result<seal::Sealed, Error> {
        let random = self.rules.draw_hedge()?;
        head.times.issue(now);
        let key = self.vault().key(id);
        Ok(self.vault().pointer(key, head, moved, &random))
    }
}

fn pointer_row(sealed: &[u8], end: Millis) -> store::Row<'_> {
    store::Row {
        bytes: sealed,
        expires: moment(end),
        owner: None,
    }
}
