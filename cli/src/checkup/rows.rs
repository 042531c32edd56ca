//! What the store does with rows, and what its user may do.

use std::time::Duration;

use time::OffsetDateTime;
use tower_sealed_session::store::{
    AnyStore, Creation, Row, Saving, Store as _, StoreError, StoreErrorKind, StoreKey, Stored,
    Version,
};

use super::checks::Checks;
use crate::exit::chain;

/// How long the probe that has to expire lives. A clock that is ahead by more shows.
const LIFE: Duration = Duration::from_secs(3);

const FIRST: Version = Version::new(1);
const SECOND: Version = Version::new(2);

/// The answers to the calls for one row. Each call was made, also if another one failed.
struct Answers {
    created: Result<Creation, StoreError>,
    saved: Result<Saving, StoreError>,
    loaded: Result<Option<Stored>, StoreError>,
    deleted: Result<bool, StoreError>,
}

/// Writes rows that live for seconds, and reads them back.
pub(crate) async fn probe(checks: &mut Checks, store: &AnyStore) {
    let Ok([lasting, expiring]) = random_keys() else {
        checks.fail("store", "system random source failed");
        return;
    };
    let answers = Answers::of(store, lasting).await;
    answers.role(checks);
    answers.rights(checks);
    if !answers.store(checks) {
        return;
    }
    match expiry(store, expiring).await {
        Ok(None) => checks.ok("store", "rows expire in time"),
        Ok(Some(fault)) => checks.fail("store", fault),
        Err(error) => checks.fail("store", chain(&error)),
    }
    let _ = store.delete(expiring).await;
}

fn random_keys() -> Result<[StoreKey; 2], getrandom::Error> {
    let mut bytes = [[0; 16]; 2];
    for key in &mut bytes {
        getrandom::fill(key)?;
    }
    Ok(bytes.map(StoreKey::new))
}

impl Answers {
    /// Creates a row, changes it, reads it and deletes it.
    async fn of(store: &AnyStore, key: StoreKey) -> Self {
        let expires = OffsetDateTime::now_utc() + Duration::from_secs(60);
        let row = Row::new(FIRST, b"probe", expires, None);
        let created = store.create(key, &row).await;
        let row = Row::new(SECOND, b"changed", expires, None);
        Self {
            created,
            saved: store.save(key, FIRST, &row, None).await,
            loaded: store.load(key).await,
            deleted: store.delete(key).await,
        }
    }

    /// The calls that failed, and why.
    fn failures(&self) -> impl Iterator<Item = (&'static str, &StoreError)> {
        let failures = [
            ("create", self.created.as_ref().err()),
            ("change", self.saved.as_ref().err()),
            ("read", self.loaded.as_ref().err()),
            ("delete", self.deleted.as_ref().err()),
        ];
        let failures = failures.into_iter();
        failures.filter_map(|(what, error)| Some((what, error?)))
    }

    /// Connecting checks that the server is no replica. It may have become one since.
    fn role(&self, checks: &mut Checks) {
        let read_only = self
            .failures()
            .find(|(_, error)| error.kind() == StoreErrorKind::ReadOnly);
        match (read_only, &self.created) {
            (Some((_, error)), _) => checks.fail("role", chain(error)),
            (None, Ok(_)) => checks.ok("role", "the store accepts writes"),
            (None, Err(_)) => {}
        }
    }

    fn rights(&self, checks: &mut Checks) {
        let denied: Vec<_> = self
            .failures()
            .filter(|(_, error)| error.kind() == StoreErrorKind::Denied)
            .map(|(what, _)| what)
            .collect();
        if !denied.is_empty() {
            checks.fail(
                "rights",
                format!(
                    "the user of the store may not {} rows: grant it; in an SQL database, that is \
                     select, insert, update and delete on the table sessions",
                    denied.join(", ")
                ),
            );
        } else if self.failures().next().is_none() {
            checks.ok(
                "rights",
                "the user may create, change, read and delete rows",
            );
        }
    }

    /// Adds what is wrong otherwise. Returns whether the store works.
    fn store(&self, checks: &mut Checks) -> bool {
        let mut failures = self.failures();
        if let Some((_, first)) = failures.next() {
            let told = [StoreErrorKind::ReadOnly, StoreErrorKind::Denied];
            if !told.contains(&first.kind()) {
                checks.fail("store", chain(first));
            }
            return false;
        }
        if let Some(fault) = self.fault() {
            checks.fail("store", fault);
            return true;
        }
        checks.ok("store", "a row can be written, read and deleted");
        true
    }

    fn fault(&self) -> Option<&'static str> {
        if !matches!(self.created, Ok(Creation::Created)) {
            return Some("a new row could not be created");
        }
        if !matches!(self.saved, Ok(Saving::Saved)) {
            return Some("a row that was just created could not be changed");
        }
        match &self.loaded {
            Ok(Some(row)) if row.bytes == b"changed" && row.version == SECOND => {}
            Ok(Some(_)) => return Some("a row has other bytes than those that were written"),
            _ => return Some("a row is gone although it lives: check the clock of the server"),
        }
        (!matches!(self.deleted, Ok(true))).then_some("a row cannot be deleted")
    }
}

/// Creates a row that expires soon, and waits for that. Returns what is wrong.
async fn expiry(store: &AnyStore, key: StoreKey) -> Result<Option<&'static str>, StoreError> {
    let expires = OffsetDateTime::now_utc() + LIFE;
    let row = Row::new(FIRST, b"probe", expires, None);
    store.create(key, &row).await?;
    if store.load(key).await?.is_none() {
        return Ok(Some(
            "a row with 3 seconds to live is gone at once: the clock of the server is ahead",
        ));
    }
    tokio::time::sleep(LIFE + Duration::from_secs(1)).await;
    Ok(match store.load(key).await? {
        None => None,
        Some(row) if row.expires <= OffsetDateTime::now_utc() => None,
        Some(_) => Some("a row is served after it expired: the clock of the server is behind"),
    })
}
