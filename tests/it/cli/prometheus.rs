//! `stats --prometheus` prints metrics that Prometheus accepts, also while the server is down.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, Instant},
};

use redis::cmd;
use tower_sealed_session::{SessionLayer, testing::TestClock};

use super::{Kind, Run, TestStore, ended, program, run, run_with, write};
use crate::{
    logout::app,
    processes::Folder,
    stores::{
        redis_client::{self, info},
        redis_server::RedisServer,
    },
    support::{Visitor, keys},
};

on_each_store! {
    metrics_are_what_the_store_tells;
}

/// Runs it without a secret.
fn metrics(url: &str, more: &[&str]) -> Run {
    let arguments = ["stats", "--prometheus", "--store", url];
    run_with(&[&arguments[..], more].concat(), b"", |command| {
        command.env_remove("SESSION_SECRET")
    })
}

/// The samples, after `promtool` has checked the text.
#[track_caller]
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut promtool = Command::new("promtool");
    if let Err(error) = promtool.arg("--version").output() {
        panic!("promtool ({error}): install it by `apt-get install -y prometheus`");
    }
    let mut promtool = Command::new("promtool");
    let checked = ended(promtool.args(["check", "metrics"]), text.as_bytes());
    assert_eq!((checked.code, &*checked.stderr), (0, ""), "{text}");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        (name.to_owned(), value.parse().expect("a number"))
    });
    samples.collect()
}

