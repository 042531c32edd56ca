//! Tests of the owners of sessions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use time::OffsetDateTime;

use super::{create, delete_owner, delete_owner_except, key, later, load, row, save};
use crate::store::contract::{OwnerTag, Row, Saving, Store, StoreKey, Stored};

const NONE_LEFT: &str = "`delete_owner` returns 0 only if no session of this owner is left";

pub(super) async fn tells_the_owner<S: Store>(store: &S, other: &S) {
    let [ada, bob] = [1, 2].map(|n| Some(OwnerTag::new([n; 16])));
    let key = key();
    let mut before = Row {
        owner: ada,
        ..row(b"1")
    };
    create(store, key, &before).await;
    for owner in [bob, None, ada, ada] {
        let there = load(other, key).await.expect("it is there");
        assert_eq!(there.owner, before.owner, "`load` returns the owner");
        let stale = before.version.next();
        let stale = other.save(key, stale, &row(b"stale"), before.owner).await;
        assert_eq!(
            stale.expect("save"),
            Saving::Conflict(Stored::from(&before)),
            "`Conflict` returns the owner"
        );
        let after = Row { owner, ..row(b"2") };
        save(store, key, &before, &after).await;
        before = after;
    }
    store.delete(key).await.expect("delete");
}

pub(super) async fn deletes_an_owner<S: Store>(store: &S, other: &S) {
    // these owners differ in one bit; ada has a second tag, of another secret
    let [ada, old, bob] = [
        *b"owners of a name",
        *b"an older tag of.",
        *b"owners of a namE",
    ]
    .map(OwnerTag::new);
    let owners = [
        Some(ada),
        Some(ada),
        Some(bob),
        None,
        Some(ada),
        None,
        Some(old),
        Some(old),
    ];
    let rows = owners.map(|owner| (key(), Row { owner, ..row(b"1") }));
    for (key, row) in &rows {
        create(store, *key, row).await;
    }
    // one session loses its owner ada, one gets her as its owner, and one gets her current tag
    for (n, owner) in [(4, None), (5, Some(ada)), (7, Some(ada))] {
        let (key, before) = &rows[n];
        let after = Row { owner, ..row(b"2") };
        save(store, *key, before, &after).await;
    }
    let (touched, Row { version, .. }) = rows[1];
    let expires = later() + Duration::from_secs(9);
    let touched = store.touch(touched, version, expires).await;
    assert!(touched.expect("touch"));
    assert_eq!(
        delete_owner(other, &[]).await,
        0,
        "`delete_owner` without a tag deletes nothing"
    );
    lists_an_owner(other, &rows.each_ref().map(|(key, _)| *key), [ada, old]).await;
    // two sessions stay, one of them of another owner
    let except = [rows[1].0, rows[2].0];
    let spared = delete_owner_except(other, &[ada, old], &except).await;
    assert!(
        load(store, rows[1].0).await.is_some(),
        "`delete_owner` does not delete the sessions under the keys `except`"
    );
    let count = spared + delete_owner(other, &[ada, old]).await;
    assert_eq!(
        count, 5,
        "`delete_owner` counts the sessions with any of the tags, as last set by `create` or `save`"
    );
    let mut left = Vec::new();
    for (n, (key, _)) in rows.iter().enumerate() {
        if load(store, *key).await.is_some() {
            left.push(n);
        }
    }
    assert_eq!(
        left,
        [2, 3, 4],
        "`delete_owner` deletes the sessions of that owner and no other"
    );
    assert_eq!(delete_owner(store, &[ada, old]).await, 0, "{NONE_LEFT}");
    for (key, _) in rows {
        store.delete(key).await.expect("delete");
    }
    assert_eq!(
        delete_owner(store, &[bob]).await,
        0,
        "a deleted session has no owner"
    );
}

