//! Tests of calls that delete a session or change when it expires.

use std::time::Duration;

use super::{create, key, later, load, row, save};
use crate::store::contract::{OwnerTag, Row, Saving, Store, Stored};

pub(super) async fn brings_nothing_back<S: Store>(store: &S, other: &S) {
    let key = key();
    let first = row(b"1");
    create(store, key, &first).await;
    assert!(
        other.delete(key).await.expect("delete"),
        "`delete` returns `true` if there was a session"
    );
    assert_eq!(
        load(store, key).await,
        None,
        "a deleted session is gone on every instance"
    );
    let saved = store.save(key, first.version, &row(b"2"), None).await;
    assert_eq!(
        saved.expect("save"),
        Saving::Gone,
        "`save` never inserts: a deleted session stays deleted"
    );
    let touched = store.touch(key, first.version, later()).await;
    assert!(!touched.expect("touch"), "`touch` never inserts");
    assert_eq!(
        load(store, key).await,
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
    let owner = Some(OwnerTag::new(*b"an owner of ends"));
    let mut first = Row { owner, ..row(b"1") };
    create(store, key, &first).await;
    for expires in [
        later() + Duration::from_millis(4321),
        later() - Duration::from_secs(60),
    ] {
        let touched = other.touch(key, first.version, expires).await;
        assert!(
            touched.expect("touch"),
            "`touch` returns `true` if the version is current"
        );
        let there = load(store, key).await.expect("it is there");
        assert_eq!(
            there.expires, expires,
            "`touch` moves the end forward and back"
        );
        first.expires = expires;
        assert_eq!(
            there,
            Stored::from(&first),
            "`touch` changes neither version nor bytes nor owner"
        );
    }
    let second = row(b"2");
    save(store, key, &first, &second).await;
    let expires = later() + Duration::from_secs(99);
    let stale = other.touch(key, first.version, expires).await;
    assert!(
        !stale.expect("touch"),
        "`touch` with a replaced version returns `false`"
    );
    assert_eq!(
        load(store, key).await,
        Some(Stored::from(&second)),
        "a `touch` that returns `false` changes nothing"
    );
    let touched = store.touch(key, second.version, later()).await;
    assert!(
        touched.expect("touch"),
        "`touch` with the current version returns `true`"
    );
    store.delete(key).await.expect("delete");
}
