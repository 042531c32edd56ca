//! Tests that every store has to pass: hold your own to them.
//!
//! They are what the layer builds on, so that no write is lost and nothing brings a session back. Each panics with what the store
//! did and what is promised. They want a tokio runtime, take a few seconds, and leave the store empty.
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

use std::{collections::HashSet, future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use time::OffsetDateTime;

use super::{
    Creation, MAX_BYTES, Operate, OwnerTag, Saving, Statistics, Store, StoreKey, Stored, Version,
};

/// Holds a store to all that [`Store`] promises.
///
/// `open` opens it as another instance of the app would: a new handle, with connections of its own, to the same sessions.
///
/// # Panics
///
/// If it does not keep a promise, or fails.
pub async fn check<S: Store>(open: impl AsyncFn() -> S) {
    let store = Arc::new(open().await);
    let other = Arc::new(open().await);
    round_trips(&*store, &*other).await;
    inserts_alone(&store, &other).await;
    replaces_one_version(&*store, &*other).await;
    brings_nothing_back(&*store, &*other).await;
    touches_the_end_alone(&*store, &*other).await;
    forgets_an_owner(&*store, &*other).await;
    repeated_calls(&*store).await;
    loses_nothing(&store, &other).await;
    survives_dropped_calls(&store).await;
    leaves_no_session_of_an_owner_that_moves(&store, &other).await;
}

/// Holds a store to what [`Operate`] promises.
///
/// # Panics
///
/// As [`check`].
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
            "`prune` forgets sessions that have ended, and no other"
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
    panic!("what has ended is forgotten, by `prune` or without it, but there is still {left:?}");
}

async fn round_trips<S: Store>(store: &S, other: &S) {
    let all: Vec<u8> = (0..=255).cycle().take(MAX_BYTES).collect();
    for bytes in [&b"\0"[..], b"a", &[0; 100], &[255; 33], &all] {
        let (key, expires) = (key(), later() + Duration::from_millis(7));
        let version = assert_created(
            store
                .create(key, bytes, expires, None)
                .await
                .expect("create"),
        );
        let there = other.load(key).await.expect("load");
        assert_eq!(
            there,
            Some(Stored {
                version,
                bytes: bytes.to_vec(),
                expires
            }),
            "`load` returns what `create` was given, to the byte and to the millisecond, on every instance"
        );
        let (bytes, expires) = ([bytes, b"!"].concat(), later());
        let bytes = &bytes[1..];
        let version = assert_saved(
            store
                .save(key, version, bytes, expires, None)
                .await
                .expect("save"),
        );
        let there = other.load(key).await.expect("load").expect("it is there");
        assert_eq!(
            (there.version, &*there.bytes, there.expires),
            (version, bytes, expires),
            "`load` returns what `save` was given"
        );
        store.delete(key).await.expect("delete");
    }
    assert_eq!(
        store.load(key()).await.expect("load"),
        None,
        "a key that was never used has nothing"
    );
    let one = key();
    let mut bits = *one.as_bytes();
    bits[15] ^= 1;
    store
        .create(one, b"one", later(), None)
        .await
        .expect("create");
    let near = store.load(StoreKey::new(bits)).await.expect("load");
    assert_eq!(near, None, "keys that differ in one bit are two");
    store.delete(one).await.expect("delete");
}

async fn inserts_alone<S: Store>(store: &Arc<S>, other: &Arc<S>) {
    let key = key();
    let version = assert_created(
        store
            .create(key, b"first", later(), None)
            .await
            .expect("create"),
    );
    let again = other
        .create(key, b"second", later(), None)
        .await
        .expect("create");
    assert_eq!(again, Creation::Exists, "`create` never replaces a session");
    let there = store.load(key).await.expect("load").expect("it is there");
    assert_eq!(
        (there.version, &*there.bytes),
        (version, &b"first"[..]),
        "a `create` that says `Exists` changes nothing"
    );
    store.delete(key).await.expect("delete");

    for _ in 0..20 {
        let key = self::key();
        let calls = (0..8).map(|n| {
            let store = if n % 2 == 0 {
                store.clone()
            } else {
                other.clone()
            };
            tokio::spawn(async move {
                store
                    .create(key, &[n], later(), None)
                    .await
                    .expect("create")
            })
        });
        let mut winners = Vec::new();
        for (n, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
            if call.await.expect("no panic") != Creation::Exists {
                winners.push(n as u8);
            }
        }
        let there = store.load(key).await.expect("load").expect("it is there");
        assert_eq!(
            there.bytes, winners,
            "of `create`s at the same time one creates, and its bytes are there"
        );
        store.delete(key).await.expect("delete");
    }
}