/// The sessions 0, 1, 5, 6 and 7 are theirs.
async fn lists_an_owner<S: Store>(store: &S, keys: &[StoreKey], tags: [OwnerTag; 2]) {
    let listed = store.list_owner(&tags).await.expect("list_owner");
    let mut numbers = Vec::new();
    for (key, stored) in listed {
        let there = load(store, key).await;
        assert_eq!(
            there.as_ref(),
            Some(&stored),
            "`list_owner` returns the same as `load`"
        );
        numbers.extend(keys.iter().position(|known| *known == key));
    }
    numbers.sort_unstable();
    assert_eq!(
        numbers,
        [0, 1, 5, 6, 7],
        "`list_owner` returns the sessions with any of the tags, each once"
    );
    let none = store.list_owner(&[]).await.expect("list_owner");
    assert!(
        none.is_empty(),
        "`list_owner` without a tag returns nothing"
    );
}

/// An owner has more sessions than a store deletes in one call, and most of them ended just before.
pub(super) async fn deletes_all_of_an_owner<S: Store>(store: &S, other: &S) {
    const ENDED: usize = 1200;
    let tags = [5, 6].map(|n| OwnerTag::new([n; 16]));
    let soon = OffsetDateTime::now_utc() + Duration::from_millis(1);
    let mut keys = Vec::new();
    for n in 0..ENDED + 20 {
        let expires = if n < ENDED { soon } else { later() };
        let row = Row {
            owner: Some(tags[n % 2]),
            expires,
            ..row(b"1")
        };
        keys.push(key());
        create(store, keys[n], &row).await;
    }
    let count = delete_owner(other, &tags).await;
    for &key in &keys {
        assert_eq!(load(store, key).await, None, "{NONE_LEFT}");
    }
    assert!(
        (20..=keys.len() as u64).contains(&count),
        "`delete_owner` counts the sessions that it deletes"
    );
}

/// Deletes the sessions of an owner while one of them is saved and touched again and again, each
/// time with the other one of two tags.
pub(super) async fn deletes_what_changes_its_tag<S: Store>(store: &Arc<S>, other: &Arc<S>) {
    let mut tags = [7, 8].map(|n| OwnerTag::new([n; 16]));
    for round in 0..12 {
        let key = key();
        let over = Arc::new(AtomicBool::new(false));
        let first = Row {
            owner: Some(tags[0]),
            ..row(b"1")
        };
        create(&**store, key, &first).await;
        let changes = tokio::spawn(change_the_tag(
            store.clone(),
            key,
            Stored::from(&first),
            tags,
            over.clone(),
        ));
        // the call begins at different times, and with different tags
        for _ in 0..1 + round / 2 {
            tokio::task::yield_now().await;
        }
        tags.reverse();
        let ended = delete_owner(&**other, &tags).await;
        over.store(true, Ordering::SeqCst);
        changes.await.expect("no panic");
        assert_eq!(
            (ended, load(&**store, key).await),
            (1, None),
            "`delete_owner` also deletes and counts a session that changes during the call, \
             from one of the tags to another"
        );
        assert_eq!(delete_owner(&**store, &tags).await, 0, "{NONE_LEFT}");
    }
}

/// Until the session is gone, or until `over`.
async fn change_the_tag<S: Store>(
    store: Arc<S>,
    key: StoreKey,
    mut before: Stored,
    mut tags: [OwnerTag; 2],
    over: Arc<AtomicBool>,
) {
    while !over.load(Ordering::SeqCst) {
        // without it, a store that never yields would block the thread
        tokio::task::yield_now().await;
        tags.reverse();
        let after = Row {
            version: before.version.next(),
            owner: Some(tags[0]),
            ..row(b"2")
        };
        let saving = store.save(key, before.version, &after, before.owner).await;
        match saving.expect("save") {
            Saving::Saved => {}
            Saving::Gone => return,
            Saving::Conflict(there) => panic!("no other call saved it: {there:?}"),
        }
        let touched = store.touch(key, after.version, later()).await;
        touched.expect("touch");
        before = Stored::from(&after);
    }
}
