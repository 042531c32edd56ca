//! Tests of calls that delete a session or change when it expires.

use std::time::Duration;

use super::{assert_created, assert_saved, key, later};
use crate::store::contract::{OwnerTag, Saving, Store, Version};

pub(super) async fn brings_nothing_back<S: Store>(store: &S, other: &S) {
    let key = key();
    let version = assert_created(
        store
            .create(key, b"1", later(), None)
            .await
            .expect("create"),
    );
    assert!(
        other.delete(key).await.expect("delete"),
        "`delete` returns `true` if there was a session"
    );
    assert_eq!(
        store.load(key).await.expect("load"),
        None,
        "a deleted session is gone on every instance"
    );
    let saved = store
        .save(key, version, b"2", later(), None)
        .await
        .expect("save");
    assert_eq!(
        saved,
        Saving::Gone,
        "`save` never inserts: a deleted session stays deleted"
    );
    assert!(
        !store.touch(key, version, later()).await.expect("touch"),
        "`touch` never inserts"
    );
    assert_eq!(
        store.load(key).await.expect("load"),
        None,
        "a deleted session never comes back"
    );
    assert!(
        !store.delete(key).await.expect("delete"),
        "`delete` returns `false` if there was no session"
    );
}

pub(super) async fn moves_only_the_end<S: Store>(store: &S, other: &S) {
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
            other.touch(key, version, expires).await.expect("touch"),
            "`touch` returns `true` if the version is current"
        );
        let there = store.load(key).await.expect("load").expect("it is there");
        assert_eq!(
            there.expires, expires,
            "`touch` moves the end forward and back"
        );
        assert_eq!(
            (there.version, &*there.bytes),
            (version, &b"1"[..]),
            "`touch` changes neither version nor bytes"
        );
    }
    let saved = store
        .save(key, version, b"2", later(), None)
        .await
        .expect("save");
    let next = assert_saved(saved);
    let there = store.load(key).await.expect("load");
    let stale = other
        .touch(key, version, later() + Duration::from_secs(99))
        .await
        .expect("touch");
    assert!(!stale, "`touch` with a replaced version returns `false`");
    assert_eq!(
        store.load(key).await.expect("load"),
        there,
        "a `touch` that returns `false` changes nothing"
    );
    assert!(
        store.touch(key, next, later()).await.expect("touch"),
        "`touch` with the current version returns `true`"
    );
    store.delete(key).await.expect("delete");
}

pub(super) async fn deletes_an_owner<S: Store>(store: &S, other: &S) {
    // these owners differ in one bit
    let [ada, bob] = [*b"owners of a name", *b"owners of a namE"].map(OwnerTag::new);
    let keys: Vec<_> = (0..6).map(|_| key()).collect();
    let owners = [Some(ada), Some(ada), Some(bob), None, Some(ada), None];
    for (key, owner) in keys.iter().zip(owners) {
        store
            .create(*key, b"1", later(), owner)
            .await
            .expect("create");
    }
    // one session loses its owner ada, and one gets her as its owner
    for (key, owner) in [(keys[4], None), (keys[5], Some(ada))] {
        let Saving::Saved(_) = store
            .save(key, Version::new(1), b"2", later(), owner)
            .await
            .expect("save")
        else {
            // this store does not number versions from 1
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
    let there = store
        .load(keys[1])
        .await
        .expect("load")
        .expect("it is there");
    let expires = later() + Duration::from_secs(9);
    assert!(
        store
            .touch(keys[1], there.version, expires)
            .await
            .expect("touch")
    );
    let count = other.delete_owner(ada).await.expect("delete_owner");
    assert_eq!(
        count, 3,
        "`delete_owner` counts the sessions of that owner, as last set by `create` or `save`"
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
        "`delete_owner` deletes the sessions of that owner and no other"
    );
    assert_eq!(
        store.delete_owner(ada).await.expect("delete_owner"),
        0,
        "no session of this owner is left"
    );
    for key in keys {
        store.delete(key).await.expect("delete");
    }
    assert_eq!(
        store.delete_owner(bob).await.expect("delete_owner"),
        0,
        "a deleted session has no owner"
    );
}
