//! How the program reaches a store, and the tables that `schema` prints.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;
use tower_sealed_session::{Revocations, SessionLayer, store};

use super::{Kind, Run, TestStore, ended, run, run_with, write};
use crate::{
    logout::app,
    processes::Folder,
    stores::sql_server::{Engine, SqlServer, shared},
    support::{Visitor, keys},
};

/// All commands that use a store.
const COMMANDS: [&[&str]; 8] = [
    &["inspect", "x", "--ask-store"],
    &["import", "/dev/null"],
    &["verify", "/dev/null"],
    &["sessions", "ada"],
    &["revoke", "--owner", "ada"],
    &["prune"],
    &["stats"],
    &["stats", "--exact"],
];

fn at(command: &[&str], url: &str) -> Run {
    run(&[command, &["--store", url]].concat())
}

#[test]
fn password_in_an_argument_is_refused_and_not_shown() {
    let urls = [
        "redis://:hunter2@127.0.0.1:1/0",
        "rediss://app:hunter2@127.0.0.1:1",
        "postgres://app:hunter2@127.0.0.1:1/db",
        "postgres://app:hun/ter2@127.0.0.1:1/db",
        "postgres://127.0.0.1:1/db?user=app&password=hunter2",
        "mysql://app:hunter2@127.0.0.1:1/db",
        "unix:///run/redis.sock?db=0&pass=hunter2",
    ];
    for url in urls {
        let log: &[&str] = &["revoke", "--everything", "--log", url];
        let commands = COMMANDS.map(|command| [command, &["--store", url]].concat());
        for command in commands.iter().map(Vec::as_slice).chain([log]) {
            let refused = run(command).exits(2);
            assert!(refused.stdout.is_empty(), "{refused:?}");
            assert!(refused.stderr.contains("env:NAME"), "{refused:?}");
            assert!(!refused.stderr.contains("ter2"), "{refused:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn url_comes_from_a_variable_or_a_file() {
    let store = TestStore::new(Kind::Sqlite).await;
    let app = app(SessionLayer::new(keys()).store(store.store.clone()));
    Visitor::default().get(&app, "/login").await;
    let file = write(&store.folder.0, "url", format!("{}\n", store.url));
    let file = format!("file:{file}");
    let cases: [(&[&str], &str); 5] = [
        (&["--store", &store.url], "UNUSED"),
        (&["--store", "env:MY_STORE"], "MY_STORE"),
        (&["--store", &file], "UNUSED"),
        (&[], "SESSION_STORE_URL"),
        (&[], "SESSION_DB_URL"),
    ];
    for (arguments, variable) in cases {
        let arguments = [&["stats", "--exact", "--json"], arguments].concat();
        let told = run_with(&arguments, b"", |command| command.env(variable, &store.url));
        assert_eq!(told.exits(0).json()["sessions"], 1, "{arguments:?}");
    }
    let redis = TestStore::new(Kind::Redis).await;
    let told = run_with(&["stats", "--exact", "--json"], b"", |command| {
        command.env("REDIS_URL", &redis.url)
    });
    assert_eq!(told.exits(0).json()["sessions"], 0);
}

#[test]
fn location_that_names_no_store_is_refused() {
    let folder = Folder::new();
    let empty = format!("file:{}", write(&folder.0, "empty", ""));
    let urls = [
        ("", "use one of"),
        ("nothing", "use one of"),
        ("gopher://127.0.0.1", "use one of"),
        ("env:NOT_SET", "NOT_SET is not set"),
        ("file:/no/such/file", "/no/such/file"),
        (&*empty, "use one of"),
        ("memory:", "memory"),
        ("sqlite::memory:", "memory"),
        ("redis://127.0.0.1:x", "redis URL"),
    ];
    for (url, told) in urls {
        for command in [&["stats"][..], &["revoke", "--owner", "ada"]] {
            let refused = at(command, url).exits(2);
            assert!(refused.stdout.is_empty(), "{refused:?}");
            assert!(refused.stderr.contains(told), "{url}: {refused:?}");
        }
        let log = run(&["revoke", "--everything", "--log", url]).exits(2);
        assert!(log.stderr.contains(told), "{url}: {log:?}");
    }
    for command in COMMANDS {
        let refused = run(command).exits(2);
        assert!(refused.stderr.contains("SESSION_STORE_URL"), "{refused:?}");
    }
    for variable in ["SESSION_STORE_URL", "REVOCATIONS_URL"] {
        let revoke = ["revoke", "--owner", "ada"];
        let refused = run_with(&revoke, b"", |command| command.env(variable, "memory:"));
        assert!(refused.exits(2).stderr.contains("no other program"));
    }
}

#[test]
fn sqlite_file_that_is_not_there_is_not_created() {
    let folder = Folder::new();
    let path = folder.0.join("none.db");
    for url in [
        format!("sqlite:{}", path.display()),
        format!("sqlite://{}", path.display()),
        format!("sqlite:{}?mode=rwc", path.display()),
    ] {
        for command in COMMANDS {
            let refused = at(command, &url).exits(4);
            assert!(refused.stderr.contains("none.db"), "{refused:?}");
        }
        let log: &[&str] = &["revoke", "--everything"];
        run(&[log, &["--log", &url]].concat()).exits(4);
        for variable in ["SESSION_STORE_URL", "SESSION_DB_URL", "REVOCATIONS_URL"] {
            let revoke = ["revoke", "--owner", "ada"];
            run_with(&revoke, b"", |command| command.env(variable, &url)).exits(4);
        }
    }
    assert_eq!(std::fs::read_dir(&folder.0).expect("a folder").count(), 0);
    // a file that is no database
    let text = format!(
        "sqlite:{}",
        write(&folder.0, "text", "not a database ".repeat(100))
    );
    let refused = at(&["stats"], &text);
    assert!([2, 4].contains(&refused.code), "{refused:?}");
}

#[test]
fn server_that_cannot_be_reached_is_exit_code_4() {
    for (url, name) in [
        ("redis://127.0.0.1:1/0", "redis"),
        ("postgres://127.0.0.1:1/db", "PostgreSQL"),
        ("mysql://127.0.0.1:1/db", "MySQL"),
    ] {
        for command in COMMANDS {
            let refused = at(command, url).exits(4);
            assert!(refused.stdout.is_empty(), "{refused:?}");
            assert!(refused.stderr.contains(name), "{refused:?}");
            assert!(refused.stderr.contains("127.0.0.1:1"), "{refused:?}");
        }
        run(&["revoke", "--everything", "--log", url]).exits(4);
    }
}

/// Its sockets take connections, but it says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn server_that_does_not_answer_is_given_up_in_time() {
    let redis = TestStore::new(Kind::Redis).await;
    let server = redis.redis.as_ref().expect("a server");
    let sql = [Engine::Postgres, Engine::MariaDb].map(|engine| SqlServer::start(engine, &[]));
    let mut urls = vec![redis.url.clone()];
    urls.extend(sql.iter().map(|server| server.url(server.first_database())));
    server.stop();
    sql.iter().for_each(SqlServer::stop);
    let began = Instant::now();
    let waiting: Vec<_> = urls
        .into_iter()
        .flat_map(|url| COMMANDS.map(|command| (command, url.clone())))
        .map(|(command, url)| std::thread::spawn(move || at(command, &url)))
        .collect();
    let ended: Vec<_> = waiting
        .into_iter()
        .map(|it| it.join().expect("no panic"))
        .collect();
    server.go_on();
    sql.iter().for_each(SqlServer::go_on);
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "{:?}",
        began.elapsed()
    );
    for run in ended {
        assert!(!run.exits(4).stderr.is_empty());
    }
}

/// The tables of a kind, made by its own command line or an administrator.
async fn create(kind: Kind, folder: &Folder, sql: &str) -> String {
    let engine = match kind {
        Kind::Sqlite => {
            let path = folder.0.join("sessions.db");
            let mut sqlite = Command::new("sqlite3");
            ended(sqlite.arg(&path), sql.as_bytes()).exits(0);
            return format!("sqlite:{}", path.display());
        }
        Kind::Postgres => Engine::Postgres,
        Kind::MariaDb => Engine::MariaDb,
        Kind::Redis => unreachable!("it has no tables"),
    };
    let server = shared(engine);
    let database = server.database().await;
    server.execute(&database, sql).await;
    server.url(&database)
}

#[tokio::test(flavor = "multi_thread")]
async fn printed_schema_makes_a_store_and_a_log_that_work() {
    for (kind, dialect, alias) in [
        (Kind::Sqlite, "sqlite", "sqlite"),
        (Kind::Postgres, "postgres", "postgresql"),
        (Kind::MariaDb, "mysql", "mariadb"),
    ] {
        let folder = Folder::new();
        let sql = run(&["schema", dialect]).exits(0).stdout;
        assert_eq!(run(&["schema", alias]).exits(0).stdout, sql);
        assert_eq!(
            run(&["schema", dialect, "--json"]).json(),
            json!({"sql": sql})
        );
        let log = run(&["schema", dialect, "--revocations"]).exits(0).stdout;
        assert_ne!(log, sql);
        let url = create(kind, &folder, &format!("{sql}\n{log}")).await;
        // without create_schema
        let store = store::connect(&url).await.expect("a server");
        let layer = SessionLayer::new(keys()).store(store.clone());
        let log = Revocations::connect(&url).await.expect("a log");
        let app = app(layer.revocations(log));
        let mut visitor = Visitor::default();
        visitor.get(&app, "/login,cart").await;
        let seen = visitor.get(&app, "/see").await.body;
        assert_eq!(seen, r#"Some("ada") ["cart"]"#, "{kind:?}");
        let revoked = run(&["revoke", "--owner", "ada", "--store", &url, "--log", &url]);
        revoked.exits(0);
        assert_eq!(visitor.get(&app, "/see").await.body, "None []");
        // and it finds nothing to change
        store.create_schema().await.expect("the same tables");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_without_tables_is_exit_code_4() {
    for kind in [Kind::Sqlite, Kind::Postgres, Kind::MariaDb] {
        let folder = Folder::new();
        let url = create(kind, &folder, "create table unrelated (a int);").await;
        for command in [&["stats", "--exact"][..], &["prune"], &["sessions", "ada"]] {
            let refused = at(command, &url).exits(4);
            assert!(!refused.stderr.is_empty(), "{refused:?}");
        }
    }
}