async fn metrics_are_what_the_store_tells(kind: Kind) {
    let store = TestStore::new(kind).await;
    let here = app(SessionLayer::new(keys()).store(store.store.clone()));
    for _ in 0..3 {
        Visitor::default().get(&here, "/cart").await;
    }
    let past = TestClock::at(time::OffsetDateTime::now_utc() - Duration::from_secs(7200));
    let past = SessionLayer::builder(keys())
        .clock(past)
        .store(store.store.clone());
    let past = app(past.build().expect("valid settings"));
    // Redis does not keep them
    let expired = if kind == Kind::Redis { 0 } else { 2 };
    for _ in 0..expired {
        Visitor::default().get(&past, "/cart").await;
    }

    let label = match kind {
        Kind::Sqlite => "sqlite",
        Kind::Postgres => "postgres",
        Kind::MariaDb => "mysql",
        Kind::Redis => "redis",
    };
    let name = |name: &str| format!("{name}{{store=\"{label}\"}}");
    let rows = |state: &str| format!("session_rows{{store=\"{label}\",state=\"{state}\"}}");
    let mut expected = vec![rows("live"), rows("expired")];
    if kind != Kind::Sqlite {
        expected.extend(["session_store_up", "session_clock_skew_seconds"].map(name));
    }
    if kind == Kind::Redis {
        let more = [
            "session_store_memory_bytes",
            "session_store_evicted_keys_total",
            "session_store_expired_keys_total",
            "session_store_keys_without_expiry",
        ];
        expected.extend(more.map(name));
    }
    expected.sort();
    for more in [&[][..], &["--exact"]] {
        let told = samples(&metrics(&store.url, more).exits(0).stdout);
        assert!(told.keys().eq(&expected), "{told:?}");
        if kind != Kind::Sqlite {
            assert_eq!(told[&name("session_store_up")], 1.0);
            let skew = told[&name("session_clock_skew_seconds")];
            assert!(skew.abs() < 1.0, "{skew}");
        }
        if !more.is_empty() {
            let counts = (told[&rows("live")], told[&rows("expired")]);
            assert_eq!(counts, (3.0, f64::from(expired)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_redis_are_those_of_its_server() {
    let redis = RedisServer::start(&["--maxmemory", "50mb"]);
    let store = tower_sealed_session::store::connect(&redis.url()).await;
    let app = app(SessionLayer::new(keys()).store(store.expect("a server")));
    for _ in 0..2200 {
        Visitor::default().get(&app, "/cart").await;
    }
    // all keys lose their expiry: a run looks at some of them, or at all
    let persist = "for _, key in ipairs(redis.call('KEYS', 'session:*')) do \
                   redis.call('PERSIST', key) end";
    let mut command = cmd("EVAL");
    let _: redis::Value = redis_client::run(&redis.url(), command.arg(persist).arg(0)).await;
    let told = |more: &[&str]| {
        let told = samples(&metrics(&redis.url(), more).exits(0).stdout);
        move |name: &str| told[&format!("session_store_{name}{{store=\"redis\"}}")]
    };
    let some = told(&[]);
    assert_eq!(some("memory_limit_bytes"), f64::from(50 << 20));
    let used = info(&redis.url(), "used_memory") as f64;
    assert!((some("memory_bytes") - used).abs() < used / 5.0);
    let sampled = some("keys_without_expiry");
    assert!((500.0..1500.0).contains(&sampled), "{sampled}");
    assert_eq!(told(&["--exact"])("keys_without_expiry"), 2200.0);
}

#[test]
fn server_that_is_down_is_a_metric_and_an_error() {
    for (url, label) in [
        ("redis://127.0.0.1:1/0", "redis"),
        ("valkey://127.0.0.1:1", "redis"),
        ("postgresql://127.0.0.1:1/db", "postgres"),
        ("mariadb://127.0.0.1:1/db", "mysql"),
    ] {
        let gone = metrics(url, &[]).exits(4);
        assert!(gone.stderr.contains("127.0.0.1:1"), "{gone:?}");
        let up = format!("session_store_up{{store=\"{label}\"}}");
        assert_eq!(samples(&gone.stdout), BTreeMap::from([(up, 0.0)]));
        // the URL may come from the environment
        let again = run_with(&["stats", "--prometheus"], b"", |command| {
            command.env("SESSION_STORE_URL", url)
        });
        assert_eq!(again.exits(4).stdout, gone.stdout);
    }
    // a file is no server
    let gone = metrics("sqlite:/no/such/file", &[]).exits(4);
    assert!(gone.stdout.is_empty(), "{gone:?}");
    for url in ["", "gopher://127.0.0.1", "memory:", "redis://:hunter2@host"] {
        let refused = metrics(url, &[]).exits(2);
        assert!(refused.stdout.is_empty(), "{refused:?}");
    }
}

/// A server whose sockets take connections, but which says nothing, and one without the table.
#[tokio::test(flavor = "multi_thread")]
async fn server_that_answers_is_up_even_if_the_table_is_missing() {
    let redis = RedisServer::start(&[]);
    redis.stop();
    let began = Instant::now();
    let silent = metrics(&redis.url(), &[]).exits(4);
    assert!(began.elapsed() < Duration::from_secs(20));
    redis.go_on();
    let up = |label| format!("session_store_up{{store=\"{label}\"}}");
    assert_eq!(
        samples(&silent.stdout),
        BTreeMap::from([(up("redis"), 0.0)])
    );

    let store = TestStore::new(Kind::Postgres).await;
    let database = store.url.rsplit(['/', '?']).nth(1).expect("a database");
    let server = crate::stores::sql_server::shared(crate::stores::sql_server::Engine::Postgres);
    server
        .execute(database, "drop table sessions cascade")
        .await;
    let bare = metrics(&store.url, &["--exact"]).exits(4);
    assert!(bare.stderr.contains("table"), "{bare:?}");
    assert_eq!(
        samples(&bare.stdout),
        BTreeMap::from([(up("postgres"), 1.0)])
    );
}

/// The line for cron, as it is printed.
#[tokio::test(flavor = "multi_thread")]
async fn documented_line_for_cron_writes_the_file_also_while_the_server_is_down() {
    let readme = include_str!("../../../cli/README.md");
    let line = readme
        .lines()
        .find(|line| line.starts_with("* * * * * app "));
    let line = line.expect("a line for cron").replace("* * * * * app ", "");
    let folder = Folder::new();
    let path = folder.0.to_str().expect("UTF-8");
    let line = line.replace("/var/lib/prometheus/node-exporter", path);
    let line = line.replace("/etc/app", path);
    let mut redis = RedisServer::start(&[]);
    write(&folder.0, "store-url", redis.url() + "\n");
    let cron = || {
        let mut sh = Command::new("sh");
        let program = program(&[]);
        let programs = std::path::Path::new(program.get_program()).parent();
        let programs = programs.expect("a folder").display();
        let path = std::env::var("PATH").expect("a path");
        sh.args(["-c", &line]).env_clear();
        let ran = ended(sh.env("PATH", format!("{programs}:{path}")), b"").exits(0);
        let file = std::fs::read_to_string(folder.0.join("session_store.prom"));
        (ran.stderr, samples(&file.expect("a file")))
    };
    let up = r#"session_store_up{store="redis"}"#;
    let (errors, told) = cron();
    assert_eq!((&*errors, told[up]), ("", 1.0));
    redis.kill();
    let (errors, told) = cron();
    assert!(errors.contains("redis"), "{errors}");
    assert_eq!(told, BTreeMap::from([(up.to_owned(), 0.0)]));
    assert_eq!(std::fs::read_dir(path).expect("a folder").count(), 2);
    // it is what the help of the option says
    let help = run(&["stats", "--help"]).exits(0).stdout;
    assert!(help.contains("session_store_up"), "{help}");
}
