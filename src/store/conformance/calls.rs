//! Calls one after another.

use std::{sync::Arc, time::Duration};

use super::{assert_created, assert_saved, key, later};
use crate::store::{Creation, MAX_BYTES, OwnerTag, Saving, Store, StoreKey, Stored, Version};

pub(super) async fn round_trips<S: Store>(store: &S, other: &S) {
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
            "`load` returns the exact bytes and end of `create`, on every instance"
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
            "`load` returns the exact bytes and end of `save`"
        );
        store.delete(key).await.expect("delete");
    }
    assert_eq!(
        store.load(key()).await.expect("load"),
        None,
        "`load` with an unused key returns `None`"
    );
}

/// The keys contain letters, because some databases ignore case.
pub(super) async fn tells_keys_apart<S: Store>(store: &S) {
    let one = *b"ABCDEFGHIJKLMNOP";
    let near = (0..128).map(|bit| {
        let mut bytes = one;
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    });
    let keys: Vec<_> = near.chain([one]).map(StoreKey::new).collect();
    for key in &keys {
        let created = store.create(*key, key.as_bytes(), later(), None).await;
        assert!(
            created.expect("create") != Creation::Exists,
            "keys that differ in one bit are distinct"
        );
    }
    for key in &keys {
        let there = store.load(*key).await.expect("load");
        assert_eq!(
            there.expect("it is there").bytes,
            key.as_bytes(),
            "keys that differ in one bit are distinct"
        );
        assert!(
            store.delete(*key).await.expect("delete"),
            "`delete` does not delete a key that differs in one bit"
        );
    }
}

pub(super) async fn inserts_alone<S: Store>(store: &Arc<S>, other: &Arc<S>) {
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
        "a `create` that returns `Exists` changes nothing"
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
            "exactly one of several concurrent `create`s succeeds, and its bytes are stored"
        );
        store.delete(key).await.expect("delete");
    }
}

pub(super) async fn replaces_one_version<S: Store>(store: &S, other: &S) {
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
    assert!(second > first, "each `save` returns a greater version");
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
        "`save` replaces only the expected version, and otherwise returns the stored session"
    );
    let ahead = other
        .save(key, second.next(), b"ahead", later(), None)
        .await
        .expect("save");
    assert_eq!(
        ahead,
        Saving::Conflict(there.clone()),
        "`save` with a future version returns `Conflict`"
    );
    assert_eq!(
        store.load(key).await.expect("load"),
        Some(there),
        "a `save` that returns `Conflict` changes nothing"
    );
    store.delete(key).await.expect("delete");
}

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

pub(super) async fn touches_the_end_alone<S: Store>(store: &S, other: &S) {
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

pub(super) async fn forgets_an_owner<S: Store>(store: &S, other: &S) {
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

/// Repeats calls, as after a lost answer.
pub(super) async fn repeated_calls<S: Store>(store: &S) {
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
        "a repeated `create` returns `Exists`"
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
            "a repeated `save` returns its own bytes, so the caller sees that it took effect"
        ),
        other => panic!("a repeated `save` returns `Conflict`, not {other:?}"),
    }
    store.delete(key).await.expect("delete");
}
