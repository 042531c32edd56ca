//! `doctor`: what is wrong with the secret, the store and the log.

use std::process::Command;

use redis::{Value, cmd};
use tower_sealed_session::{Revocations, SessionLayer};

use super::{Kind, Run, TestStore, run, run_with, write};
use crate::{
    logout,
    processes::Folder,
    stores::{
        redis_client::{self, replication, wait_until},
        redis_server::RedisServer,
        sql_server::{Engine, shared},
    },
    support::{SECRET, Visitor, keys},
};

on_each_store! {
    rows_of_revoked_sessions_are_counted;
}

const KINDS: [Kind; 4] = [Kind::Sqlite, Kind::Postgres, Kind::MariaDb, Kind::Redis];

/// The verdicts of a check.
fn verdicts(run: &Run, check: &str) -> Vec<String> {
    let json = run.json();
    let checks = json.as_array().expect("a list").iter();
    let checks = checks.filter(|it| it["check"] == check);
    checks
        .map(|it| it["verdict"].as_str().expect("a text").to_owned())
        .collect()
}

/// The text of a check that has one line.
#[track_caller]
fn text(run: &Run, check: &str) -> String {
    let json = run.json();
    let mut checks = json.as_array().expect("a list").iter();
    let found = checks.find(|it| it["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no {check}: {run:?}"));
    found["text"].as_str().expect("a text").to_owned()
}

