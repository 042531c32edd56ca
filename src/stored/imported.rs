//! Imported entries: one row per owner, which waits for the owner's next login.
//!
//! ```text
//! key = SHA-256(label ‖ LP(name) ‖ LP(audience) ‖ "imported" ‖ tag)[..16]
//! row = 4 ‖ progress u8 (0 waits, 1 claimed, 2 taken) ‖ at u48 ‖ file 8 ‖ position u64 ‖ record
//! ```
//!
//! A login claims the row, saves the entries in its session, and then replaces the row by one without
//! entries. That one stays, so that a second import cannot bring them back. A claim that is not
//! finished within a minute can be made again.

use std::ops::Range;

use super::{
    content::{Content, IMPORTED, padded},
    errors::{contended, unreadable},
    relocate::Relocated,
    rows::{GUARD, Rows},
    vault::Unreadable,
};
use crate::{
    clock::Millis,
    entries::{Entries, Malformed},
    error::Error,
    event::Event,
    id::{Replaced, SessionId, millis},
    record::{self, Head, Record, Times},
    seal,
    session::{Claim, Place, RowRef},
    store::{OwnerTag, Saving, StoreKey, Stored},
};

/// How long a login has to finish.
const CLAIM: Millis = 60_000;

/// How often a row is looked at that other programs change.
const TRIES: u32 = 8;

const HEAD_LEN: usize = 1 + 1 + 6 + SOURCE_LEN;
const SOURCE_LEN: usize = 16;

/// The content of a row.
#[derive(Debug)]
pub(crate) struct Imported {
    progress: Progress,
    source: Source,
    record: Record,
}

/// Where imported entries came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The first bytes of the hash of the file.
    pub(crate) file: [u8; 8],
    /// The number of the session in the file.
    pub(crate) position: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waits,
    Claimed(Millis),
    Taken(Millis),
}

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
pub(crate) enum Found {
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

impl Imported {
    /// Parses what follows the first byte of a row.
    pub(super) fn parse(bytes: Vec<u8>, rest: Range<usize>) -> Result<Self, Malformed> {
        let (head, _) = bytes[rest.clone()]
            .split_first_chunk::<{ HEAD_LEN - 1 }>()
            .ok_or(Malformed)?;
        let at = millis(head[1..].first_chunk::<6>().ok_or(Malformed)?);
        let progress = match head[0] {
            0 => Progress::Waits,
            1 => Progress::Claimed(at),
            2 => Progress::Taken(at),
            _ => return Err(Malformed),
        };
        let source = Source::from_bytes(head[7..].first_chunk().ok_or(Malformed)?);
        let start = rest.start + HEAD_LEN - 1;
        let record = Record::parse(bytes, start..rest.end)?;
        match record.stored || record.owner().is_none() {
            true => Err(Malformed),
            false => Ok(Self {
                progress,
                source,
                record,
            }),
        }
    }

    fn found(&self, new: NewImport<'_>) -> Found {
        let source = self.source;
        match self.progress {
            Progress::Claimed(_) | Progress::Taken(_) => Found::Used,
            Progress::Waits if source.file != new.source.file => Found::Older,
            Progress::Waits if source.position > new.source.position => Found::Newer,
            Progress::Waits if source.position < new.source.position => Found::Older,
            Progress::Waits if self.record.entries() == new.entries => Found::Same,
            Progress::Waits => Found::Older,
        }
    }
}

/// The row, after [`seal::HEADROOM`] bytes.
fn encode(progress: Progress, source: Source, owner: &str, entries: Entries<'_>) -> Vec<u8> {
    let (progress, at) = match progress {
        Progress::Waits => (0, 0),
        Progress::Claimed(at) => (1, at),
        Progress::Taken(at) => (2, at),
    };
    let start = seal::HEADROOM;
    let head = Head {
        id: SessionId::new([0; SessionId::LEN]),
        times: Times {
            created: 0,
            issued: 0,
            lifetime: 0,
            remembered: false,
        },
    };
    let headroom = start + HEAD_LEN;
    let mut out = record::encode(head, Some(owner), entries, headroom, seal::TAG_LEN);
    out[start] = IMPORTED;
    out[start + 1] = progress;
    out[start + 2..start + 8].copy_from_slice(&at.to_be_bytes()[2..]);
    out[start + 8..headroom].copy_from_slice(&source.to_bytes());
    padded(out)
}

impl Source {
    /// The row of entries that wait, after [`seal::HEADROOM`] bytes.
    pub(crate) fn encode_waiting(self, owner: &str, entries: Entries<'_>) -> Vec<u8> {
        encode(Progress::Waits, self, owner, entries)
    }

