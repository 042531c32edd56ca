//! Tests of calls that follow each other.

use std::{sync::Arc, time::Duration};

use super::{assert_created, assert_saved, key, later};
use crate::store::contract::{Creation, MAX_BYTES, Saving, Store, StoreKey, Stored};

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
pub(super) async fn keeps_keys_apart<S: Store>(store: &S) {
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

pub(super) async fn inserts_only<S: Store>(store: &Arc<S>, other: &Arc<S>) {
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

/// Repeats calls, as the layer does after a lost answer.
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