fn doctor(store: &str, more: &[&str]) -> Run {
    let arguments = ["doctor", "--json", "--no-scan", "--store", store];
    run(&[&arguments[..], more].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn good_settings_pass_on_each_store_and_leave_nothing_behind() {
    for kind in KINDS {
        let store = TestStore::new(kind).await;
        let run = doctor(&store.url, &["--log", &store.url]).exits(0);
        assert_eq!(verdicts(&run, "secret"), ["ok"]);
        assert_eq!(verdicts(&run, "store"), ["ok"; 3], "{run:?}");
        for check in ["role", "rights", "clock", "log", "revoked"] {
            assert_eq!(verdicts(&run, check), ["ok"], "{check}: {run:?}");
        }
        let clock = text(&run, "clock");
        assert_eq!(clock.contains("no server"), kind == Kind::Sqlite, "{clock}");
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

/// The database has a function that shadows the one that tells the time.
#[tokio::test(flavor = "multi_thread")]
async fn clock_of_the_server_is_compared_to_better_than_a_second() {
    let server = shared(Engine::Postgres);
    for (ahead, verdict, told) in [
        (-0.5, "ok", "behind"),
        (1.5, "warn", "ahead of that of this machine"),
        (-29.0, "warn", "NTP"),
        (31.0, "fail", "tolerate 30 s"),
        (-86_400.0, "fail", "behind"),
    ] {
        let store = TestStore::new(Kind::Postgres).await;
        let database = store.url.rsplit(['/', '?']).nth(1).expect("a database");
        let shift = format!(
            "create schema shifted; \
             create function shifted.clock_timestamp() returns timestamptz language sql as \
             $$ select pg_catalog.clock_timestamp() + interval '{ahead} s' $$; \
             alter database {database} set search_path = shifted, pg_catalog, public"
        );
        server.execute(database, &shift).await;
        let run = doctor(&store.url, &[]).exits(i32::from(verdict == "fail"));
        assert_eq!(verdicts(&run, "clock"), [verdict], "{ahead}: {run:?}");
        let clock = text(&run, "clock");
        assert!(clock.contains(told), "{ahead}: {clock}");
        let mut words = clock.split(' ');
        let difference = words.find_map(|word| word.parse::<f64>().ok());
        let difference = difference.expect("a number");
        assert!(
            (difference - f64::abs(ahead)).abs() < 0.3,
            "{ahead}: {clock}"
        );
    }
}

/// Makes a user of Redis with the rights that the documentation of the store lists, except one.
async fn user_without(server: &RedisServer, right: &str) -> String {
    let rules = crate::stores::redis_checks::documented();
    let rules = rules.split(' ').filter(|word| *word != right);
    let mut command = cmd("ACL");
    command.arg("SETUSER");
    rules.for_each(|word| {
        command.arg(word);
    });
    let _: Value = redis_client::run(&server.url(), &command).await;
    format!("redis://sessions:PASSWORD@127.0.0.1:{}/0", server.port)
}

/// Runs it with a URL that has a password.
fn doctor_in_private(url: &str) -> Run {
    let run = run_with(&["doctor", "--json", "--no-scan"], b"", |command| {
        command.env("SESSION_STORE_URL", url)
    });
    assert!(!format!("{run:?}").contains("PASSWORD"), "{run:?}");
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_a_redis_user_lacks_are_named() {
    let server = RedisServer::start(&[]);
    let untold = doctor_in_private(&user_without(&server, "+time").await).exits(0);
    assert_eq!(verdicts(&untold, "clock"), ["warn"], "{untold:?}");
    assert!(text(&untold, "clock").contains("+time"));
    assert_eq!(verdicts(&untold, "rights"), ["ok"]);
    let denied = doctor_in_private(&user_without(&server, "+del").await).exits(1);
    assert_eq!(verdicts(&denied, "rights"), ["fail"], "{denied:?}");
    assert!(text(&denied, "rights").contains("may not run DEL"));
    assert!(verdicts(&denied, "store").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_an_sql_user_lacks_are_named() {
    for (kind, engine) in [
        (Kind::Postgres, Engine::Postgres),
        (Kind::MariaDb, Engine::MariaDb),
    ] {
        let server = shared(engine);
        let store = TestStore::new(kind).await;
        let database = store.url.rsplit(['/', '?']).nth(1).expect("a database");
        for (rights, missing) in [
            ("select, insert, update, delete", None),
            ("select, insert, update", Some("may not delete rows")),
            ("select", Some("may not create, change, delete rows")),
            ("", Some("")),
        ] {
            let user = format!("{database}_{}", rights.matches(',').count() + rights.len());
            let (create, to) = match kind {
                Kind::Postgres => (
                    format!("create role {user} login"),
                    format!("sessions to {user}"),
                ),
                _ => (
                    format!("create user {user}@'127.0.0.1'"),
                    format!("{database}.sessions to {user}@'127.0.0.1'"),
                ),
            };
            server.execute(database, &create).await;
            if !rights.is_empty() {
                let grant = format!("grant {rights} on {to}");
                server.execute(database, &grant).await;
            }
            let url = store.url.replace("postgres@", &format!("{user}@"));
            let url = url.replace("root@", &format!("{user}@"));
            let run = doctor(&url, &[]).exits(i32::from(missing.is_some()));
            let verdict = if missing.is_some() { "fail" } else { "ok" };
            assert_eq!(verdicts(&run, "rights"), [verdict], "{rights}: {run:?}");
            let told = text(&run, "rights");
            assert!(
                missing.is_none_or(|missing| told.contains(missing)),
                "{told}"
            );
            let reaches = verdicts(&run, "store").first().is_some_and(|it| it == "ok");
            assert_eq!(reaches, !rights.is_empty(), "{run:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_accepts_no_writes_has_the_wrong_role() {
    let (primary, replica) = (RedisServer::start(&[]), RedisServer::start(&[]));
    let mut follow = cmd("REPLICAOF");
    follow.arg("127.0.0.1").arg(primary.port);
    let _: Value = redis_client::run(&replica.url(), &follow).await;
    wait_until(async || replication(&replica.url(), "role").await == "slave").await;
    let postgres = TestStore::new(Kind::Postgres).await;
    let database = postgres.url.rsplit(['/', '?']).nth(1).expect("a database");
    let read_only = format!("alter database {database} set default_transaction_read_only = on");
    shared(Engine::Postgres).execute(database, &read_only).await;
    // it is a primary, and the first write shows that it accepts none
    let alone = RedisServer::start(&["--min-replicas-to-write", "1"]);
    for (url, reaches) in [
        (replica.url(), false),
        (postgres.url.clone(), false),
        (alone.url(), true),
    ] {
        let run = doctor(&url, &[]).exits(1);
        assert_eq!(verdicts(&run, "role"), ["fail"], "{run:?}");
        assert_eq!(!verdicts(&run, "store").is_empty(), reaches, "{run:?}");
        assert!(verdicts(&run, "rights").is_empty(), "{run:?}");
    }
}

/// The app had no log when the sessions began, so their rows stayed.
async fn rows_of_revoked_sessions_are_counted(kind: Kind) {
    let (store, log) = (TestStore::new(kind).await, TestStore::new(kind).await);
    let app = logout::app(SessionLayer::new(keys()).store(store.store.clone()));
    for path in ["/login,cart", "/login,cart", "/bob,cart", "/cart"] {
        Visitor::default().get(&app, path).await;
    }
    // what is left of an ended session is no row of a revoked one
    let mut gone = Visitor::default();
    gone.get(&app, "/login,cart").await;
    gone.get(&app, "/logout").await;
    let both = |wanted: &str, told: &str| {
        let run = doctor(&store.url, &["--log", &log.url]).exits(0);
        assert_eq!(verdicts(&run, "revoked"), [wanted], "{kind:?}: {run:?}");
        assert!(text(&run, "revoked").contains(told), "{kind:?}: {run:?}");
        assert!(!run.stdout.contains("ada"), "{run:?}");
    };
    both("ok", "no entries");
    let revocations = Revocations::connect(&log.url).await.expect("a log");
    let revoking = SessionLayer::new(keys()).revocations(revocations);
    revoking.revoke_owner("eve").await.expect("a log");
    both("ok", "no row");
    revoking.revoke_owner("ada").await.expect("a log");
    both("warn", "2 rows hold sessions that were revoked");
    revoking.revoke_everything().await.expect("a log");
    both("warn", "4 rows");
    assert!(verdicts(&doctor(&store.url, &[]), "revoked").is_empty());
    // one way to get rid of them
    let more = ["--owner", "ada", "--store", &store.url, "--log", &log.url];
    run(&[&["revoke"], &more[..]].concat()).exits(0);
    both("warn", "2 rows");
}