    pub(crate) fn to_bytes(self) -> [u8; SOURCE_LEN] {
        let mut bytes = [0; SOURCE_LEN];
        bytes[..8].copy_from_slice(&self.file);
        bytes[8..].copy_from_slice(&self.position.to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; SOURCE_LEN]) -> Self {
        let (file, position) = bytes.split_at(8);
        Self {
            file: *file.first_chunk().expect("half of 16"),
            position: u64::from_be_bytes(*position.first_chunk().expect("half of 16")),
        }
    }
}

impl Rows<'_> {
    /// Saves the entries of an owner, unless those that are there are newer or were taken. Returns
    /// what was there.
    pub(crate) async fn import(&self, new: NewImport<'_>) -> Result<Found, Error> {
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
                    return Ok(Found::Nothing);
                }
                loaded = self.imported(new.owner).await?;
                continue;
            };
            let found = there.content.found(new);
            if found != Found::Older {
                return Ok(found);
            }
            let after = RowRef {
                version: there.row.version.next(),
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
    pub(crate) async fn find_import(&self, new: NewImport<'_>) -> Result<Found, Error> {
        let loaded = self.imported(new.owner).await?;
        Ok(loaded.map_or(Found::Nothing, |there| there.content.found(new)))
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
        match self.vault().open(key, stored.bytes) {
            Ok(Content::Imported(content))
                if content.record.owner() == Some(owner)
                    && row.owner.is_none_or(|its| its == tag) =>
            {
                Ok(Loaded { key, row, content })
            }
            Ok(_) => Err(unreadable()),
            Err(Unreadable(reason)) => {
                let session = SessionId::new(*key.as_bytes());
                Event::Unreadable { session, reason }.emit();
                Err(unreadable())
            }
        }
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

    const SOURCE: Source = Source {
        file: *b"the file",
        position: 0x0102_0304_0506_0708,
    };
    const ENTRIES: &[u8] = b"\x01a\x011\x02ab\x013";

    fn parse(encoded: Vec<u8>) -> Result<Content, Malformed> {
        let plaintext = seal::HEADROOM..encoded.len();
        Content::parse(encoded, plaintext)
    }

    #[test]
    fn imported_rows_round_trip() {
        for progress in [
            Progress::Waits,
            Progress::Claimed(1 << 40),
            Progress::Taken(7),
        ] {
            let encoded = encode(progress, SOURCE, "ada", Entries::trusted(ENTRIES));
            let Ok(Content::Imported(row)) = parse(encoded) else {
                panic!("{progress:?}");
            };
            assert_eq!((row.progress, row.source), (progress, SOURCE));
            assert_eq!(row.record.owner(), Some("ada"));
            assert_eq!(row.record.entries().as_bytes(), ENTRIES);
        }
    }

    #[test]
    fn other_bytes_are_malformed() {
        let encoded = encode(Progress::Waits, SOURCE, "ada", Entries::trusted(ENTRIES));
        let mut other = encoded.clone();
        other[seal::HEADROOM + 1] = 3;
        assert!(parse(other).is_err());
        for len in 0..seal::HEADROOM + HEAD_LEN + 31 {
            let cut = encoded[..len.max(seal::HEADROOM)].to_vec();
            assert!(parse(cut).is_err(), "{len}");
        }
    }

    #[test]
    fn last_session_of_a_file_wins_and_so_does_a_new_file() {
        let row = |progress, source| {
            let encoded = encode(progress, source, "ada", Entries::trusted(ENTRIES));
            match parse(encoded) {
                Ok(Content::Imported(row)) => row,
                other => panic!("{other:?}"),
            }
        };
        let new = NewImport {
            owner: "ada",
            entries: Entries::trusted(ENTRIES),
            source: SOURCE,
            expires: 0,
        };
        let at = |position| Source { position, ..SOURCE };
        assert_eq!(row(Progress::Waits, SOURCE).found(new), Found::Same);
        assert_eq!(row(Progress::Waits, at(1)).found(new), Found::Older);
        assert_eq!(row(Progress::Waits, at(u64::MAX)).found(new), Found::Newer);
        let other = Source {
            file: *b"other...",
            position: u64::MAX,
        };
        assert_eq!(row(Progress::Waits, other).found(new), Found::Older);
        assert_eq!(row(Progress::Claimed(1), at(1)).found(new), Found::Used);
        assert_eq!(row(Progress::Taken(1), other).found(new), Found::Used);
    }
}
