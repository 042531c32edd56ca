//! Taking imported entries, once. A login claims the row, saves the entries in its session, and then
//! replaces the row by one without entries. That one stays, so that a second import cannot bring
//! them back. A claim that is not finished within a minute can be made again.

use super::{
    errors::unreadable,
    imported::{Imported, Progress, Source, encode},
    imports::{Loaded, There},
    relocate::Relocated,
    rows::{GUARD, Rows},
    vault::Under,
};
use crate::{
    clock::Millis,
    entries::Entries,
    error::Error,
    session::{Claim, Place, RowRef},
    store::{Saving, StoreKey, Stored},
};

/// How long a claim holds.
const CLAIM: Millis = 60_000;

impl Progress {
    pub(super) fn since(self) -> Millis {
        match self {
            Self::Waits(since) | Self::Claimed(since) | Self::Taken(since) => since,
        }
    }

    /// Whether the entries are not taken, and nobody is about to take them.
    pub(super) fn is_free(self, now: Millis) -> bool {
        match self {
            Self::Waits(_) => true,
            Self::Claimed(at) => now.abs_diff(at) >= CLAIM,
            Self::Taken(_) => false,
        }
    }
}

impl Rows<'_> {
    /// Claims the entries that wait for an owner, if no other login has them.
    pub(crate) async fn claim_import(
        &self,
        owner: &str,
        now: Millis,
    ) -> Result<Option<Claim>, Error> {
        match self.imported(Under::Owner(owner)).await? {
            Some(There::Row(there)) => self.claim(there, now).await,
            Some(There::Unreadable) => Err(unreadable()),
            Some(There::Taken(_)) | None => Ok(None),
        }
    }

    async fn claim(
        &self,
        Loaded { key, row, content }: Loaded,
        now: Millis,
    ) -> Result<Option<Claim>, Error> {
        if !content.progress.is_free(now) {
            return Ok(None);
        }
        let after = RowRef {
            version: row.version.next(),
            ..row
        };
        let buffer = encode(
            Progress::Claimed(now),
            content.source,
            content.owner(),
            content.record.entries(),
        );
        Ok(match self.write(key, row, after, buffer).await? {
            Saving::Saved => Some(Claim {
                key,
                row: after,
                source: content.source.to_bytes(),
                record: content.record,
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

    /// Moves imported entries from the old store. They are claimed there first, so that no request
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
        let There::Row(there) = self.open_import(key, (Place::Old, stored)) else {
            return Ok(Relocated::Unreadable);
        };
        let Some(claim) = self.claim(there, now).await? else {
            return Ok(Relocated::Changed);
        };
        let waiting = imported.source.encode_waiting(
            imported.progress.since(),
            imported.owner(),
            imported.record.entries(),
        );
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
}
