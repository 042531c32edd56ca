//! Rows of the table, and the values of statements.

use time::OffsetDateTime;

use crate::{
    clock,
    store::{
        contract::{OwnerTag, StoreKey, Stored, Version},
        operate::Cursor,
    },
};

/// The maximum number of rows that one statement deletes.
pub(super) const BATCH: i64 = 500;
/// The maximum number of rows of one owner that are listed.
pub(super) const LISTED: i64 = 1000;
/// The maximum number of rows that one step of a scan returns.
pub(super) const SCANNED: i64 = 200;

/// The columns of a row: version, bytes, end and owner.
pub(super) type Columns = (i64, Vec<u8>, i64, Option<Vec<u8>>);

pub(super) fn stored((version, bytes, expires, owner): Columns) -> Stored {
    Stored {
        version: Version::new(version.cast_unsigned()),
        bytes,
        expires: moment(expires),
        // a tag of another length is none of ours
        owner: owner.and_then(|tag| Some(OwnerTag::new(tag.try_into().ok()?))),
    }
}

/// A key, followed by the columns of its row.
pub(super) type KeyedColumns = (Vec<u8>, i64, Vec<u8>, i64, Option<Vec<u8>>);

/// A key of another length is none of ours.
pub(super) fn keyed(
    (id, version, bytes, expires, owner): KeyedColumns,
) -> Option<(StoreKey, Stored)> {
    let key = StoreKey::new(id.try_into().ok()?);
    Some((key, stored((version, bytes, expires, owner))))
}

/// The key after which a scan goes on.
pub(super) fn key_of(cursor: Option<Cursor>) -> Vec<u8> {
    cursor.map_or_else(Vec::new, |cursor| cursor.as_bytes().to_vec())
}

/// Where a scan goes on after these rows.
pub(super) fn cursor_of(rows: &[KeyedColumns]) -> Option<Cursor> {
    let is_full = i64::try_from(rows.len()) == Ok(SCANNED);
    let last = rows.last().filter(|_| is_full);
    last.map(|(id, ..)| Cursor::new(id.as_slice()))
}

pub(super) fn millis(moment: OffsetDateTime) -> i64 {
    i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX)
}

/// The time of milliseconds since 1970.
pub(super) fn moment(millis: i64) -> OffsetDateTime {
    clock::moment(millis.try_into().unwrap_or(0))
}

pub(super) fn number(version: Version) -> i64 {
    version.get().cast_signed()
}

pub(super) fn id(key: &StoreKey) -> &[u8] {
    key.as_bytes()
}

pub(super) fn tag(owner: &Option<OwnerTag>) -> Option<&[u8]> {
    owner.as_ref().map(|owner| &owner.as_bytes()[..])
}

pub(super) fn tags(owner: &[OwnerTag]) -> Vec<&[u8]> {
    owner.iter().map(|tag| &tag.as_bytes()[..]).collect()
}

/// So many places of a statement: `?, ?, ?`.
pub(super) fn places(count: usize) -> String {
    vec!["?"; count].join(", ")
}
