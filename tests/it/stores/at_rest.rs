//! Stored rows reveal nothing, and tampered rows are rejected.

use tower_sealed_session::{
    SessionLayer,
    store::{Row, Saving, Store as _, StoreKey, Version},
};

use super::{
    app,
    backend::{Backend, CreatedKeys, Wrapped, built, on_every_store},
    sql_server::{Engine, SqlServer},
};
use crate::support::{Events, NAME, Visitor, keys, on_a_clock};

on_every_store! {
    tampered_rows_are_rejected;
}

async fn tampered_rows_are_rejected(backend: Backend) {
    let created = CreatedKeys::default();
    let store = Wrapped(backend.open().await, created.clone());
    let (builder, clock) = on_a_clock();
    let app = app(built(builder).store(store.clone()));
    let mut visitors: [Visitor; 3] = std::array::from_fn(|_| Visitor::default());
    for (n, visitor) in visitors.iter_mut().enumerate() {
        visitor.get(&app, &format!("/login/user-{n}")).await;
    }
    let keys = created.0.lock().expect("no panic").clone();
    let [first, second, third] = *keys else {
        panic!("three rows: {keys:?}")
    };
    let events = Events::capture();
    let put = async |key: StoreKey, bytes: &[u8], expires| {
        let there = store.load(key).await.expect("a store").expect("a row");
        let version = Version::new(there.version.get() + 1);
        let row = Row::new(version, bytes, expires, there.owner);
        let saving = store
            .save(key, there.version, &row, there.owner)
            .await
            .expect("a store");
        assert!(matches!(saving, Saving::Saved));
    };
    let [one, two] = [
        store.load(first).await.expect("a store").expect("a row"),
        store.load(second).await.expect("a store").expect("a row"),
    ];

    // swapped
    put(first, &two.bytes, one.expires).await;
    put(second, &one.bytes, two.expires).await;
    for visitor in &mut visitors[..2] {
        let answer = visitor.get(&app, "/who").await;
        assert!(answer.body.is_empty() && answer.sets_nothing());
        assert!(events.drain().contains(&"rejected unreadable".to_owned()));
    }
    // one bit changed, in every seventh byte
    for at in (0..one.bytes.len()).step_by(7) {
        let mut bytes = one.bytes.clone();
        bytes[at] ^= 1;
        put(first, &bytes, one.expires).await;
        assert_eq!(visitors[0].get(&app, "/who").await.body, "", "byte {at}");
    }
    put(first, &one.bytes[1..], one.expires).await;
    assert_eq!(visitors[0].get(&app, "/who").await.body, "");
    put(first, b"", one.expires).await;
    assert_eq!(visitors[0].get(&app, "/who").await.body, "");
    // these requests deleted and overwrote nothing
    put(first, &one.bytes, one.expires).await;
    put(second, &two.bytes, two.expires).await;
    assert_eq!(visitors[0].get(&app, "/who").await.body, "user-0");

    // without its owner's tag, `delete_owner` would not find it
    let there = store.load(first).await.expect("a store").expect("a row");
    let hidden = Row::new(Version::new(1), &there.bytes, there.expires, None);
    let saving = store.save(first, there.version, &hidden, there.owner).await;
    assert!(matches!(saving, Ok(Saving::Saved)));
    assert_eq!(visitors[0].get(&app, "/who").await.body, "");
    let version = Version::new(2);
    let back = Row::new(version, &there.bytes, there.expires, there.owner);
    let saving = store.save(first, Version::new(1), &back, None).await;
    assert!(matches!(saving, Ok(Saving::Saved)));
    assert_eq!(visitors[0].get(&app, "/who").await.body, "user-0");

    // copied to another id
    assert_eq!(visitors[2].get(&app, "/who").await.body, "user-2");
    events.drain();
    put(third, &one.bytes, one.expires).await;
    let answer = visitors[2].get(&app, "/who").await;
    assert!(answer.body.is_empty() && answer.sets_nothing());
    assert!(events.drain().contains(&"unreadable forged".to_owned()));
    assert_eq!(visitors[0].get(&app, "/who").await.body, "user-0");

    // prolonged in the store: the sealed end of the session still applies
    let year = one.expires + std::time::Duration::from_secs(365 * 24 * 3600);
    for key in [first, second] {
        let version = store
            .load(key)
            .await
            .expect("a store")
            .expect("a row")
            .version;
        assert!(store.touch(key, version, year).await.expect("a store"));
    }
    clock.advance(std::time::Duration::from_secs(24 * 3600));
    for visitor in &mut visitors {
        assert_eq!(visitor.get(&app, "/who").await.body, "");
    }
}

/// Asserts that the files contain none of the canaries: ids, owners, keys and values.
fn assert_no_canary(files: &[u8], canaries: &[Vec<u8>]) {
    assert!(files.len() > 800, "there is data: {}", files.len());
    for canary in canaries {
        let found = files.windows(canary.len()).any(|window| window == canary);
        assert!(!found, "{:?}", String::from_utf8_lossy(canary));
    }
}

#[tokio::test]
async fn store_files_contain_no_ids_owners_keys_or_values() {
    let sql = [Engine::Postgres, Engine::MariaDb]
        .map(|engine| Backend::Server(SqlServer::start(engine, &[])));
    let files = [Backend::sqlite().await, Backend::redis().await];
    for backend in sql.into_iter().chain(files) {
        let backend = backend.with_schema().await;
        let app = app(built(SessionLayer::builder(keys())).store(backend.open().await));
        let sessions = built(SessionLayer::builder(keys())).store(backend.open().await);
        let mut visitor = Visitor::default();
        let set = "/set/canary-key/canary-value";
        assert_eq!(visitor.get(&app, set).await.status, 200);
        let answer = visitor.get(&app, "/login/canary-owner").await;
        assert_eq!(answer.status, 200);
        let set = "/set/canary-key/another-canary-value";
        assert_eq!(visitor.get(&app, set).await.status, 200);
        let received =
            tower_sealed_session::testing::received_from_store(&sessions, &answer.headers).await;
        let id = *received.expect("a session").id().expect("an id").as_bytes();
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let canaries = [
            b"canary".to_vec(),
            id.to_vec(),
            hex.to_uppercase().into_bytes(),
            hex.into_bytes(),
            visitor.jar[NAME].as_bytes()[7..40].to_vec(),
        ];
        let files = match &backend {
            Backend::Redis(server) => server.files(),
            Backend::Sqlite(folder) => {
                let files = std::fs::read_dir(&folder.0).expect("a folder");
                let files =
                    files.map(|file| std::fs::read(file.expect("a file").path()).expect("a file"));
                files.flatten().collect()
            }
            Backend::Server(server) => server.files(),
            Backend::Memory(_) | Backend::Cluster(_) | Backend::Sql(..) => {
                unreachable!("not used here")
            }
        };
        assert_no_canary(&files, &canaries);
    }
}
