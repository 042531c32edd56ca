//! Errors of sqlx.

use sqlx::error::DatabaseError;

use crate::store::error::{StoreError, StoreErrorKind};

/// Maps an error of sqlx. `kind_of` maps the codes of the database.
pub(super) fn failure(
    error: sqlx::Error,
    kind_of: impl FnOnce(&dyn DatabaseError) -> StoreErrorKind,
) -> StoreError {
    let kind = match &error {
        sqlx::Error::Configuration(_) => StoreErrorKind::Config,
        sqlx::Error::PoolTimedOut => StoreErrorKind::TimedOut,
        // PoolClosed: the app closed its pool. Protocol: the connection is out of step
        sqlx::Error::Io(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => StoreErrorKind::Unreachable,
        sqlx::Error::Tls(_) => StoreErrorKind::Config,
        sqlx::Error::Database(error) => kind_of(&**error),
        // a column is missing or has another type
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => StoreErrorKind::Schema,
        _ => StoreErrorKind::Other,
    };
    StoreError::new(kind).because(error)
}

/// The error if the table has other columns.
pub(super) fn foreign_table(error: StoreError) -> StoreError {
    match error.kind() {
        StoreErrorKind::Schema => error.message(
            "the table `sessions` is missing or has other columns: call `create_schema()`; \
             if another app uses this table, give sessions their own database",
        ),
        _ => error,
    }
}
