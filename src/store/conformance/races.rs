//! Tests of concurrent calls and of dropped calls.

use std::{
    collections::HashSet,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use super::{assert_created, key, later};
use crate::store::contract::{OwnerTag, Saving, Store};

/// Many writers change one session. After a conflict, a writer repeats its change on the stored
/// bytes.
pub(super) async fn loses_nothing<S: Store>(store: &Arc<S>, other: &Arc<S>) {
    const TASKS: u64 = 32;
    const CHANGES: u64 = 20;
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
                        Saving::Gone => panic!("no call deleted it"),
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
                "no two `save`s return the same version"
            );
        }
    }
    let there = store.load(key).await.expect("load").expect("it is there");
    let count = u64::from_be_bytes(*there.bytes.first_chunk().expect("a number"));
    assert_eq!(
        count,
        TASKS * CHANGES,
        "no `save` that returns `Saved` is lost"
    );
    store.delete(key).await.expect("delete");
}

/// Drops calls after different numbers of polls, as when a client disconnects.
///
/// A call is dropped right after its last poll, or once its answer has arrived.
pub(super) async fn survives_dropped_calls<S: Store>(store: &Arc<S>) {
    /// An owner without sessions.
    const STRANGER: OwnerTag = OwnerTag::new([4; 16]);
    let key = key();
    let mut before = b"0".to_vec();
    let mut version = assert_created(
        store
            .create(key, &before, later(), None)
            .await
            .expect("create"),
    );
    let mut used = vec![key];
    for round in 0..24 {
        let point = DropPoint {
            polls: round / 2,
            answered: round % 2 == 1,
        };
        let (made, gone) = (self::key(), self::key());
        used.extend([made, gone]);
        let created = store.create(gone, b"gone", later(), None).await;
        assert_created(created.expect("create"));
        point.run(store.load(key)).await;
        point.run(store.create(made, b"made", later(), None)).await;
        point
            .run(store.save(key, version, &[round], later(), None))
            .await;
        point.run(store.touch(key, version, later())).await;
        point.run(store.delete(gone)).await;
        point.run(store.delete_owner(STRANGER)).await;
        // a dropped call may still be running, and takes effect or not
        let after = [0, round];
        version = loop {
            let there = store
                .load(key)
                .await
                .expect("a call after a dropped call works")
                .expect("it is there");
            let expected: &[u8] = match there.version == version {
                true => &before,
                false => &[round],
            };
            assert_eq!(
                there.bytes, expected,
                "a dropped `save` takes effect once or not at all"
            );
            let saving = store.save(key, there.version, &after, later(), None);
            match saving.await.expect("a call after a dropped call works") {
                Saving::Saved(next) => {
                    assert!(next > there.version, "versions grow");
                    break next;
                }
                Saving::Conflict(_) => {}
                Saving::Gone => panic!("no call deleted it"),
            }
        };
        before = after.to_vec();
        for (key, bytes) in [(made, b"made"), (gone, b"gone")] {
            if let Some(there) = store.load(key).await.expect("load") {
                assert_eq!(
                    there.bytes, bytes,
                    "a dropped call takes effect completely or not at all"
                );
            }
        }
    }
    for key in used {
        store.delete(key).await.expect("delete");
    }
}

/// The point at which a call is dropped.
#[derive(Clone, Copy)]
struct DropPoint {
    polls: u8,
    /// Whether the call is dropped only after another wake-up, when its answer has arrived unread.
    answered: bool,
}

impl DropPoint {
    /// Polls the call up to this point, then drops it.
    async fn run<T>(self, call: impl Future<Output = T>) {
        let mut call = pin!(call);
        let mut left = self.polls;
        poll_fn(|context| {
            if left == 0 || call.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            left -= 1;
            match left == 0 && !self.answered {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

/// Deletes the sessions of an owner while one of them is renewed again and again.
pub(super) async fn deletes_moving_sessions_of_an_owner<S: Store>(store: &Arc<S>, other: &Arc<S>) {
    const PROMISE: &str = "`delete_owner` also deletes and counts a session that moves to another key during the call";
    let owner = OwnerTag::new([3; 16]);
    for _ in 0..10 {
        let mut at = key();
        let mut version = assert_created(
            store
                .create(at, b"1", later(), Some(owner))
                .await
                .expect("create"),
        );
        let over = Arc::new(AtomicBool::new(false));
        let moves = tokio::spawn({
            let (store, over) = (store.clone(), over.clone());
            async move {
                // as the layer does: create the new session, then remove the owner of the old one
                loop {
                    // without it, a store that never yields would block the thread
                    tokio::task::yield_now().await;
                    let is_over = over.load(Ordering::SeqCst);
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
                            assert!(!is_over, "{PROMISE}");
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
        over.store(true, Ordering::SeqCst);
        assert!(ended > 0, "{PROMISE}");
        let at = moves.await.expect(PROMISE);
        let there = store.load(at).await.expect("load");
        assert_eq!(there, None, "{PROMISE}");
        assert_eq!(
            store.delete_owner(owner).await.expect("delete_owner"),
            0,
            "no session of this owner is left"
        );
    }
}