async fn replaces_one_version<S: Store>(store: &S, other: &S) {
    let key = key();
    let first = assert_created(
        store
            .create(key, b"1", later(), None)
            .await
            .expect("create"),
    );
    let expires = later() + Duration::from_secs(1);
    let second = assert_saved(
        store
            .save(key, first, b"2", expires, None)
            .await
            .expect("save"),
    );
    assert!(second > first, "each `save` gives a greater version");
    let stale = other
        .save(key, first, b"stale", later(), None)
        .await
        .expect("save");
    let there = Stored {
        version: second,
        bytes: b"2".to_vec(),
        expires,
    };
    assert_eq!(
        stale,
        Saving::Conflict(there.clone()),
        "`save` replaces the version that it is given and no other, and tells what is there"
    );
    let ahead = other
        .save(key, second.next(), b"ahead", later(), None)
        .await
        .expect("save");
    assert_eq!(
        ahead,
        Saving::Conflict(there.clone()),
        "a version that is yet to come is not there"
    );
    assert_eq!(
        store.load(key).await.expect("load"),
        Some(there),
        "a `save` that says `Conflict` changes nothing"
    );
    store.delete(key).await.expect("delete");
}

async fn brings_nothing_back<S: Store>(store: &S, other: &S) {
    let key = key();
    let version = assert_created(
        store
            .create(key, b"1", later(), None)
            .await
            .expect("create"),
    );
    assert!(
        other.delete(key).await.expect("delete"),
        "`delete` says that there was a session"
    );
    assert_eq!(
        store.load(key).await.expect("load"),
        None,
        "what was deleted is gone on every instance"
    );
    let saved = store
        .save(key, version, b"2", later(), None)
        .await
        .expect("save");
    assert_eq!(
        saved,
        Saving::Gone,
        "`save` never inserts: what was deleted stays deleted"
    );
    assert!(
        !store.touch(key, later()).await.expect("touch"),
        "`touch` never inserts"
    );
    assert_eq!(
        store.load(key).await.expect("load"),
        None,
        "nothing brings a session back"
    );
    assert!(
        !store.delete(key).await.expect("delete"),
        "`delete` says that there was none"
    );
}

async fn touches_the_end_alone<S: Store>(store: &S, other: &S) {
    let key = key();
    let version = assert_created(
        store
            .create(key, b"1", later(), None)
            .await
            .expect("create"),
    );
    for expires in [
        later() + Duration::from_millis(4321),
        later() - Duration::from_secs(60),
    ] {
        assert!(
            other.touch(key, expires).await.expect("touch"),
            "`touch` says that there is a session"
        );
        let there = store.load(key).await.expect("load").expect("it is there");
        assert_eq!(
            there.expires, expires,
            "`touch` moves the end, forth and back"
        );
        assert_eq!(
            (there.version, &*there.bytes),
            (version, &b"1"[..]),
            "`touch` leaves version and bytes as they are"
        );
    }
    assert_saved(
        store
            .save(key, version, b"2", later(), None)
            .await
            .expect("save"),
    );
    store.delete(key).await.expect("delete");
}

