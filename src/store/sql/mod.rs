//! Stores in SQL databases.
//!
//! Every statement commits by itself. A dropped request leaves no statement half done, and leaves
//! no open transaction on a connection of the pool.

mod busy;
mod sqlite;

use sqlx::error::DatabaseError;
use time::OffsetDateTime;

use super::{
    contract::{OwnerTag, StoreKey, Stored, Version},
    error::{StoreError, StoreErrorKind},
};
use crate::clock;

pub use self::sqlite::SqliteStore;

/// The maximum number of rows that one statement deletes.
const BATCH: i64 = 500;

/// The columns of a row: version, bytes, end and owner.
type Columns = (i64, Vec<u8>, i64, Option<Vec<u8>>);

fn stored((version, bytes, expires, owner): Columns) -> Stored {
    Stored {
        version: Version::new(version.cast_unsigned()),
        bytes,
        expires: clock::moment(expires.try_into().unwrap_or(0)),
        // a tag of another length is none of ours
        owner: owner.and_then(|tag| Some(OwnerTag::new(tag.try_into().ok()?))),
    }
}

fn millis(moment: OffsetDateTime) -> i64 {
    i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX)
}

fn number(version: Version) -> i64 {
    version.get().cast_signed()
}

fn id(key: &StoreKey) -> &[u8] {
    key.as_bytes()
}

fn tag(owner: &Option<OwnerTag>) -> Option<&[u8]> {
    owner.as_ref().map(|owner| &owner.as_bytes()[..])
}

/// Maps an error of sqlx. `kind_of` maps the codes of the database.
fn failure(
    error: sqlx::Error,
    kind_of: impl FnOnce(&dyn DatabaseError) -> StoreErrorKind,
) -> StoreError {
    let kind = match &error {
        sqlx::Error::Configuration(_) => StoreErrorKind::Config,
        sqlx::Error::PoolTimedOut => StoreErrorKind::TimedOut,
        sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            StoreErrorKind::Unreachable
        }
        sqlx::Error::Database(error) => kind_of(&**error),
        // a column is missing or has another type
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => StoreErrorKind::Schema,
        _ => StoreErrorKind::Other,
    };
    StoreError::new(kind).because(error)
}
