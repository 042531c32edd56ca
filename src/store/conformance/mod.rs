//! Tests that every store must pass. Run them against your own store.
//!
//! The layer relies on these promises to lose no write, and to keep ended sessions ended. A failed
//! test panics with the broken promise. The tests need a Tokio runtime, take a few seconds, and
//! leave the store empty.
//!
//! ```
//! # #[cfg(feature = "memory")] {
//! use tower_sealed_session::store::{MemoryStore, conformance};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let store = MemoryStore::new(); // in a real test, an empty database
//! conformance::check(async || store.clone()).await;
//! conformance::check_operate(async || store.clone()).await;
//! # }
//! # }
//! ```

mod calls;
mod ends;
mod owners;
mod races;

use std::{collections::HashMap, sync::Arc, time::Duration};

use time::OffsetDateTime;

use self::{
    calls::{
        inserts_only, keeps_keys_apart, keeps_versions, repeated_calls, replaces_one_version,
        round_trips,
    },
    ends::{brings_nothing_back, moves_only_the_end},
    owners::{
        deletes_all_of_an_owner, deletes_an_owner, deletes_what_changes_its_tag, tells_the_owner,
    },
    races::{loses_nothing, survives_dropped_calls},
};
use super::{
    contract::{Creation, OwnerTag, Row, Saving, Store, StoreKey, Stored, Version},
    operate::{Operate, Statistics},
};

/// Checks that a store keeps all promises of [`Store`].
///
/// `open` opens the store as another instance of the app would: a new handle with its own
/// connections to the same sessions.
///
/// # Panics
///
/// Panics if the store breaks a promise, or if a call fails.
pub async fn check<S: Store>(open: impl AsyncFn() -> S) {
    let store = Arc::new(open().await);
    let other = Arc::new(open().await);
    round_trips(&*store, &*other).await;
    keeps_keys_apart(&*store).await;
    inserts_only(&store, &other).await;
    replaces_one_version(&*store, &*other).await;
    brings_nothing_back(&*store, &*other).await;
    tells_the_owner(&*store, &*other).await;
    moves_only_the_end(&*store, &*other).await;
    keeps_versions(&*store, &*other).await;
    deletes_an_owner(&*store, &*other).await;
    deletes_all_of_an_owner(&*store, &*other).await;
    repeated_calls(&*store).await;
    loses_nothing(&store, &other).await;
    survives_dropped_calls(&store).await;
    deletes_what_changes_its_tag(&store, &other).await;
}

/// Checks that a store keeps all promises of [`Operate`].
///
/// # Panics
///
/// Panics as [`check`] does.
pub async fn check_operate<S: Operate>(open: impl AsyncFn() -> S) {
    let store = open().await;
    let keys: Vec<_> = (0..3).map(|_| key()).collect();
    for &key in &keys {
        create(&store, key, &row(b"live")).await;
    }
    let now = OffsetDateTime::now_utc();
    let before = store.count(now).await.expect("count");
    assert_eq!(
        before,
        Statistics::exact(3, 0),
        "`count` counts the sessions that have not ended"
    );
    store.statistics(now).await.expect("statistics");
    store.health(None).await.expect("health");
    prune(&store).await;
    for &key in &keys {
        let there = store.load(key).await.expect("load");
        assert!(
            there.is_some(),
            "`prune` deletes only sessions that have ended"
        );
        store.delete(key).await.expect("delete");
    }
    scans_all(&store).await;
    deletes_what_ended(&store).await;
    let interval = Duration::from_secs(600);
    let mut begun = 0;
    for minutes in 0..3 {
        let now = now + Duration::from_secs(60 * minutes);
        begun += u32::from(store.begin_sweep(now, interval).await.expect("begin_sweep"));
    }
    assert!(begun >= 1, "one instance prunes in each interval");
    let next = store.begin_sweep(now + 2 * interval, interval).await;
    assert!(
        next.expect("begin_sweep"),
        "one instance prunes in the next interval"
    );
}

/// Many more sessions than one step returns.
async fn scans_all<S: Operate>(store: &S) {
    let mut stored = HashMap::new();
    for n in 0..1111_u32 {
        let key = key();
        let bytes = n.to_be_bytes();
        let row = row(&bytes);
        create(store, key, &row).await;
        stored.insert(key, Stored::from(&row));
    }
    let (mut found, mut from) = (HashMap::new(), None);
    loop {
        let scanned = store.scan(from).await.expect("scan");
        found.extend(scanned.sessions);
        from = scanned.next;
        if from.is_none() {
            break;
        }
    }
    assert!(
        found == stored,
        "`scan` returns all sessions with their keys, and nothing else"
    );
    for key in stored.into_keys() {
        store.delete(key).await.expect("delete");
    }
}

async fn deletes_what_ended<S: Operate>(store: &S) {
    let past = OffsetDateTime::now_utc() - Duration::from_secs(60);
    for _ in 0..3 {
        let over = Row {
            expires: past,
            ..row(b"over")
        };
        create(store, key(), &over).await;
    }
    let mut left = Statistics::default();
    for _ in 0..100 {
        prune(store).await;
        left = store.count(OffsetDateTime::now_utc()).await.expect("count");
        if left == Statistics::exact(0, 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!(
        "ended sessions are deleted, by `prune` or without it, but the store still has {left:?}"
    );
}

async fn prune<S: Operate>(store: &S) {
    let mut from = None;
    // a store whose cursor never ends must not hang the test
    for _ in 0..10_000 {
        let now = OffsetDateTime::now_utc();
        from = store.prune(now, from).await.expect("prune").next;
        if from.is_none() {
            return;
        }
    }
    panic!("`prune` comes to an end");
}

/// Creates a session under a key that has none.
async fn create<S: Store>(store: &S, key: StoreKey, row: &Row<'_>) {
    let created = store.create(key, row).await.expect("create");
    assert_eq!(
        created,
        Creation::Created,
        "`create` with a key without a session returns `Created`"
    );
}

/// Replaces a session that has the version and the owner of `before`.
async fn save<S: Store>(store: &S, key: StoreKey, before: &Row<'_>, row: &Row<'_>) {
    let saved = store.save(key, before.version, row, before.owner).await;
    assert_eq!(
        saved.expect("save"),
        Saving::Saved,
        "`save` with the current version returns `Saved`"
    );
}

async fn load<S: Store>(store: &S, key: StoreKey) -> Option<Stored> {
    store.load(key).await.expect("load")
}

/// Deletes all sessions of an owner as the layer does, and returns how many there were.
async fn delete_owner<S: Store>(store: &S, owner: &[OwnerTag]) -> u64 {
    delete_owner_except(store, owner, &[]).await
}

async fn delete_owner_except<S: Store>(store: &S, owner: &[OwnerTag], except: &[StoreKey]) -> u64 {
    let mut count = 0;
    loop {
        match store
            .delete_owner(owner, except)
            .await
            .expect("delete_owner")
        {
            0 => return count,
            deleted => count += deleted,
        }
    }
}

/// A row with a new version and without an owner.
fn row(bytes: &[u8]) -> Row<'_> {
    Row::new(version(), bytes, later(), None)
}

/// A key that was never used.
fn key() -> StoreKey {
    StoreKey::new(random())
}

/// A version that was never used, as the layer begins a session.
fn version() -> Version {
    Version::new(u64::from_be_bytes(random()) >> 12)
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    crate::random::from_system(&mut bytes).expect("entropy");
    bytes
}

/// An hour from now, in whole milliseconds.
fn later() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc() + Duration::from_secs(3600);
    now.replace_millisecond(now.millisecond())
        .expect("milliseconds are in range")
}
