//! What SQLite's result codes mean, and how a statement waits while another process writes.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use sqlx::error::DatabaseError;

use super::failure;
use crate::store::{StoreError, StoreErrorKind};

/// How long a statement waits while another process writes. SQLite itself would look again after up to 100 ms, and a process that
/// writes all the time would leave it no gap: so it is told not to wait, and the statement is made again after a millisecond or two.
const BUSY: Duration = Duration::from_secs(2);
/// How long a file may take to be opened: no request waits for it, and where many processes start at once it takes its time.
const OPENING: Duration = Duration::from_secs(10);
const LEAST_PAUSE: Duration = Duration::from_micros(500);
const MOST_PAUSE: Duration = Duration::from_millis(4);

/// Makes a statement, again and again while another process writes.
pub(super) async fn patiently<T, F>(make: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    again(BUSY, |kind| kind == StoreErrorKind::Contended, make).await
}

/// Opens connections, again and again while others do as well.
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

fn failed(error: sqlx::Error) -> StoreError {
    failure(error, kind)
}

/// What SQLite's result codes mean, of which the lowest byte is the primary one.
fn kind(error: &dyn DatabaseError) -> StoreErrorKind {
    let code = error.code();
    let code = code.and_then(|code| code.parse::<u32>().ok()).unwrap_or(0);
    match code & 0xff {
        // SQLITE_ERROR: of a statement that is right, since it names what is not there
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
