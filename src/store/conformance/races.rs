//! Many calls at once, and calls that are given up.

use std::{collections::HashSet, future::poll_fn, pin::pin, sync::Arc, task::Poll};

use super::{assert_created, key, later};
use crate::store::{OwnerTag, Saving, Store};

/// Many writers of one session, each of whom makes his change again on what is there.
pub(super) async fn loses_nothing<S: Store>(store: &Arc<S>, other: &Arc<S>) {
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
pub(super) async fn survives_dropped_calls<S: Store>(store: &Arc<S>) {
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
        poll_then_drop(store.touch(key, version, later()), polls).await;
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
pub(super) async fn leaves_no_session_of_an_owner_that_moves<S: Store>(
    store: &Arc<S>,
    other: &Arc<S>,
) {
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
