//! Tests of calls that follow each other.

use std::{sync::Arc, time::Duration};

use super::{create, key, later, load, row, save};
use crate::store::contract::{Creation, MAX_BYTES, Row, Saving, Store, StoreKey, Stored, Version};

pub(super) async fn round_trips<S: Store>(store: &S, other: &S) {
    let all: Vec<u8> = (0..=255).cycle().take(MAX_BYTES).collect();
    for bytes in [&b"\0"[..], b"a", &[0; 100], &[255; 33], &all] {
        let key = key();
        let first = Row {
            expires: later() + Duration::from_millis(7),
            ..row(bytes)
        };
        create(store, key, &first).await;
        assert_eq!(
            load(other, key).await,
            Some(Stored::from(&first)),
            "`load` returns the exact version, bytes, end and owner of `create`, on every instance"
        );
        let bytes = [bytes, b"!"].concat();
        let second = row(&bytes[1..]);
        save(store, key, &first, &second).await;
        assert_eq!(
            load(other, key).await,
            Some(Stored::from(&second)),
            "`load` returns the exact version, bytes, end and owner of `save`, on every instance"
        );
        store.delete(key).await.expect("delete");
    }
    assert_eq!(
        load(store, key()).await,
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
        let created = store.create(*key, &row(key.as_bytes())).await;
        assert_eq!(
            created.expect("create"),
            Creation::Created,
            "keys that differ in one bit are distinct"
        );
    }
    for key in &keys {
        let there = load(store, *key).await.expect("it is there");
        assert_eq!(
            there.bytes,
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
    let first = row(b"first");
    create(&**store, key, &first).await;
    let again = other.create(key, &row(b"second")).await.expect("create");
    assert_eq!(again, Creation::Exists, "`create` never replaces a session");
    assert_eq!(
        load(&**store, key).await,
        Some(Stored::from(&first)),
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
            tokio::spawn(async move { store.create(key, &row(&[n])).await.expect("create") })
        });
        let mut winners = Vec::new();
        for (n, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
            if call.await.expect("no panic") == Creation::Created {
                winners.push(n as u8);
            }
        }
        let there = load(&**store, key).await.expect("it is there");
        assert_eq!(
            there.bytes, winners,
            "exactly one of several concurrent `create`s succeeds, and its bytes are stored"
        );
        store.delete(key).await.expect("delete");
    }
}

pub(super) async fn replaces_one_version<S: Store>(store: &S, other: &S) {
    let key = key();
    let first = row(b"1");
    create(store, key, &first).await;
    let second = Row {
        version: first.version.next(),
        expires: later() + Duration::from_secs(1),
        ..row(b"2")
    };
    save(store, key, &first, &second).await;
    let stale = other.save(key, first.version, &row(b"stale"), None).await;
    assert_eq!(
        stale.expect("save"),
        Saving::Conflict(Stored::from(&second)),
        "`save` replaces only the expected version, and otherwise returns the stored session"
    );
    let future = second.version.next();
    let ahead = other.save(key, future, &row(b"ahead"), None).await;
    assert_eq!(
        ahead.expect("save"),
        Saving::Conflict(Stored::from(&second)),
        "`save` with a future version returns `Conflict`"
    );
    assert_eq!(
        load(store, key).await,
        Some(Stored::from(&second)),
        "a `save` that returns `Conflict` changes nothing"
    );
    store.delete(key).await.expect("delete");
}

/// A store that counts by itself, or that keeps a version as a floating-point number or in 32 bits,
/// gives a row another version.
pub(super) async fn keeps_versions<S: Store>(store: &S, other: &S) {
    const EXACTLY: &str = "a row has exactly the version that was given";
    const MAX: u64 = (1 << 53) - 1;
    let key = key();
    // the layer adds one with each save, but a store must not rely on that
    let numbers = [1, MAX, MAX - 1, 0, 1 << 52, 1 << 32, u64::from(u32::MAX)];
    let at = |number| Row {
        version: Version::new(number),
        ..row(b"1")
    };
    create(store, key, &at(numbers[0])).await;
    for pair in numbers.windows(2) {
        let [before, after] = [pair[0], pair[1]].map(at);
        let there = load(other, key).await.expect("it is there");
        assert_eq!(there.version, before.version, "{EXACTLY}");
        for near in [pair[0] ^ 1, pair[0] ^ (1 << 32)] {
            let saving = other.save(key, Version::new(near), &after, None).await;
            assert!(
                matches!(saving.expect("save"), Saving::Conflict(_)),
                "`save` compares all bits of the version"
            );
        }
        save(store, key, &before, &after).await;
    }
    let last = at(numbers[numbers.len() - 1]);
    let there = load(other, key).await.expect("it is there");
    assert_eq!(there.version, last.version, "{EXACTLY}");
    store.delete(key).await.expect("delete");

    // a late call of a request that saw the deleted session must not change the new one
    let new = row(b"new");
    create(store, key, &new).await;
    let late = other.save(key, last.version, &row(b"late"), None).await;
    assert_eq!(
        late.expect("save"),
        Saving::Conflict(Stored::from(&new)),
        "`save` with the version of a deleted session does not replace a new one under its key"
    );
    let moved = other.touch(key, last.version, later()).await;
    assert!(
        !moved.expect("touch"),
        "`touch` with the version of a deleted session does not change a new one under its key"
    );
    store.delete(key).await.expect("delete");
}

/// Repeats calls, as a caller may do that got no answer.
pub(super) async fn repeated_calls<S: Store>(store: &S) {
    let key = key();
    let ours = row(b"ours");
    create(store, key, &ours).await;
    let again = store.create(key, &ours).await.expect("create");
    assert_eq!(
        again,
        Creation::Exists,
        "a repeated `create` returns `Exists`"
    );
    let new = row(b"new");
    save(store, key, &ours, &new).await;
    let again = store.save(key, ours.version, &new, None).await;
    assert_eq!(
        again.expect("save"),
        Saving::Conflict(Stored::from(&new)),
        "a repeated `save` returns its own row, so the caller sees that it took effect"
    );
    store.delete(key).await.expect("delete");
}
