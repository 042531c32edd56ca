//! Imported entries in the store: one row per owner, which waits for the owner's next login.
//!
//! ```text
//! key = SHA-256(label ‖ LP(name) ‖ LP(audience) ‖ "imported" ‖ tag)[..16]
//! ```
//!
//! A login claims the row, saves the entries in its session, and then replaces the row by one without
//! entries. That one stays, so that a second import cannot bring them back. A claim that is not
//! finished within a minute can be made again.

use super::{
    content::Content,
    errors::{contended, unreadable},
    imported::{Imported, Progress, Source, encode},
    relocate::Relocated,
    rows::{GUARD, Rows},
    vault::Unreadable,
};
use crate::{
    clock::Millis,
    entries::Entries,
    error::Error,
    event::{Event, Reason},
    id::{Replaced, SessionId},
    session::{Claim, Place, RowRef},
    store::{OwnerTag, Saving, StoreKey, Stored},
};

/// How long a login has to finish.
const CLAIM: Millis = 60_000;

/// How often a row is looked at that other programs change.
const TRIES: u32 = 8;

/// Entries to import.
#[derive(Clone, Copy)]
pub(crate) struct NewImport<'a> {
    pub(crate) owner: &'a str,
    pub(crate) entries: Entries<'a>,
    pub(crate) source: Source,
    pub(crate) expires: Millis,
}

/// What the store has of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FoundImport {
    Nothing,
    Same,
    /// Another file's entries of this owner, or those of an earlier session in this file.
    Older,
    /// Those of a later session in this file.
    Newer,
    /// A login has taken them.
    Used,
}

/// A row that was loaded.
struct Loaded {
    key: StoreKey,
    row: RowRef,
    content: Imported,
}

impl NewImport<'_> {
    /// What a row is to this import.
    fn compare(&self, there: &Imported) -> FoundImport {
        let source = there.source;
        match there.progress {
            Progress::Claimed(_) | Progress::Taken(_) => FoundImport::Used,
            Progress::Waits if source.file != self.source.file => FoundImport::Older,
            Progress::Waits if source.position > self.source.position => FoundImport::Newer,
            Progress::Waits if source.position < self.source.position => FoundImport::Older,
            Progress::Waits if there.record.entries() == self.entries => FoundImport::Same,
            Progress::Waits => FoundImport::Older,
        }
    }
}

