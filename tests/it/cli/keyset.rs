//! `keyset`: Google's Tink uses what it prints.

use std::process::Command;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tower_sealed_session::{
    KeyRing, SessionLayer,
    store::{MemoryStore, Operate as _},
    testing,
};

use super::{Run, ended, on_a_terminal, run, run_with};
use crate::{
    logout::app,
    python,
    support::{NAME, OTHER_SECRET, SECRET, Visitor, keys, layer, secret},
};

/// The bytes of a new cookie with the entry `cart`.
fn cookie(layer: &SessionLayer) -> Vec<u8> {
    let session = testing::session(layer);
    session.insert("cart", "tea").expect("it is small");
    let pair = testing::cookie(layer, &session).expect("entropy");
    let (_, value) = pair
        .to_str()
        .expect("ASCII")
        .split_once('=')
        .expect("a pair");
    URL_SAFE_NO_PAD.decode(value).expect("base64")
}

/// Opens something with the keyset that these arguments print, and seals it again.
fn tink(keyset: &Run, sealed: &[u8], aad: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let script = python::tink().with_file_name("keyset.py");
    let mut python = Command::new(python::python("tink/requirements.txt"));
    python.arg(script).args([hex(sealed), hex(aad)]);
    let done = ended(&mut python, keyset.stdout.as_bytes());
    if done.code != 0 {
        assert!(done.stderr.contains("it does not open"), "{done:?}");
        return None;
    }
    let bytes = |hex: &str| -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        let byte = |two| u8::from_str_radix(std::str::from_utf8(two).expect("hex"), 16);
        digits.map(|two| byte(two).expect("hex")).collect()
    };
    let (plain, again) = done.stdout.trim().split_once(' ').expect("two");
    Some((bytes(plain), bytes(again)))
}

fn has(plain: &[u8], part: &str) -> bool {
    plain
        .windows(part.len())
        .any(|bytes| bytes == part.as_bytes())
}

#[test]
fn tink_opens_and_seals_cookies_with_the_keyset() {
    let keyset = run(&["keyset"]).exits(0);
    assert!(keyset.stderr.contains("not encrypted"), "{keyset:?}");
    assert_eq!(keyset.json()["key"].as_array().map(Vec::len), Some(1));
    let (plain, again) = tink(&keyset, &cookie(&layer()), b"").expect("it opens");
    assert!(has(&plain, "\"tea\""));
    let value = URL_SAFE_NO_PAD.encode(again);
    let inspected = run(&["inspect", &value, "--json"]).exits(0).json();
    assert_eq!(inspected["session"]["entries"][0]["key"], "cart");
}

#[test]
fn primary_key_of_the_keyset_is_the_current_secret() {
    let rotated = |arguments| {
        run_with(arguments, b"", |command| {
            let command = command.env("SESSION_SECRET", OTHER_SECRET);
            command.env("SESSION_SECRET_FALLBACKS", SECRET)
        })
    };
    let keyset = rotated(&["keyset"]).exits(0);
    assert_eq!(keyset.json()["key"].as_array().map(Vec::len), Some(2));
    // sealed with the fallback
    let (plain, again) = tink(&keyset, &cookie(&layer()), b"").expect("it opens");
    assert!(has(&plain, "\"tea\""));
    let value = URL_SAFE_NO_PAD.encode(again);
    let inspected = rotated(&["inspect", &value, "--json"]).exits(0).json();
    assert_eq!(inspected["key"]["is"], "current");
    let primary = keyset.json()["primaryKeyId"].as_u64().expect("a number");
    assert_eq!(inspected["key"]["id"], format!("{primary:08x}"));
}

#[tokio::test]
async fn tink_opens_rows_of_a_store_with_the_keyset_for_them() {
    let store = MemoryStore::new();
    let app = app(SessionLayer::new(keys()).store(store.clone()));
    Visitor::default().get(&app, "/login,cart").await;
    let rows = store.scan(None).await.expect("a store").sessions;
    let [(key, row)] = &rows[..] else {
        panic!("one row");
    };
    let keyset = run(&["keyset", "--purpose", "store"]).exits(0);
    let (plain, _) = tink(&keyset, &row.bytes, key.as_bytes()).expect("it opens");
    assert!(has(&plain, "\"tea\""));
    // a row opens at its own key only
    assert_eq!(tink(&keyset, &row.bytes, b"other"), None);
}

#[test]
fn keyset_opens_nothing_of_other_purposes_names_audiences_or_secrets() {
    let sealed = cookie(&layer());
    let others: [&[&str]; 4] = [
        &["keyset", "--purpose", "store"],
        &["keyset", "--purpose", "paired-cookie"],
        &["keyset", "--cookie", "session"],
        &["keyset", "--audience", "admin"],
    ];
    for other in others {
        assert_eq!(tink(&run(other).exits(0), &sealed, b""), None, "{other:?}");
    }
    let same = run(&["keyset", "--cookie", NAME, "--audience", ""]);
    assert!(tink(&same.exits(0), &sealed, b"").is_some());
    let other = cookie(&SessionLayer::new(KeyRing::new(secret(OTHER_SECRET))));
    assert_eq!(tink(&run(&["keyset"]), &other, b""), None);
}

#[test]
fn keyset_is_shown_on_a_terminal_only_when_asked() {
    let refused = on_a_terminal(&["keyset"], &[]).exits(2);
    assert!(refused.stdout.contains("--show"), "{refused:?}");
    assert!(!refused.stdout.contains("primaryKeyId"), "{refused:?}");
    let shown = on_a_terminal(&["keyset", "--show"], &[]).exits(0);
    assert!(shown.stdout.contains("primaryKeyId"), "{shown:?}");
}
