//! SQLite's file, schema and command line; also pruning, and the limit of the memory store.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use sqlx::sqlite::SqlitePoolOptions;
use tower_sealed_session::{
    OffsetDateTime, SessionLayer,
    store::{
        MemoryStore, Operate as _, Row, Saving, SqliteStore, Store as _, StoreErrorKind, StoreKey,
        Version, prune_every,
    },
};

use super::{app, backend::built, writes::writes};
use crate::{
    processes::Folder,
    support::{Visitor, keys},
};

fn url(folder: &Folder) -> String {
    format!("sqlite:{}", folder.0.join("sessions.db").display())
}

fn row(bytes: &[u8], expires: OffsetDateTime) -> Row<'_> {
    Row::new(Version::new(1), bytes, expires, None)
}

/// Runs SQL with the command-line shell and returns its output.
fn sqlite3(folder: &Folder, sql: &str) -> String {
    let mut shell = Command::new("sqlite3")
        // a dropped store closes its file asynchronously
        .args(["-cmd", ".timeout 10000"])
        .arg(folder.0.join("sessions.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sqlite3 is missing: `apt-get install -y sqlite3`");
    let mut stdin = shell.stdin.take().expect("piped");
    stdin.write_all(sql.as_bytes()).expect("it reads");
    drop(stdin);
    let output = shell.wait_with_output().expect("it ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[tokio::test]
async fn eight_instances_can_create_the_schema_concurrently() {
    let folder = Folder::new();
    let made = (0..8).map(|_| {
        let url = url(&folder);
        tokio::spawn(async move {
            let store = SqliteStore::connect(&url).await.expect("a file");
            store.create_schema().await.expect("a schema");
            store.create_schema().await.expect("the schema again");
        })
    });
    for made in made.collect::<Vec<_>>() {
        made.await.expect("the schema is created");
    }
}

#[tokio::test]
async fn sql_file_works_in_the_shell_and_the_view_is_readable() {
    let folder = Folder::new();
    sqlite3(
        &folder,
        include_str!("../../../src/store/sql/sqlite/schema.sql"),
    );
    sqlite3(&folder, SqliteStore::SCHEMA);
    let store = SqliteStore::connect(&url(&folder)).await.expect("a file");
    let app = app(built(SessionLayer::builder(keys())).store(store));
    let mut visitor = Visitor::default();
    visitor.get(&app, "/login/ada").await;
    let seen = sqlite3(
        &folder,
        "select length(id), length(user_id), bytes > 90, version < 1 << 53, expired from sessions_readable;",
    );
    assert_eq!(seen, "32|32|1|1|0\n");
    let today = OffsetDateTime::now_utc().date().to_string();
    assert!(
        sqlite3(
            &folder,
            "select created_at, expires_at from sessions_readable;"
        )
        .starts_with(&today)
    );
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_user_can_read_a_new_file() {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = |file: &std::path::Path| {
        let found = std::fs::metadata(file).expect("a file");
        found.permissions().mode() & 0o777
    };
    let folder = Folder::new();
    let store = SqliteStore::connect(&url(&folder)).await.expect("a file");
    store.create_schema().await.expect("a schema");
    let expires = OffsetDateTime::now_utc() + Duration::from_secs(60);
    let row = row(b"x", expires);
    let created = store.create(StoreKey::new([0; 16]), &row).await;
    created.expect("a row");
    for name in ["sessions.db", "sessions.db-wal", "sessions.db-shm"] {
        assert_eq!(mode(&folder.0.join(name)), 0o600, "{name}");
    }

    // an existing file keeps its mode
    let folder = Folder::new();
    let file = folder.0.join("sessions.db");
    sqlite3(&folder, SqliteStore::SCHEMA);
    let given = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(&file, given).expect("our file");
    let store = SqliteStore::connect(&url(&folder)).await.expect("a file");
    assert_eq!(
        store.load(StoreKey::new([0; 16])).await.expect("a table"),
        None
    );
    assert_eq!(mode(&file), 0o640);

    // a file that may not be created is not
    let folder = Folder::new();
    let rw = format!("{}?mode=rw", url(&folder));
    assert!(SqliteStore::connect(&rw).await.is_err());
    assert!(!folder.0.join("sessions.db").exists());
}

#[tokio::test]
async fn errors_tell_what_is_wrong_with_the_file() {
    let folder = Folder::new();
    let error_of = async |url: &str| {
        let error = match SqliteStore::connect(url).await {
            Ok(store) => store
                .load(StoreKey::new([0; 16]))
                .await
                .expect_err("it fails"),
            Err(error) => error,
        };
        (error.kind(), error.to_string())
    };
    assert_eq!(error_of(&url(&folder)).await.0, StoreErrorKind::Schema);
    sqlite3(
        &folder,
        "create table sessions (id text primary key, data text);",
    );
    let (kind, text) = error_of(&url(&folder)).await;
    assert!(
        kind == StoreErrorKind::Schema && text.contains("another app"),
        "{text}"
    );
    // SQLite ignores case in table names
    sqlite3(
        &folder,
        "drop table sessions; create table Sessions (id text);",
    );
    let (kind, text) = error_of(&url(&folder)).await;
    assert!(
        kind == StoreErrorKind::Schema && text.contains("another app"),
        "{text}"
    );
    sqlite3(&folder, "drop table sessions;");
    for (url, kind, wanted) in [
        (
            "sqlite:/nowhere/at/all.db",
            StoreErrorKind::Unreachable,
            "/nowhere/at/all.db",
        ),
        (
            "sqlite:x?mode=wrong",
            StoreErrorKind::Config,
            "sqlite:sessions.db",
        ),
        ("sqlite:", StoreErrorKind::Config, "sqlite:sessions.db"),
        (
            "sqlite://?mode=rwc",
            StoreErrorKind::Config,
            "sqlite:sessions.db",
        ),
        (
            "mysql://root:hunter2@localhost",
            StoreErrorKind::Config,
            "sqlite:sessions.db",
        ),
    ] {
        let (found, text) = error_of(url).await;
        assert!(
            found == kind && text.contains(wanted),
            "{url}: {found:?}, {text}"
        );
    }
    let secret = SqliteStore::connect("mysql://root:hunter2@localhost").await;
    let shown = format!(
        "{secret:?}, {:?}",
        SqliteStore::connect("sqlite::memory:").await
    );
    assert!(
        !shown.contains("hunter2") && !shown.contains("memory"),
        "{shown}"
    );

    // a read-only file, and a full one
    sqlite3(&folder, SqliteStore::SCHEMA);
    let expires = OffsetDateTime::now_utc() + Duration::from_secs(60);
    let read_only = SqliteStore::connect(&format!("{}?mode=ro", url(&folder)))
        .await
        .expect("a file");
    assert_eq!(
        read_only
            .load(StoreKey::new([0; 16]))
            .await
            .expect("a table"),
        None
    );
    let error = read_only
        .create(StoreKey::new([0; 16]), &row(b"x", expires))
        .await
        .expect_err("read-only");
    assert_eq!(error.kind(), StoreErrorKind::ReadOnly);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect(&url(&folder))
        .await
        .expect("a file");
    sqlx::query("pragma max_page_count = 20")
        .execute(&pool)
        .await
        .expect("a limit");
    let full = SqliteStore::from_pool(pool);
    let mut kinds = Vec::new();
    for n in 0..4 {
        if let Err(error) = full
            .create(StoreKey::new([n; 16]), &row(&[0; 60_000], expires))
            .await
        {
            kinds.push(error.kind());
        }
    }
    assert!(
        !kinds.is_empty() && kinds.iter().all(|kind| *kind == StoreErrorKind::Full),
        "{kinds:?}"
    );
}

/// The test runs itself as a child process, because a process must not change its own environment.
#[tokio::test]
async fn environment_selects_the_file_or_the_error_names_the_variable() {
    const CHILD: &str = "TEST_IS_A_CHILD";
    if std::env::var_os(CHILD).is_some() {
        match SqliteStore::from_env().await {
            Ok(store) => store.create_schema().await.expect("a schema"),
            Err(error) => println!("{:?}: {error}", error.kind()),
        }
        return;
    }
    let folder = Folder::new();
    let run = |url: Option<&str>| {
        let mut child = Command::new(std::env::current_exe().expect("a path"));
        let name = "stores::sqlite::environment_selects_the_file_or_the_error_names_the_variable";
        child.args(["--exact", name, "--nocapture"]);
        child.env(CHILD, "1").env_remove("SESSION_DB_URL");
        let output = child.envs(url.map(|url| ("SESSION_DB_URL", url))).output();
        String::from_utf8(output.expect("it runs").stdout).expect("UTF-8")
    };
    for (value, wanted) in [
        (None, "Config: SESSION_DB_URL is not set: set it to"),
        (Some(""), "Config: SESSION_DB_URL is not set: set it to"),
        (
            Some("postgresql://u:hunter2@h/d"),
            "Config: invalid SESSION_DB_URL: set it to",
        ),
    ] {
        let output = run(value);
        assert!(
            output.contains(wanted) && !output.contains("hunter2"),
            "{output}"
        );
    }
    assert!(run(Some(&url(&folder))).contains("1 passed"));
    assert_eq!(sqlite3(&folder, "select count(*) from sessions;"), "0\n");
}

/// Uses the store directly, because the layer would queue the writers of one process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_of_64_tasks_through_two_handles_are_all_kept() {
    const TASKS: u64 = 64;
    // fewer than by the layer, since each one meets all others
    let changes = writes() as u64 / 5;
    let folder = Folder::new();
    let mut handles = Vec::new();
    for _ in 0..2 {
        let store = SqliteStore::connect(&url(&folder)).await.expect("a file");
        store.create_schema().await.expect("a schema");
        handles.push(store);
    }
    let (key, expires) = (
        StoreKey::new([1; 16]),
        OffsetDateTime::now_utc() + Duration::from_secs(3600),
    );
    let zero = 0_u64.to_be_bytes();
    let created = handles[0].create(key, &row(&zero, expires)).await;
    created.expect("a row");
    let tasks = (0..TASKS).map(|task| {
        let store = handles[(task % 2) as usize].clone();
        tokio::spawn(async move {
            for _ in 0..changes {
                let mut there = store.load(key).await.expect("a row").expect("a row");
                loop {
                    let count = u64::from_be_bytes(*there.bytes.first_chunk().expect("a number"));
                    let more = (count + 1).to_be_bytes();
                    let next = Version::new(there.version.get() + 1);
                    let row = Row::new(next, &more, expires, None);
                    let saving = store.save(key, there.version, &row, None);
                    match saving.await.expect("a row") {
                        Saving::Saved => break,
                        Saving::Conflict(now) => there = now,
                        Saving::Gone => panic!("the row was deleted"),
                    }
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("all writes are acknowledged");
    }
    let there = handles[1].load(key).await.expect("a row").expect("a row");
    assert_eq!(there.bytes, (TASKS * changes).to_be_bytes());
    assert_eq!(
        there.version.get(),
        1 + TASKS * changes,
        "each write has its own version"
    );
}

#[tokio::test]
async fn pruning_continues_after_an_error() {
    let folder = Folder::new();
    let store = SqliteStore::connect(&url(&folder)).await.expect("a file");
    let task = tokio::spawn(prune_every(Duration::from_millis(20), store.clone()));
    // the first runs fail: there is no table yet
    tokio::time::sleep(Duration::from_millis(60)).await;
    store.create_schema().await.expect("a schema");
    let (past, later) = (
        OffsetDateTime::UNIX_EPOCH,
        OffsetDateTime::now_utc() + Duration::from_secs(60),
    );
    for n in 0..=255 {
        let mut key = [n; 16];
        for m in 0..5 {
            key[0] = m;
            let row = row(b"x", if m == 0 { later } else { past });
            let created = store.create(StoreKey::new(key), &row).await;
            created.expect("a row");
        }
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    loop {
        let left = store
            .count(OffsetDateTime::now_utc())
            .await
            .expect("a store");
        if left.expired == 0 {
            assert_eq!(left.live, 256, "no live session was pruned");
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{left:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!task.is_finished());
}

#[tokio::test]
async fn full_memory_store_refuses_new_sessions_and_keeps_existing_ones() {
    let store = MemoryStore::with_limit(100_000);
    let app = app(built(SessionLayer::builder(keys())).store(store.clone()));
    let (mut visitors, mut refused) = (Vec::new(), 0);
    for _ in 0..100 {
        let mut visitor = Visitor::default();
        match visitor.get(&app, "/big/2000").await.status.as_u16() {
            200 => visitors.push(visitor),
            status => {
                assert_eq!(status, 503);
                refused += 1;
            }
        }
    }
    assert!(refused > 30 && visitors.len() > 30);
    for visitor in &mut visitors {
        assert_eq!(
            visitor.get(&app, "/len").await.body,
            "1",
            "existing sessions are kept"
        );
    }
    let past = OffsetDateTime::UNIX_EPOCH;
    visitors[0].get(&app, "/clear").await;
    // expired sessions free their memory
    let small = MemoryStore::with_limit(3000);
    for n in 0..50 {
        small
            .create(StoreKey::new([n; 16]), &row(&[0; 1500], past))
            .await
            .expect("enough memory");
    }
}
