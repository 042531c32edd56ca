//! What was imported into the store: one row per owner, which waits for the owner's next login, or
//! one row per id of the old system, which waits for a request with that id.
//!
//! ```text
//! key = SHA-256(label ‖ LP(name) ‖ LP(audience) ‖ "imported" ‖ tag)[..16]
//! key = SHA-256(label ‖ LP(name) ‖ LP(audience) ‖ "old id" ‖ HMAC(owner key, 0xFF ‖ id)[..16])[..16]
//! ```

use super::{
    content::{Content, Tombstone},
    errors::{contended, unreadable},
    imported::{Imported, Progress, Source},
    rows::Rows,
    vault::{Under, Unreadable},
};
use crate::{
    clock::{self, Millis},
    entries::Entries,
    error::Error,
    event::{Event, Reason},
    id::{Replaced, SessionId},
    session::{Place, RowRef},
    store::{OwnerTag, Saving, StoreKey, Stored},
};

/// How often a row is looked at that other programs change.
pub(super) const TRIES: u32 = 8;

/// Entries to import.
#[derive(Clone, Copy)]
pub(crate) struct NewImport<'a> {
    pub(crate) owner: &'a str,
    /// The id by which they are found. `None`: a login of the owner takes them.
    pub(crate) old_id: Option<&'a str>,
    pub(crate) entries: Entries<'a>,
    pub(crate) source: Source,
    pub(crate) expires: Millis,
}

/// What the store has of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FoundImport {
    Nothing,
    Same,
    /// Those of another file, or of an earlier session in this file.
    Older,
    /// Those of a later session in this file.
    Newer,
    /// They were taken.
    Used,
}

/// What is under the key of an import.
pub(super) enum There {
    Row(Loaded),
    /// A request with the old id has taken it.
    Taken(Tombstone),
    /// These keys do not open it, or it was changed.
    Unreadable,
}

/// A row that was loaded.
pub(super) struct Loaded {
    pub(super) key: StoreKey,
    pub(super) row: RowRef,
    pub(super) content: Imported,
}

impl<'a> NewImport<'a> {
    fn under(&self) -> Under<'a> {
        match self.old_id {
            Some(id) => Under::OldId(id.as_bytes()),
            None => Under::Owner(self.owner),
        }
    }

    /// What a row is to this import.
    fn compare(&self, there: &There) -> Result<FoundImport, Error> {
        let there = match there {
            There::Row(loaded) => &loaded.content,
            There::Taken(_) => return Ok(FoundImport::Used),
            There::Unreadable => return Err(unreadable()),
        };
        let source = there.source;
        Ok(match there.progress {
            Progress::Claimed(_) | Progress::Taken(_) => FoundImport::Used,
            Progress::Waits(_) if source.file != self.source.file => FoundImport::Older,
            Progress::Waits(_) if source.position > self.source.position => FoundImport::Newer,
            Progress::Waits(_) if source.position < self.source.position => FoundImport::Older,
            Progress::Waits(_) if there.record.entries() != self.entries => FoundImport::Older,
            Progress::Waits(_) if there.owner() != self.owner => FoundImport::Older,
            Progress::Waits(_) => FoundImport::Same,
        })
    }
}

