//! `doctor`: what is wrong with the secret, the store and the log.

use std::process::Command;

use super::{Kind, Run, TestStore, run, run_with, write};
use crate::{processes::Folder, stores::redis_server::RedisServer, support::SECRET};

/// The verdicts of a check.
fn verdicts(run: &Run, check: &str) -> Vec<String> {
    let json = run.json();
    let checks = json.as_array().expect("a list").iter();
    let checks = checks.filter(|it| it["check"] == check);
    checks
        .map(|it| it["verdict"].as_str().expect("a text").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn good_settings_pass_on_each_store_and_leave_nothing_behind() {
    for kind in [Kind::Sqlite, Kind::Postgres, Kind::MariaDb, Kind::Redis] {
        let store = TestStore::new(kind).await;
        let arguments = ["doctor", "--json", "--no-scan", "--store", &store.url];
        let run = run(&[&arguments[..], &["--log", &store.url]].concat()).exits(0);
        assert_eq!(verdicts(&run, "secret"), ["ok"]);
        assert_eq!(verdicts(&run, "store"), ["ok"; 3], "{run:?}");
        assert_eq!(verdicts(&run, "log"), ["ok"]);
        assert!(store.bytes().await.is_empty(), "{kind:?}");
    }
}

#[test]
fn server_that_evicts_sessions_is_a_warning() {
    let server = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]);
    let run = run(&["doctor", "--json", "--no-scan", "--store", &server.url()]).exits(0);
    assert_eq!(verdicts(&run, "store"), ["ok", "warn", "ok", "ok"]);
    assert!(run.stdout.contains("noeviction"), "{run:?}");
}

#[test]
fn server_that_cannot_be_reached_and_a_missing_table_fail() {
    let gone = run(&[
        "doctor",
        "--json",
        "--no-scan",
        "--store",
        "redis://127.0.0.1:1",
    ])
    .exits(1);
    assert_eq!(verdicts(&gone, "store"), ["fail"]);
    let folder = Folder::new();
    let empty = write(&folder.0, "empty.db", "");
    let empty = format!("sqlite:{empty}");
    let bare = run(&["doctor", "--json", "--no-scan", "--store", &empty]).exits(1);
    assert_eq!(verdicts(&bare, "store"), ["ok", "fail"]);
    assert!(bare.stdout.contains("table"), "{bare:?}");
}

#[test]
fn weak_secret_fails() {
    let run = run_with(&["doctor", "--json", "--no-scan"], b"", |command| {
        command.env("SESSION_SECRET", "change-me-please-change-me-please")
    });
    let run = run.exits(1);
    assert_eq!(verdicts(&run, "secret"), ["fail"]);
    assert!(!run.stdout.contains("change-me-please"), "{run:?}");
}

#[test]
fn secret_that_was_committed_fails() {
    let folder = Folder::new();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]);
        let done = git.args(arguments).current_dir(&folder.0).output();
        assert!(done.expect("git runs").status.success());
    };
    git(&["init", "-q", "."]);
    write(&folder.0, ".env", format!("SESSION_SECRET={SECRET}\n"));
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "settings"]);
    let run = run_with(&["doctor", "--json"], b"", |command| {
        command.current_dir(&folder.0)
    });
    let run = run.exits(1);
    assert_eq!(verdicts(&run, "repository"), ["fail"]);
    assert!(!run.stdout.contains(SECRET), "{run:?}");
}