impl Rows<'_> {
    /// Saves the entries of an owner, unless those that are there are newer or were taken. Returns
    /// what was there.
    pub(crate) async fn import(&self, new: NewImport<'_>) -> Result<FoundImport, Error> {
        let tag = self.vault().tag(new.owner);
        let buffer = || new.source.encode_waiting(new.owner, new.entries);
        let row = self.row(Some(tag), new.expires)?;
        let key = self.vault().imported_key(tag);
        // with one secret, a row that is there makes the insert fail
        let several = self.vault().tags(new.owner).nth(1).is_some();
        let mut loaded = match several {
            true => self.imported(new.owner).await?,
            false => None,
        };
        for _ in 0..TRIES {
            let Some(there) = &loaded else {
                if self.insert(key, row, buffer()).await? {
                    return Ok(FoundImport::Nothing);
                }
                loaded = self.imported(new.owner).await?;
                continue;
            };
            let found = new.compare(&there.content);
            if found != FoundImport::Older {
                return Ok(found);
            }
            // its key is that of its tag, which may be of a fallback of the secret
            let after = RowRef {
                version: there.row.version.next(),
                owner: there.row.owner,
                ..row
            };
            if let Saving::Saved = self.write(there.key, there.row, after, buffer()).await? {
                return Ok(found);
            }
            loaded = self.imported(new.owner).await?;
        }
        Err(contended())
    }

    /// What the store has of an import.
    pub(crate) async fn find_import(&self, new: NewImport<'_>) -> Result<FoundImport, Error> {
        let loaded = self.imported(new.owner).await?;
        Ok(loaded.map_or(FoundImport::Nothing, |there| new.compare(&there.content)))
    }

    /// Claims the entries that wait for an owner, if no other login has them.
    pub(crate) async fn claim_import(
        &self,
        owner: &str,
        now: Millis,
    ) -> Result<Option<Claim>, Error> {
        match self.imported(owner).await? {
            Some(there) => self.claim(owner, there, now).await,
            None => Ok(None),
        }
    }

    async fn claim(
        &self,
        owner: &str,
        Loaded { key, row, content }: Loaded,
        now: Millis,
    ) -> Result<Option<Claim>, Error> {
        match content.progress {
            Progress::Taken(_) => return Ok(None),
            Progress::Claimed(at) if now.abs_diff(at) < CLAIM => return Ok(None),
            Progress::Claimed(_) | Progress::Waits => {}
        }
        let record = content.record;
        let after = RowRef {
            version: row.version.next(),
            ..row
        };
        let buffer = encode(
            Progress::Claimed(now),
            content.source,
            owner,
            record.entries(),
        );
        Ok(match self.write(key, row, after, buffer).await? {
            Saving::Saved => Some(Claim {
                key,
                row: after,
                source: content.source.to_bytes(),
                record,
            }),
            Saving::Conflict(_) | Saving::Gone => None,
        })
    }

    /// Notes that the claimed entries are saved in a session.
    pub(crate) async fn finish_import(&self, claim: &Claim, now: Millis) -> Result<(), Error> {
        let owner = claim.record.owner().expect("`parse` has checked it");
        let source = Source::from_bytes(&claim.source);
        let buffer = encode(Progress::Taken(now), source, owner, Entries::default());
        let after = RowRef {
            version: claim.row.version.next(),
            owner: None,
            expires: now.saturating_add(GUARD),
            ..claim.row
        };
        // if another login has claimed it meanwhile, that one finishes
        self.write(claim.key, claim.row, after, buffer).await?;
        Ok(())
    }

    /// Moves imported entries from the old store. They are claimed there first, so that no login
    /// takes them meanwhile.
    pub(super) async fn relocate_import(
        &self,
        key: StoreKey,
        stored: Stored,
        imported: Imported,
        now: Millis,
    ) -> Result<Relocated, Error> {
        if let Progress::Taken(_) = imported.progress {
            return self.copy(key, &stored).await;
        }
        let owner = imported
            .record
            .owner()
            .expect("`parse` has checked it")
            .to_owned();
        let Some(tag) = self
            .vault()
            .tags(&owner)
            .find(|&tag| self.vault().imported_key(tag) == key)
        else {
            return Ok(Relocated::Unreadable);
        };
        let there = self.read(&owner, tag, key, (Place::Old, stored.clone()))?;
        let Some(claim) = self.claim(&owner, there, now).await? else {
            return Ok(Relocated::Changed);
        };
        let waiting = imported
            .source
            .encode_waiting(&owner, imported.record.entries());
        let row = RowRef {
            place: Place::Store,
            version: self.first_version()?,
            ..claim.row
        };
        let new = self.insert(key, row, waiting).await?;
        self.finish_import(&claim, now).await?;
        Ok(if new {
            Relocated::Copied
        } else {
            Relocated::Known
        })
    }

    /// The row of an owner, with any of the secrets.
    async fn imported(&self, owner: &str) -> Result<Option<Loaded>, Error> {
        for tag in self.vault().tags(owner) {
            let key = self.vault().imported_key(tag);
            for (place, store) in self.storage.places() {
                let Some(stored) = store.load(key).await.map_err(Error::store)? else {
                    continue;
                };
                return self.read(owner, tag, key, (place, stored)).map(Some);
            }
        }
        Ok(None)
    }

    fn read(
        &self,
        owner: &str,
        tag: OwnerTag,
        key: StoreKey,
        (place, stored): (Place, Stored),
    ) -> Result<Loaded, Error> {
        let row = RowRef {
            version: stored.version,
            expires: u64::try_from(stored.expires.unix_timestamp_nanos() / 1_000_000).unwrap_or(0),
            owner: stored.owner,
            replaced: Replaced::default(),
            ticket: false,
            place,
        };
        let reason = match self.vault().open(key, stored.bytes) {
            Ok(Content::Imported(content)) => {
                let taken = matches!(content.progress, Progress::Taken(_));
                // otherwise a writer of the store could hide the row from `delete_owner`
                let tagged = row.owner == (!taken).then_some(tag);
                match tagged && content.record.owner() == Some(owner) {
                    true => return Ok(Loaded { key, row, content }),
                    false => Reason::Forged,
                }
            }
            Ok(_) => Reason::Malformed,
            Err(Unreadable(reason)) => reason,
        };
        let session = SessionId::new(*key.as_bytes());
        Event::Unreadable { session, reason }.emit();
        Err(unreadable())
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
    use crate::seal;

    const SOURCE: Source = Source {
        file: *b"the file",
        position: 0x0102_0304_0506_0708,
    };
    const ENTRIES: &[u8] = b"\x01a\x011\x02ab\x013";

    #[test]
    fn last_session_of_a_file_wins_and_so_does_a_new_file() {
        let row = |progress, source| {
            let encoded = encode(progress, source, "ada", Entries::trusted(ENTRIES));
            let plaintext = seal::HEADROOM + 1..encoded.len();
            Imported::parse(encoded, plaintext).expect("well-formed")
        };
        let new = NewImport {
            owner: "ada",
            entries: Entries::trusted(ENTRIES),
            source: SOURCE,
            expires: 0,
        };
        let at = |position| Source { position, ..SOURCE };
        assert_eq!(
            new.compare(&row(Progress::Waits, SOURCE)),
            FoundImport::Same
        );
        assert_eq!(
            new.compare(&row(Progress::Waits, at(1))),
            FoundImport::Older
        );
        assert_eq!(
            new.compare(&row(Progress::Waits, at(u64::MAX))),
            FoundImport::Newer
        );
        let other = Source {
            file: *b"other...",
            position: u64::MAX,
        };
        assert_eq!(
            new.compare(&row(Progress::Waits, other)),
            FoundImport::Older
        );
        assert_eq!(
            new.compare(&row(Progress::Claimed(1), at(1))),
            FoundImport::Used
        );
        assert_eq!(
            new.compare(&row(Progress::Taken(1), other)),
            FoundImport::Used
        );
    }
}