impl Rows<'_> {
    /// Saves entries at `now`, unless those that are there are newer or were taken. Returns what was
    /// there.
    pub(crate) async fn import(
        &self,
        new: NewImport<'_>,
        now: Millis,
    ) -> Result<FoundImport, Error> {
        let buffer = || new.source.encode_waiting(now, new.owner, new.entries);
        let row = self.row(Some(self.vault().tag(new.owner)), new.expires)?;
        let (key, others) = {
            let mut keys = self.vault().imported_keys(new.under());
            let key = keys.next().expect("a ring has a secret");
            (key, keys.next().is_some())
        };
        // with one secret, a row that is there makes the insert fail
        let mut found = match others {
            true => self.imported(new.under()).await?,
            false => None,
        };
        for _ in 0..TRIES {
            let Some(there) = &found else {
                if self.insert(key, row, buffer()).await? {
                    return Ok(FoundImport::Nothing);
                }
                found = self.imported(new.under()).await?;
                continue;
            };
            let (FoundImport::Older, There::Row(old)) = (new.compare(there)?, there) else {
                return new.compare(there);
            };
            // its key and its tag may be those of a fallback of the secret
            let after = RowRef {
                version: old.row.version.next(),
                place: old.row.place,
                ..row
            };
            if let Saving::Saved = self.write(old.key, old.row, after, buffer()).await? {
                return Ok(FoundImport::Older);
            }
            found = self.imported(new.under()).await?;
        }
        Err(contended())
    }

    /// What the store has of an import.
    pub(crate) async fn find_import(&self, new: NewImport<'_>) -> Result<FoundImport, Error> {
        let found = self.imported(new.under()).await?;
        found.map_or(Ok(FoundImport::Nothing), |there| new.compare(&there))
    }

    /// What was imported, with any of the secrets.
    pub(super) async fn imported(&self, under: Under<'_>) -> Result<Option<There>, Error> {
        for key in self.vault().imported_keys(under) {
            if let Some(stored) = self.stored(key).await? {
                return Ok(Some(self.open_import(key, stored)));
            }
        }
        Ok(None)
    }

    /// Opens the row of an import. One that does not open is an event.
    pub(super) fn open_import(&self, key: StoreKey, (place, stored): (Place, Stored)) -> There {
        let row = RowRef {
            version: stored.version,
            expires: clock::millis(stored.expires),
            owner: stored.owner,
            replaced: Replaced::default(),
            ticket: false,
            place,
        };
        let reason = match self.vault().open(key, stored.bytes, self.metrics()) {
            Ok(Content::Imported(content)) => {
                let taken = matches!(content.progress, Progress::Taken(_));
                let owner = (!taken).then(|| content.owner());
                // otherwise a writer of the store could hide the row from `delete_owner`
                match self.vault().is_tag_of(row.owner, owner) {
                    true => return There::Row(Loaded { key, row, content }),
                    false => Reason::Forged,
                }
            }
            Ok(Content::Ended(tombstone)) => return There::Taken(tombstone),
            Ok(_) => Reason::Malformed,
            Err(Unreadable(reason)) => reason,
        };
        let session = SessionId::new(*key.as_bytes());
        Event::Unreadable { session, reason }.emit(self.metrics());
        There::Unreadable
    }

    fn row(&self, owner: Option<OwnerTag>, expires: Millis) -> Result<RowRef, Error> {
        Ok(RowRef {
            version: self.first_version()?,
            expires,
            owner,
            replaced: Replaced::default(),
            ticket: false,
            place: Place::Store,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{seal, store::Version, stored::imported::encode};

    const SOURCE: Source = Source {
        file: *b"the file",
        position: 0x0102_0304_0506_0708,
    };
    const ENTRIES: &[u8] = b"\x01a\x011\x02ab\x013";

    #[test]
    fn last_session_of_a_file_wins_and_so_does_a_new_file() {
        let there = |progress, source, owner| {
            let encoded = encode(progress, source, owner, Entries::trusted(ENTRIES));
            let plaintext = seal::HEADROOM + 1..encoded.len();
            There::Row(Loaded {
                key: StoreKey::new([0; 16]),
                row: RowRef {
                    version: Version::new(1),
                    expires: 0,
                    owner: None,
                    replaced: Replaced::default(),
                    ticket: false,
                    place: Place::Store,
                },
                content: Imported::parse(encoded, plaintext).expect("well-formed"),
            })
        };
        let new = NewImport {
            owner: "ada",
            old_id: None,
            entries: Entries::trusted(ENTRIES),
            source: SOURCE,
            expires: 0,
        };
        let at = |position| Source { position, ..SOURCE };
        let other = Source {
            file: *b"other...",
            position: u64::MAX,
        };
        let waits = Progress::Waits(1);
        for (progress, source, owner, expected) in [
            (waits, SOURCE, "ada", FoundImport::Same),
            (waits, SOURCE, "bob", FoundImport::Older),
            (waits, at(1), "ada", FoundImport::Older),
            (waits, at(u64::MAX), "ada", FoundImport::Newer),
            (waits, other, "ada", FoundImport::Older),
            (Progress::Claimed(1), at(1), "ada", FoundImport::Used),
            (Progress::Taken(1), other, "ada", FoundImport::Used),
        ] {
            let found = new.compare(&there(progress, source, owner));
            assert_eq!(
                found.expect("it opened"),
                expected,
                "{progress:?} {source:?} {owner}"
            );
        }
    }
}