async fn forgets_an_owner<S: Store>(store: &S, other: &S) {
    let [ada, bob] = [1, 2].map(|n| OwnerTag::new([n; 16]));
    let keys: Vec<_> = (0..6).map(|_| key()).collect();
    let owners = [Some(ada), Some(ada), Some(bob), None, Some(ada), None];
    for (key, owner) in keys.iter().zip(owners) {
        store
            .create(*key, b"1", later(), owner)
            .await
            .expect("create");
    }
    // one is no longer ada's, and one is from now on
    for (key, owner) in [(keys[4], None), (keys[5], Some(ada))] {
        let Saving::Saved(_) = store
            .save(key, Version::new(1), b"2", later(), owner)
            .await
            .expect("save")
        else {
            // of a store that counts otherwise
            let there = store.load(key).await.expect("load").expect("it is there");
            assert_saved(
                store
                    .save(key, there.version, b"2", later(), owner)
                    .await
                    .expect("save"),
            );
            continue;
        };
    }
    assert!(
        store
            .touch(keys[1], later() + Duration::from_secs(9))
            .await
            .expect("touch")
    );
    let count = other.delete_owner(ada).await.expect("delete_owner");
    assert_eq!(
        count, 3,
        "`delete_owner` counts the sessions of that owner, as `create` and `save` were told last"
    );
    let mut left = Vec::new();
    for (n, key) in keys.iter().enumerate() {
        if store.load(*key).await.expect("load").is_some() {
            left.push(n);
        }
    }
    assert_eq!(
        left,
        [2, 3, 4],
        "`delete_owner` forgets the sessions of that owner and no other"
    );
    assert_eq!(
        store.delete_owner(ada).await.expect("delete_owner"),
        0,
        "none is left"
    );
    for key in keys {
        store.delete(key).await.expect("delete");
    }
    assert_eq!(
        store.delete_owner(bob).await.expect("delete_owner"),
        0,
        "what was deleted has no owner"
    );
}

/// As after an answer that was lost.
async fn repeated_calls<S: Store>(store: &S) {
    let key = key();
    let version = assert_created(
        store
            .create(key, b"ours", later(), None)
            .await
            .expect("create"),
    );
    let again = store
        .create(key, b"ours", later(), None)
        .await
        .expect("create");
    assert_eq!(
        again,
        Creation::Exists,
        "a `create` that is repeated says `Exists`"
    );
    let saved = assert_saved(
        store
            .save(key, version, b"new", later(), None)
            .await
            .expect("save"),
    );
    match store
        .save(key, version, b"new", later(), None)
        .await
        .expect("save")
    {
        Saving::Conflict(there) => assert_eq!(
            (there.version, &*there.bytes),
            (saved, &b"new"[..]),
            "a `save` that is repeated tells its own bytes, so that whoever made it knows"
        ),
        other => panic!("a `save` that is repeated says `Conflict`, not {other:?}"),
    }
    store.delete(key).await.expect("delete");
}

/// Many writers of one session, each of whom makes his change again on what is there.
async fn loses_nothing<S: Store>(store: &Arc<S>, other: &Arc<S>) {
    const TASKS: u64 = 16;
    const CHANGES: u64 = 25;
    let key = key();
    store
        .create(key, &0_u64.to_be_bytes(), later(), None)
        .await
        .expect("create");
    let tasks = (0..TASKS).map(|n| {
        let store = if n % 2 == 0 {
            store.clone()
        } else {
            other.clone()
        };
        tokio::spawn(async move {
            let mut versions = Vec::new();
            for _ in 0..CHANGES {
                let mut there = store.load(key).await.expect("load").expect("it is there");
                loop {
                    let count =
                        u64::from_be_bytes(*there.bytes.first_chunk().expect("a number")) + 1;
                    let count = count.to_be_bytes();
                    let saving = store.save(key, there.version, &count, later(), None);
                    match saving.await.expect("save") {
                        Saving::Saved(version) => break versions.push(version),
                        Saving::Conflict(now) => there = now,
                        Saving::Gone => panic!("nobody deleted it"),
                    }
                }
            }
            versions
        })
    });
    let mut versions = HashSet::new();
    for task in tasks.collect::<Vec<_>>() {
        for version in task.await.expect("no panic") {
            assert!(
                versions.insert(version),
                "each `save` that says `Saved` has a version of its own"
            );
        }
    }
    let there = store.load(key).await.expect("load").expect("it is there");
    let count = u64::from_be_bytes(*there.bytes.first_chunk().expect("a number"));
    assert_eq!(
        count,
        TASKS * CHANGES,
        "no `save` that says `Saved` is lost"
    );
    store.delete(key).await.expect("delete");
}

