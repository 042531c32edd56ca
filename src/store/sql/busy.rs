//! Maps SQLite's result codes, and retries a statement while another process writes.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use sqlx::error::DatabaseError;

use super::fault::failure;
use crate::store::error::{StoreError, StoreErrorKind};

/// How long a statement is retried while another process writes.
///
/// SQLite's own wait would retry after up to 100 ms, and might find no free moment between constant
/// writes. It is switched off, and the statement is retried after a few milliseconds.
const BUSY: Duration = Duration::from_secs(2);
/// How long opening a file is retried. No request waits for it, and it is slow when many processes
/// start at once.
const OPENING: Duration = Duration::from_secs(10);
const LEAST_PAUSE: Duration = Duration::from_micros(500);
const MOST_PAUSE: Duration = Duration::from_millis(4);

/// Runs a statement, and retries it while another process writes. A statement that SQLite answers
/// with BUSY or LOCKED had no effect, since it is rolled back.
pub(super) async fn patiently<T, F>(make: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    again(BUSY, |kind| kind == StoreErrorKind::Contended, make).await
}

/// Opens connections, and retries while other processes do the same.
pub(super) async fn opening<T, F>(make: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let passes = |kind| matches!(kind, StoreErrorKind::Contended | StoreErrorKind::TimedOut);
    again(OPENING, passes, make).await
}

async fn again<T, F>(
    patience: Duration,
    passes: impl Fn(StoreErrorKind) -> bool,
    make: impl Fn() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let start = Instant::now();
    let mut pause = LEAST_PAUSE;
    loop {
        match make().await.map_err(failed) {
            Err(error) if passes(error.kind()) => {
                if start.elapsed() > patience {
                    return Err(error);
                }
                tokio::time::sleep(pause).await;
                pause = MOST_PAUSE.min(pause * 2);
            }
            made => return made,
        }
    }
}

/// The kind's text speaks of a server, but the store is a file.
fn failed(error: sqlx::Error) -> StoreError {
    let damaged = error.as_database_error().map(code).is_some_and(is_damaged);
    let failed = failure(error, kind);
    match failed.kind() {
        StoreErrorKind::Unreachable => failed.message(
            "the SQLite file of the session store cannot be read or written: \
             check the file, its folder and the disk",
        ),
        _ if damaged => failed.message(
            "the SQLite file of the session store is damaged or not a database: restore a backup",
        ),
        _ => failed,
    }
}

/// The primary result code of SQLite: the lowest byte of the code.
fn code(error: &dyn DatabaseError) -> u32 {
    let code = error.code();
    let code = code.and_then(|code| code.parse::<u32>().ok());
    code.unwrap_or(0) & 0xff
}

/// CORRUPT, NOTADB
fn is_damaged(code: u32) -> bool {
    matches!(code, 11 | 26)
}

/// Maps a result code of SQLite.
fn kind(error: &dyn DatabaseError) -> StoreErrorKind {
    match code(error) {
        // SQLITE_ERROR: our statements are valid, so a table or a column is missing
        1 => StoreErrorKind::Schema,
        // PERM, AUTH
        3 | 23 => StoreErrorKind::Denied,
        // BUSY, LOCKED
        5 | 6 => StoreErrorKind::Contended,
        8 => StoreErrorKind::ReadOnly,
        13 => StoreErrorKind::Full,
        // IOERR, CANTOPEN
        10 | 14 => StoreErrorKind::Unreachable,
        _ => StoreErrorKind::Other,
    }
}
