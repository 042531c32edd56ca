//! Stores in SQL databases. Every call is one statement that commits by itself: none is left half done by a request that goes
//! away, and none begins a transaction that the next borrower of a connection would be in.

#[cfg(feature = "sqlite")]
mod busy;
#[cfg(feature = "sqlite")]
mod sqlite;

use sqlx::error::DatabaseError;
use time::OffsetDateTime;

use super::{OwnerTag, StoreError, StoreErrorKind, StoreKey, Stored, Version};
use crate::clock;

#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteStore;

/// So many rows at most are pruned by one statement.
const BATCH: i64 = 500;

/// A row's version, bytes and end, as columns.
type Columns = (i64, Vec<u8>, i64);

fn stored((version, bytes, expires): Columns) -> Stored {
    Stored {
        version: Version::new(version.cast_unsigned()),
        bytes,
        expires: clock::moment(expires.try_into().unwrap_or(0)),
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

/// What a failure means; the database says what its own codes mean.
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
        // columns of another type
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => StoreErrorKind::Schema,
        _ => StoreErrorKind::Other,
    };
    StoreError::new(kind).because(error)
}
