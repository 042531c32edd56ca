//! Tests of concurrent calls and of dropped calls.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use super::{create, key, later, load, row};
use crate::store::contract::{OwnerTag, Row, Saving, Store};

/// Many writers change one session. After a conflict, a writer repeats its change on the stored
/// bytes.
pub(super) async fn loses_nothing<S: Store>(store: &Arc<S>, other: &Arc<S>) {
    const TASKS: u64 = 32;
    const CHANGES: u64 = 20;
    let key = key();
    create(&**store, key, &row(&0_u64.to_be_bytes())).await;
    let tasks = (0..TASKS).map(|n| {
        let store = if n % 2 == 0 {
            store.clone()
        } else {
            other.clone()
        };
        tokio::spawn(async move {
            for _ in 0..CHANGES {
                let mut there = load(&*store, key).await.expect("it is there");
                loop {
                    let count =
                        u64::from_be_bytes(*there.bytes.first_chunk().expect("a number")) + 1;
                    let count = count.to_be_bytes();
                    let row = Row {
                        version: there.version.next(),
                        ..row(&count)
                    };
                    let saving = store.save(key, there.version, &row, None);
                    match saving.await.expect("save") {
                        Saving::Saved => break,
                        Saving::Conflict(now) => there = now,
                        Saving::Gone => panic!("no call deleted it"),
                    }
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("no panic");
    }
    let there = load(&**store, key).await.expect("it is there");
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
    let mut version = {
        let first = row(&before);
        create(&**store, key, &first).await;
        first.version
    };
    let mut used = vec![key];
    for round in 0..24 {
        let point = DropPoint {
            polls: round / 2,
            answered: round % 2 == 1,
        };
        let (made, gone) = (self::key(), self::key());
        used.extend([made, gone]);
        create(&**store, gone, &row(b"gone")).await;
        point.run(store.load(key)).await;
        point.run(store.create(made, &row(b"made"))).await;
        let bytes = [round];
        point
            .run(store.save(key, version, &row(&bytes), None))
            .await;
        point.run(store.touch(key, version, later())).await;
        point.run(store.delete(gone)).await;
        point.run(store.delete_owner(&[STRANGER], &[])).await;
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
                false => &bytes,
            };
            assert_eq!(
                there.bytes, expected,
                "a dropped `save` takes effect once or not at all"
            );
            let row = row(&after);
            let saving = store.save(key, there.version, &row, None);
            match saving.await.expect("a call after a dropped call works") {
                Saving::Saved => break row.version,
                Saving::Conflict(_) => {}
                Saving::Gone => panic!("no call deleted it"),
            }
        };
        before = after.to_vec();
        for (key, bytes) in [(made, b"made"), (gone, b"gone")] {
            if let Some(there) = load(&**store, key).await {
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
