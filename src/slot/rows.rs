//! A layer's rows in its store: sessions and tombstones by id, sealed on the way in and opened on the way out.

use super::{
    settings::Settings,
    vault::{Row, Unreadable, Vault},
};
use crate::{
    clock::{Millis, moment},
    error::Error,
    event::Event,
    record::{Head, Record, SessionId},
    seal,
    session::{Draft, Held},
    store::{self, Keeper, Saving, StoreError, Stored, Turn, Version},
};

/// How long a tombstone of an id stays that has only been in tickets: longer than a request takes.
const MEMORY: Millis = 10 * 60_000;

/// Where sessions are that are not in their cookies.
#[derive(Clone)]
pub(crate) struct Storage {
    pub(crate) keeper: Keeper,
    pub(crate) mode: Mode,
}

/// Which sessions those are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All.
    Store,
    /// Those that do not fit a cookie.
    Overflow,
    /// Those that are there already, until they are changed.
    ReadFrom,
}

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

impl Rows<'_> {
    /// What is under that id.
    pub(super) async fn find(&self, id: SessionId) -> Result<Option<Found>, StoreError> {
        let stored = self.storage.keeper.load(self.vault.key(id)).await?;
        Ok(stored.map(|stored| self.read(id, stored)))
    }

    /// Makes a row of a draft; `None`: the id has one.
    pub(super) async fn create(&self, draft: &Draft, moved: bool) -> Result<Option<u64>, Error> {
        let key = self.vault.key(draft.head.id);
        let sealed = self.seal(draft, moved)?;
        let version = self
            .storage
            .keeper
            .create(key, &self.row(draft, &sealed))
            .await;
        Ok(version.map_err(Error::store)?.map(Version::get))
    }

    /// Replaces a row by a draft.
    pub(super) async fn save(
        &self,
        draft: &Draft,
        version: u64,
        moved: bool,
    ) -> Result<Turned, Error> {
        let sealed = self.seal(draft, moved)?;
        let row = self.row(draft, &sealed);
        self.turn(draft.head.id, version, &row).await
    }

    /// Makes a tombstone of a row.
    pub(super) async fn end(
        &self,
        head: Head,
        held: Held,
        successor: Head,
        now: Millis,
    ) -> Result<Turned, Error> {
        let sealed = self.tombstone(head.id, successor, now)?;
        let row = self.tombstone_row(head, held.moved, now, &sealed);
        self.turn(head.id, held.version, &row).await
    }

    /// Leaves a tombstone for an id that has been in a cookie which holds the state; `false`: it has a row.
    pub(super) async fn forbid(
        &self,
        head: Head,
        successor: Head,
        now: Millis,
    ) -> Result<bool, Error> {
        let sealed = self.tombstone(head.id, successor, now)?;
        let row = self.tombstone_row(head, true, now, &sealed);
        let key = self.vault.key(head.id);
        let version = self.storage.keeper.create(key, &row).await;
        Ok(version.map_err(Error::store)?.is_some())
    }

    /// Moves a row's end. Where that fails nothing is lost.
    pub(super) async fn touch(&self, id: SessionId, expires: Millis) {
        let key = self.vault.key(id);
        let _ = self.storage.keeper.touch(key, moment(expires)).await;
    }

    /// Forgets a row that nobody was told of. Where that fails nobody can reach it.
    pub(super) async fn forget(&self, id: SessionId) {
        let _ = self.storage.keeper.delete(self.vault.key(id)).await;
    }

    /// The turn of changing that session.
    pub(super) async fn wait(&self, id: SessionId) -> Result<Turn, Error> {
        let turn = self.storage.keeper.turn(self.vault.key(id)).await;
        turn.map_err(Error::store)
    }

    async fn turn(
        &self,
        id: SessionId,
        version: u64,
        row: &store::Row<'_>,
    ) -> Result<Turned, Error> {
        let key = self.vault.key(id);
        let saving = self
            .storage
            .keeper
            .save(key, Version::new(version), row)
            .await;
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
            Ok(Row::Live { mut record, moved }) => {
                record.head.id = id;
                let held = Held {
                    version: version.get(),
                    expires: u64::try_from(expires.unix_timestamp_nanos() / 1_000_000).unwrap_or(0),
                    moved,
                    ticket: true,
                };
                Found::Live(record, held)
            }
            Ok(Row::Ended(successor)) => Found::Ended(successor),
            Err(Unreadable) => {
                Event::Unreadable(id).emit();
                Found::Unreadable
            }
        }
    }

    fn seal(&self, draft: &Draft, moved: bool) -> Result<seal::Sealed, Error> {
        let mut random = [0; seal::RANDOM_LEN];
        (self.settings.random)(&mut random)?;
        let buffer = draft.encode(seal::HEADROOM, seal::TAG_LEN);
        let key = self.vault.key(draft.head.id);
        Ok(self.vault.seal(key, moved, &random, buffer))
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
    fn tombstone(
        &self,
        id: SessionId,
        mut successor: Head,
        now: Millis,
    ) -> Result<seal::Sealed, Error> {
        let mut random = [0; seal::RANDOM_LEN];
        (self.settings.random)(&mut random)?;
        successor.times.issue(now);
        let key = self.vault.key(id);
        Ok(self.vault.tombstone(key, successor, &random))
    }

    fn tombstone_row<'a>(
        &self,
        head: Head,
        moved: bool,
        now: Millis,
        sealed: &'a [u8],
    ) -> store::Row<'a> {
        let least = now.saturating_add(MEMORY);
        let end = match moved {
            // a copy of the cookie is valid until then
            true => least.max(self.settings.rules.timeouts.last(head.times)),
            false => least,
        };
        store::Row {
            bytes: sealed,
            expires: moment(end),
            owner: None,
        }
    }
}
