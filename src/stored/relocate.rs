//! Moving the rows of the old store one by one, without a request.
//!
//! A session moves as it does in a request: its row becomes a pointer to the new row. The pointer is
//! copied, so that tickets are found after the old store is gone.

use super::{
    commit::StoreCommit,
    content::{self, Content},
    found::Found,
    rows::{Replacing, Rows},
    vault::Unreadable,
};
use crate::{
    clock,
    error::{Error, ErrorKind},
    id::Replaced,
    record::Record,
    session::{Arrival, Draft, Place, RowRef, State},
    store::{Row, StoreKey, Stored},
};

/// What became of a row of the old store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relocated {
    /// A session that can be used is in the new store now.
    Moved,
    /// What is left of a session, or imported entries, is in the new store now.
    Copied,
    /// The new store has it already.
    Known,
    /// A request has changed it since it was read.
    Changed,
    Expired,
    /// These secrets do not open it.
    Unreadable,
}

impl Rows<'_> {
    /// Moves a row that was read from the old store.
    pub(crate) async fn relocate(
        &self,
        key: StoreKey,
        stored: Stored,
        clock: &clock::Source,
    ) -> Result<Relocated, Error> {
        let now = clock.now().ok_or(ErrorKind::Clock)?;
        if stored.expires <= clock::moment(now) {
            return Ok(Relocated::Expired);
        }
        let content = match self.vault().open(key, stored.bytes.clone(), self.metrics()) {
            Ok(content) => content,
            Err(Unreadable(_)) => return Ok(Relocated::Unreadable),
        };
        match content {
            Content::Live(..) => {}
            Content::Ended(_) | Content::Moved(_) => return self.copy(key, &stored).await,
            Content::Imported(imported) => {
                return self.relocate_import(key, stored, imported, now).await;
            }
        }
        let at = |record: &Record| self.key(record.head.family()) == key;
        let (record, row) =
            match Found::open(self.vault(), self.metrics(), key, (Place::Old, stored), at) {
                Ok(Found::Live(record, row)) => (record, row),
                _ => return Ok(Relocated::Unreadable),
            };
        let head = record.head;
        let Ok(incoming) = self.incoming(record, row, now) else {
            return Ok(Relocated::Expired);
        };
        let times = incoming.record.head.times;
        let state = State::new(self.rules, Arrival::new(now, Some(incoming)));
        let commit = StoreCommit::new(*self, &state, clock, false)?;
        let mut draft = Draft::new(&state, self.rules, now)?;
        // nobody has used it
        draft.head.times = times;
        match commit.try_adopt(&mut draft).await? {
            Replacing::Done(_) => {}
            Replacing::Conflict(_) => return Ok(Relocated::Changed),
        }
        let pointer = RowRef {
            version: self.first_version()?,
            expires: self.pointer_end(head, now),
            owner: None,
            replaced: Replaced::default(),
            ticket: false,
            place: Place::Store,
        };
        let buffer = content::encode_pointer(draft.head.family());
        self.insert(key, pointer, buffer).await?;
        Ok(Relocated::Moved)
    }

    /// Whether there is a store that sessions move out of.
    pub(crate) fn has_old_store(&self) -> bool {
        self.storage.old.is_some()
    }

    /// Copies a row as it is.
    pub(super) async fn copy(&self, key: StoreKey, stored: &Stored) -> Result<Relocated, Error> {
        let row = Row::new(stored.version, &stored.bytes, stored.expires, stored.owner);
        Ok(match self.create_row(key, &row).await? {
            true => Relocated::Copied,
            false => Relocated::Known,
        })
    }
}
