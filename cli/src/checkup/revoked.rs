//! Rows of sessions that were revoked, and that are still in the store.

use std::{collections::HashSet, time::Duration};

use time::OffsetDateTime;
use tokio::time::Instant;
use tower_sealed_session::{
    Revocations, SessionLayer,
    store::{AnyStore, Operate as _, StoreError},
    tools::is_revoked,
};

use super::checks::Checks;
use crate::{exit::chain, output::count};

/// How long rows are read. A store may have millions.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Found {
    revoked: u64,
    /// Of them, those that have expired.
    expired: u64,
    read: u64,
    is_whole: bool,
}

/// Counts the rows whose session the log refuses. `layer` has the app's settings and no log.
pub(crate) async fn revoked_rows(
    checks: &mut Checks,
    layer: SessionLayer,
    log: Revocations,
    store: &AnyStore,
) {
    if log.is_empty() {
        return checks.ok("revoked", "the log has no entries, so no row is revoked");
    }
    let found = match Found::in_store(&layer.revocations(log), store).await {
        Ok(found) => found,
        Err(error) => return checks.fail("revoked", chain(&error)),
    };
    let read = match found.is_whole {
        true => String::new(),
        false => format!(
            " of the {} that could be read in a minute",
            count(found.read, "row")
        ),
    };
    if found.revoked > 0 {
        let (revoked, expired) = (count(found.revoked, "row"), found.expired);
        return checks.warn(
            "revoked",
            format!(
                "{revoked}{read} hold sessions that were revoked. The app refuses them if it follows \
                 this log, but their content stays until they expire. \"sealed-session revoke \
                 --owner\" with --store and --log deletes those of an owner at once, \
                 \"sealed-session prune\" those that have expired: {expired}"
            ),
        );
    }
    match found.is_whole {
        true => checks.ok("revoked", "no row holds a session that was revoked"),
        false => checks.warn(
            "revoked",
            format!("none{read} holds a session that was revoked, but there are more rows"),
        ),
    }
}

impl Found {
    async fn in_store(layer: &SessionLayer, store: &AnyStore) -> Result<Self, StoreError> {
        let (end, now) = (Instant::now() + LIMIT, OffsetDateTime::now_utc());
        let mut found = Self::default();
        // a scan of Redis can return a row twice
        let mut revoked = HashSet::new();
        let mut from = None;
        while Instant::now() < end {
            let part = store.scan(from).await?;
            for (key, row) in &part.sessions {
                found.read += 1;
                if is_revoked(layer, *key, row) && revoked.insert(*key) {
                    found.revoked += 1;
                    found.expired += u64::from(row.expires <= now);
                }
            }
            from = part.next;
            if from.is_none() {
                found.is_whole = true;
                break;
            }
        }
        Ok(found)
    }
}