/// Calls whose futures are dropped after each number of polls, as when a visitor goes away.
async fn survives_dropped_calls<S: Store>(store: &Arc<S>) {
    let key = key();
    let mut version = assert_created(
        store
            .create(key, b"0", later(), None)
            .await
            .expect("create"),
    );
    for polls in 1..12 {
        let (made, gone) = (self::key(), self::key());
        poll_then_drop(store.load(key), polls).await;
        poll_then_drop(store.create(made, b"made", later(), None), polls).await;
        poll_then_drop(store.save(key, version, &[polls], later(), None), polls).await;
        poll_then_drop(store.touch(key, later()), polls).await;
        poll_then_drop(store.delete(gone), polls).await;
        // a call that was dropped may still be under way, and happens or not
        let there = loop {
            let there = store
                .load(key)
                .await
                .expect("a call after a dropped one works")
                .expect("it is there");
            let bytes = [0, polls];
            let saving = store.save(key, there.version, &bytes, later(), None);
            match saving.await.expect("a call after a dropped one works") {
                Saving::Saved(version) => break version,
                Saving::Conflict(_) => {}
                Saving::Gone => panic!("nobody deleted it"),
            }
        };
        assert!(there > version, "versions grow");
        version = there;
        store.delete(made).await.expect("delete");
    }
    store.delete(key).await.expect("delete");
}

async fn poll_then_drop<T>(call: impl Future<Output = T>, polls: u8) {
    let mut call = pin!(call);
    let mut left = polls;
    poll_fn(|context| {
        if call.as_mut().poll(context).is_ready() || left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        Poll::Pending
    })
    .await;
}

/// A session that is renewed again and again, while all sessions of its owner are to end.
async fn leaves_no_session_of_an_owner_that_moves<S: Store>(store: &Arc<S>, other: &Arc<S>) {
    let owner = OwnerTag::new([3; 16]);
    for _ in 0..10 {
        let mut at = key();
        let mut version = assert_created(
            store
                .create(at, b"1", later(), Some(owner))
                .await
                .expect("create"),
        );
        let moves = tokio::spawn({
            let store = store.clone();
            async move {
                // the new one first, then the old one is no longer the owner's: as the layer does
                loop {
                    // a store that never waits would have the thread to itself
                    tokio::task::yield_now().await;
                    let next = key();
                    let made = store
                        .create(next, b"1", later(), Some(owner))
                        .await
                        .expect("create");
                    match store
                        .save(at, version, b"0", later(), None)
                        .await
                        .expect("save")
                    {
                        Saving::Saved(_) => {
                            store.delete(at).await.expect("delete");
                            (at, version) = (next, assert_created(made));
                        }
                        Saving::Gone | Saving::Conflict(_) => {
                            store.delete(next).await.expect("delete");
                            return at;
                        }
                    }
                }
            }
        });
        tokio::task::yield_now().await;
        let ended = other.delete_owner(owner).await.expect("delete_owner");
        assert!(ended > 0, "there was one");
        let at = moves.await.expect("no panic");
        assert_eq!(
            store.load(at).await.expect("load"),
            None,
            "`delete_owner` also forgets a session that moves to another key meanwhile"
        );
        assert_eq!(
            store.delete_owner(owner).await.expect("delete_owner"),
            0,
            "none is left"
        );
    }
}

#[track_caller]
fn assert_created(creation: Creation) -> Version {
    match creation {
        Creation::Created(version) => version,
        Creation::Exists => {
            panic!("`create` of a key that was never used says `Created`, not `Exists`")
        }
    }
}

#[track_caller]
fn assert_saved(saving: Saving) -> Version {
    match saving {
        Saving::Saved(version) => version,
        other => panic!("`save` of the version that is there says `Saved`, not {other:?}"),
    }
}

/// One that nothing has used.
fn key() -> StoreKey {
    let mut bytes = [0; 16];
    crate::random::from_system(&mut bytes).expect("entropy");

    StoreKey::new(bytes)
}

/// An hour from now, in whole milliseconds.
fn later() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc() + Duration::from_secs(3600);
    now.replace_millisecond(now.millisecond())
        .expect("it has them")
}
