//! What is under the key of a family: opening a row that was loaded.

use super::{
    content::{Content, Tombstone},
    vault::{Unreadable, Vault},
};
use crate::{
    clock,
    event::{Event, Reason},
    id::{Family, SessionId},
    metrics::Metrics,
    record::Record,
    session::{Place, RowRef},
    store::{StoreKey, Stored},
};

/// What is under the key of a family.
pub(super) enum Found {
    Live(Record, RowRef),
    Ended(Tombstone),
    /// The session was in a cookie or in another store, and moved to the row of that family.
    Moved(Family),
    /// These keys do not open the row of that family, or its owner's tag was changed.
    Unreadable(Family),
    Absent,
}

/// What a row holds whose family is not known.
pub(crate) enum Kind {
    Live(Box<Record>),
    Ended,
    Moved,
    Imported,
}

impl Kind {
    /// Opens a row to tell its kind.
    pub(crate) fn of(vault: &Vault, key: StoreKey, mut stored: Stored) -> Result<Self, Unreadable> {
        let content = vault.open(
            key,
            std::mem::take(&mut stored.bytes),
            Metrics::of_process(),
        )?;
        if let Content::Imported(_) = content {
            return Ok(Self::Imported);
        }
        let at = |record: &Record| vault.key(record.head.family()) == key;
        match Found::of(vault, content, (Place::Store, stored), at)? {
            Found::Live(record, _) => Ok(Self::Live(record.into())),
            Found::Ended(_) => Ok(Self::Ended),
            Found::Moved(_) => Ok(Self::Moved),
            Found::Unreadable(_) | Found::Absent => Err(Unreadable(Reason::Malformed)),
        }
    }
}

impl Found {
    /// Opens the row of that family. One that does not open is an event.
    pub(super) fn read(
        vault: &Vault,
        metrics: &Metrics,
        family: Family,
        (place, stored): (Place, Stored),
    ) -> Self {
        let at = |record: &Record| record.head.family() == family;
        Self::open(vault, metrics, vault.key(family), (place, stored), at).unwrap_or_else(
            |Unreadable(reason)| {
                let session = SessionId::of(family);
                Event::Unreadable { session, reason }.emit(metrics);
                Self::Unreadable(family)
            },
        )
    }

    /// `at`: whether the row of a record belongs under this key.
    pub(super) fn open(
        vault: &Vault,
        metrics: &Metrics,
        key: StoreKey,
        (place, mut stored): (Place, Stored),
        at: impl FnOnce(&Record) -> bool,
    ) -> Result<Self, Unreadable> {
        let content = vault.open(key, std::mem::take(&mut stored.bytes), metrics)?;
        Self::of(vault, content, (place, stored), at)
    }

    /// The same for a row whose bytes were opened.
    fn of(
        vault: &Vault,
        content: Content,
        (place, stored): (Place, Stored),
        at: impl FnOnce(&Record) -> bool,
    ) -> Result<Self, Unreadable> {
        let Stored {
            version,
            expires,
            owner,
            ..
        } = stored;
        Ok(match content {
            // its key is not that of a family
            Content::Imported(_) => Self::Absent,
            Content::Ended(tombstone) => Self::Ended(tombstone),
            Content::Moved(to) => Self::Moved(to),
            Content::Live(_, record) if !at(&record) => {
                return Err(Unreadable(Reason::Malformed));
            }
            // otherwise a writer of the store could hide a session from `delete_owner`
            Content::Live(_, record) if !vault.is_tag_of(owner, record.owner()) => {
                return Err(Unreadable(Reason::Forged));
            }
            Content::Live(replaced, record) => {
                let row = RowRef {
                    version,
                    expires: clock::millis(expires),
                    owner,
                    replaced,
                    ticket: true,
                    place,
                };
                Self::Live(record, row)
            }
        })
    }
}
