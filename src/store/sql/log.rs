//! Rows of the table `session_revocations`, a log of revocations.

use std::time::Duration;

use crate::{
    clock::Millis,
    store::{
        error::{StoreError, StoreErrorKind},
        log::{self, Entry, Position},
    },
};

/// How long instances wait before they read again.
pub(super) const PAUSE: Duration = Duration::from_millis(250);

/// The maximum number of rows that one statement reads or deletes.
pub(super) const BATCH: i64 = log::BATCH as i64;

/// A row to add.
pub(super) struct Row {
    pub(super) name: Vec<u8>,
    pub(super) entry: Vec<u8>,
    pub(super) expires: i64,
}

/// The rows of entries, one for each name. They are in the order of their names: statements that
/// add the same rows at the same time then do not wait for each other in a circle.
pub(super) fn rows(entries: &[Entry]) -> Vec<Row> {
    let rows = entries.iter().map(|entry| Row {
        name: entry.key_bytes(),
        entry: entry.encode(),
        expires: i64::from(entry.until) * 1000,
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    rows.dedup_by(|one, other| one.name == other.name);
    rows
}

/// The columns of a row: its number and its entry.
pub(super) type Columns = (i64, Vec<u8>);

pub(super) fn entry((seq, entry): Columns) -> (Position, Option<Entry>) {
    (seq.cast_unsigned().into(), Entry::decode(&entry))
}

pub(super) fn millis(now: Millis) -> i64 {
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// The error if the table is missing, has other columns or cannot be created.
pub(super) fn failed(error: StoreError) -> StoreError {
    match error.kind() {
        StoreErrorKind::Schema => error.message(
            "the table `session_revocations` is missing or has other columns: restart the app, \
             which creates it; if another app uses this table, give sessions their own database",
        ),
        StoreErrorKind::Denied => error.message(
            "the user may not create the table `session_revocations`, or not use it: grant \
             `select`, `insert` and `delete`, and run the store's `REVOCATIONS_SCHEMA` as another \
             user if this one may create no tables",
        ),
        _ => error,
    }
}
