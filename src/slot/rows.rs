//! A layer's rows in its store: sessions and tombstones by id, sealed on the way in and opened on the way out.

use super::{
    settings::Settings,
    storage::Storage,
    vault::{Row, Unreadable, Vault},
};
use crate::{
    clock::{Millis, moment},
    error::Error,
    event::Event,
    record::{Head, Record, SessionId},
    seal,
    session::{Draft, Held},
    store::{self, Saving, StoreError, Stored, Turn, Version},
};

/// How long a tombstone of an id stays that has only been in tickets: longer than a request takes.
const MEMORY: Millis = 10 * 60_000;

/// A layer's rows.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) settings: &'a Settings,
    pub(super) vault: &'a Vault,
    pub(super) storage: &'a Storage,
}

/// What is under an id.
pub(super) enum Found {
    Live(Record, Held),
    /// It came in a cookie, and is under this head.
    Moved(Head),
    /// It ended, and went on under this head, which is its own if it did not.
    Ended(Head),
    /// A row that these keys do not open.
    Unreadable,
}

/// What came of a change to a row.
pub(super) enum Turned {
    /// It is made; the row is at this version.
    Done(u64),
    /// Another request came first.
    Met(Found),
    Gone,
}

impl Settings {
    pub(super) fn rows(&self) -> Option<Rows<'_>> {
        let (vault, storage) = self.storage()?;
        Some(Rows {
            settings: self,
            vault,
            storage,
        })
    }
}

impl Rows<'_> {
    /// What is under that id.
    pub(super) async fn find(&self, id: SessionId) -> Result<Option<Found>, StoreError> {
        let stored = self.storage.keeper.load(self.vault.key(id)).await?;
        Ok(stored.map(|stored| self.read(id, stored)))
    }

    /// Makes a row of a draft; `None`: the id has one.
    pub(super) async fn create(&self, draft: &Draft) -> Result<Option<u64>, Error> {
        let sealed = self.seal(draft)?;
        let row = self.row(draft, &sealed);
        self.insert(draft.head.id, &row).await
    }

    /// Replaces a row by a draft.
    pub(super) async fn save(&self, draft: &Draft, version: u64) -> Result<Turned, Error> {
        let sealed = self.seal(draft)?;
        let row = self.row(draft, &sealed);
        self.replace(draft.head.id, version, &row).await
    }

    /// Makes a tombstone of a row, whose session goes on under `successor`, or nowhere.
    pub(super) async fn end(
        &self,
        id: SessionId,
        version: u64,
        successor: Head,
        now: Millis,
    ) -> Result<Turned, Error> {
        let sealed = self.pointer(id, successor, false, now)?;
        let row = pointer_row(&sealed, now.saturating_add(MEMORY));
        self.replace(id, version, &row).await
    }

    /// Leaves word for those who come with the cookie that held a session: it is in the store under `successor`, or it ended.
    /// `false`: there is word already.
    pub(super) async fn leave(
        &self,
        head: Head,
        successor: Head,
        moved: bool,
        now: Millis,
    ) -> Result<bool, Error> {
        let sealed = self.pointer(head.id, successor, moved, now)?;
        // a copy of the cookie is valid until then
        let end = self.settings.rules.timeouts.outlives(head.times);
        let row = pointer_row(&sealed, end.max(now.saturating_add(MEMORY)));
        Ok(self.insert(head.id, &row).await?.is_some())
    }

    /// Moves a row's end, of a session that nothing changed.
    pub(super) async fn touch(&self, id: SessionId, held: Held, expires: Millis) {
        let seen = (Version::new(held.version), moment(held.expires));
        let key = self.vault.key(id);
        self.storage.keeper.touch(key, seen, moment(expires)).await;
    }

    /// Forgets a row that nobody was told of. Where that fails nobody can reach it.
    pub(super) async fn forget(&self, id: SessionId) {
        let _ = self.storage.keeper.delete(self.vault.key(id)).await;
    }

    /// Ends a session where there is no room for a tombstone. Whether there was one.
    pub(super) async fn delete(&self, id: SessionId) -> Result<bool, Error> {
        let deleted = self.storage.keeper.delete(self.vault.key(id)).await;
        deleted.map_err(Error::store)
    }

    /// The turn of changing that session.
    pub(super) async fn wait(&self, id: SessionId) -> Result<Turn, Error> {
        let turn = self.storage.keeper.turn(self.vault.key(id)).await;
        turn.map_err(Error::store)
    }

    async fn insert(&self, id: SessionId, row: &store::Row<'_>) -> Result<Option<u64>, Error> {
        let key = self.vault.key(id);
        let version = self.storage.keeper.create(key, row).await;
        Ok(version.map_err(Error::store)?.map(Version::get))
    }

    async fn replace(
        &self,
        id: SessionId,
        version: u64,
        row: &store::Row<'_>,
    ) -> Result<Turned, Error> {
        let (key, version) = (self.vault.key(id), Version::new(version));
        let saving = self.storage.keeper.save(key, version, row).await;
        Ok(match saving.map_err(Error::store)? {
            Saving::Saved(version) => Turned::Done(version.get()),
            Saving::Conflict(stored) => Turned::Met(self.read(id, stored)),
            Saving::Gone => Turned::Gone,
        })
    }

    fn read(&self, id: SessionId, stored: Stored) -> Found {
        let Stored {
            version,
            bytes,
            expires,
        } = stored;
        match self.vault.open(self.vault.key(id), bytes) {
            Ok(Row::Live(mut record)) => {
                record.head.id = id;
                let held = Held {
                    version: version.get(),
                    expires: u64::try_from(expires.unix_timestamp_nanos() / 1_000_000).unwrap_or(0),
                    ticket: true,
                };
                Found::Live(record, held)
            }
            Ok(Row::Moved(head)) => Found::Moved(head),
            Ok(Row::Ended(successor)) => Found::Ended(successor),
            Err(Unreadable) => {
                Event::Unreadable(id).emit();
                Found::Unreadable
            }
        }
    }

    fn seal(&self, draft: &Draft) -> Result<seal::Sealed, Error> {
        let random = self.settings.draw()?;
        let buffer = draft.encode(seal::HEADROOM, seal::TAG_LEN);
        Ok(self
            .vault
            .seal(self.vault.key(draft.head.id), &random, buffer))
    }

    fn row<'a>(&self, draft: &Draft, sealed: &'a [u8]) -> store::Row<'a> {
        let end = self.settings.rules.timeouts.end(draft.head.times);
        store::Row {
            bytes: sealed,
            expires: moment(end),
            owner: draft.owner.as_deref().map(|owner| self.vault.tag(owner)),
        }
    }

    /// It is as of `now`, so that whoever meets it knows how fresh it is.
    fn pointer(
        &self,
        id: SessionId,
        mut head: Head,
        moved: bool,
        now: Millis,
    ) -> Result<seal::Sealed, Error> {
        let random = self.settings.draw()?;
        head.times.issue(now);
        Ok(self.vault.pointer(self.vault.key(id), head, moved, &random))
    }
}

fn pointer_row(sealed: &[u8], end: Millis) -> store::Row<'_> {
    store::Row {
        bytes: sealed,
        expires: moment(end),
        owner: None,
    }
}
