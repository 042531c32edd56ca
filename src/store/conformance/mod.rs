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
mod races;

use std::{sync::Arc, time::Duration};

use time::OffsetDateTime;

use self::{
    calls::{inserts_only, keeps_keys_apart, repeated_calls, replaces_one_version, round_trips},
    ends::{brings_nothing_back, deletes_an_owner, moves_only_the_end},
    races::{deletes_moving_sessions_of_an_owner, loses_nothing, survives_dropped_calls},
};
use super::{
    contract::{Creation, Saving, Store, StoreKey, Version},
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
    moves_only_the_end(&*store, &*other).await;
    deletes_an_owner(&*store, &*other).await;
    repeated_calls(&*store).await;
    loses_nothing(&store, &other).await;
    survives_dropped_calls(&store).await;
    deletes_moving_sessions_of_an_owner(&store, &other).await;
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
        assert_created(
            store
                .create(key, b"live", later(), None)
                .await
                .expect("create"),
        );
    }
    let before = store
        .statistics(OffsetDateTime::now_utc())
        .await
        .expect("statistics");
    assert_eq!(
        before.live, 3,
        "`statistics` counts the sessions that have not ended"
    );
    for _ in 0..100 {
        if store.prune(OffsetDateTime::now_utc()).await.expect("prune") == 0 {
            break;
        }
    }
    for &key in &keys {
        let there = store.load(key).await.expect("load");
        assert!(
            there.is_some(),
            "`prune` deletes only sessions that have ended"
        );
        store.delete(key).await.expect("delete");
    }
    let past = OffsetDateTime::now_utc() - Duration::from_secs(60);
    for _ in 0..3 {
        store
            .create(key(), b"over", past, None)
            .await
            .expect("create");
    }
    let mut left = Statistics::default();
    for _ in 0..100 {
        store.prune(OffsetDateTime::now_utc()).await.expect("prune");
        left = store
            .statistics(OffsetDateTime::now_utc())
            .await
            .expect("statistics");
        if left == Statistics::default() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!(
        "ended sessions are deleted, by `prune` or without it, but the store still has {left:?}"
    );
}

#[track_caller]
fn assert_created(creation: Creation) -> Version {
    match creation {
        Creation::Created(version) => version,
        Creation::Exists => {
            panic!("`create` with an unused key returns `Created`, not `Exists`")
        }
    }
}

#[track_caller]
fn assert_saved(saving: Saving) -> Version {
    match saving {
        Saving::Saved(version) => version,
        other => panic!("`save` with the current version returns `Saved`, not {other:?}"),
    }
}

/// A key that was never used.
fn key() -> StoreKey {
    let mut bytes = [0; 16];
    crate::random::from_system(&mut bytes).expect("entropy");

    StoreKey::new(bytes)
}

/// An hour from now, in whole milliseconds.
fn later() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc() + Duration::from_secs(3600);
    now.replace_millisecond(now.millisecond())
        .expect("milliseconds are in range")
}
