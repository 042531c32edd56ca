//! `keygen`, and where the other commands find the secret.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use tower_sealed_session::{Secret, testing};

use super::{Run, run, run_with, write};
use crate::{
    processes::Folder,
    stores::redis_server::RedisServer,
    support::{NAME, OTHER_SECRET, SECRET, layer},
};

#[test]
fn generated_secret_has_43_characters_and_the_library_takes_it() {
    let made = run(&["keygen"]).exits(0);
    let secret = made.stdout.strip_suffix('\n').expect("a line");
    assert_eq!(secret.len(), 43);
    assert!(made.stderr.is_empty());
    Secret::new(secret).expect("a good one");
    let other = run(&["keygen", "--json"]).exits(0).json();
    let other = other["secret"].as_str().expect("a text");
    Secret::new(other).expect("a good one");
    assert_ne!(secret, other);
    let line = run(&["keygen", "--env"]).exits(0).stdout;
    let third = line.trim_end().strip_prefix("SESSION_SECRET=");
    Secret::new(third.expect("a variable")).expect("a good one");
    // another command takes it from the environment
    let env = [
        ("SESSION_SECRET", secret),
        ("SESSION_SECRET_FALLBACKS", other),
    ];
    run_with(&["keyset"], b"", |command| command.envs(env)).exits(0);
}

#[test]
fn generated_file_is_readable_by_its_owner_only_and_never_overwritten() {
    let folder = Folder::new();
    let path = folder.0.join("secret");
    let text = path.to_str().expect("UTF-8");
    let made = run(&["keygen", "-o", text]).exits(0);
    assert!(made.stdout.is_empty(), "{made:?}");
    assert!(made.stderr.contains(text), "{made:?}");
    let secret = fs::read_to_string(&path).expect("a file");
    Secret::new(secret.trim_end()).expect("a good one");
    assert!(!made.stderr.contains(secret.trim_end()));
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let again = run(&["keygen", "-o", text]).exits(2);
    assert!(again.stderr.contains(text), "{again:?}");
    assert_eq!(fs::read_to_string(&path).expect("a file"), secret);
    // nor is a file made where a link leads
    let (link, target) = (folder.0.join("link"), folder.0.join("target"));
    symlink(&target, &link).expect("a link");
    run(&["keygen", "--output", link.to_str().expect("UTF-8")]).exits(2);
    assert!(!target.exists());

    let file = run_with(&["keyset"], b"", |command| {
        command
            .env_remove("SESSION_SECRET")
            .env("SESSION_SECRET_FILE", text)
    });
    file.exits(0);
}

fn with(env: &[(&str, &str)], arguments: &[&str]) -> Run {
    run_with(arguments, b"", |command| {
        command
            .env_remove("SESSION_SECRET")
            .envs(env.iter().copied())
    })
}

#[test]
fn bad_secrets_in_the_environment_are_refused_and_not_shown() {
    let folder = Folder::new();
    let file = write(&folder.0, "secret", SECRET);
    let long = "weak-canary-".repeat(4);
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[], "SESSION_SECRET is not set"),
        (&[("SESSION_SECRET", "")], "empty"),
        (&[("SESSION_SECRET", "canary")], "too short"),
        (&[("SESSION_SECRET", &long)], "SESSION_SECRET is refused"),
        (
            &[("SESSION_SECRET", SECRET), ("SESSION_SECRET_FILE", &file)],
            "SESSION_SECRET_FILE",
        ),
        (
            &[
                ("SESSION_SECRET", SECRET),
                ("SESSION_SECRET_FALLBACKS", "canary"),
            ],
            "SESSION_SECRET_FALLBACKS",
        ),
        (
            &[("SESSION_SECRET_FILE", "/no/such/file")],
            "SESSION_SECRET_FILE",
        ),
    ];
    for (env, told) in cases {
        for command in [&["inspect", "x"][..], &["keyset"], &["stats", "--exact"]] {
            let refused = with(env, command).exits(2);
            assert!(refused.stdout.is_empty(), "{refused:?}");
            assert!(refused.stderr.contains(told), "{env:?}: {refused:?}");
            for secret in [SECRET, "canary"] {
                assert!(!refused.stderr.contains(secret), "{refused:?}");
            }
        }
    }
}

#[test]
fn key_file_has_the_secret_then_its_fallbacks_and_comments() {
    let folder = Folder::new();
    let text = format!("# made today\n{OTHER_SECRET}\n\n  # before that\n {SECRET}  \r\n");
    let file = write(&folder.0, "keys", &text);
    let session = testing::session(&layer());
    session.insert("a", 1).expect("it is small");
    let cookie = testing::cookie(&layer(), &session).expect("entropy");
    let cookie = cookie.to_str().expect("ASCII");
    // the variable does not count
    let inspect = ["inspect", cookie, "--json", "--key-file", &file];
    let inspected = with(&[("SESSION_SECRET", "hunter2")], &inspect).exits(0);
    assert_eq!(inspected.json()["key"]["is"], "fallback");
    // from stdin
    let inspect = ["inspect", cookie, "--json", "--key-file", "-"];
    let inspected = run_with(&inspect, SECRET.as_bytes(), |command| command).exits(0);
    assert_eq!(inspected.json()["key"]["is"], "current");
}

#[test]
fn bad_key_files_are_refused_and_not_shown() {
    let folder = Folder::new();
    let cut_off = format!("{SECRET}\n").repeat(400);
    let cases = [
        ("empty", String::new(), "has no secret"),
        ("comments", format!("# {SECRET}\n"), "has no secret"),
        ("weak", "canary\n".to_owned(), "too short"),
        ("fallback", format!("{SECRET}\ncanary\n"), "too short"),
        ("long", cut_off, "16 KiB"),
    ];
    for (name, text, told) in cases {
        let file = write(&folder.0, name, text);
        let refused = run(&["keyset", "--key-file", &file]).exits(2);
        assert!(refused.stderr.contains(told), "{refused:?}");
        assert!(refused.stderr.contains(&file), "{refused:?}");
        for secret in [SECRET, "canary"] {
            assert!(!refused.stderr.contains(secret), "{refused:?}");
        }
    }
    let folder = folder.0.to_str().expect("UTF-8");
    for unreadable in ["/no/such/file", folder, "/dev/zero"] {
        let refused = run(&["keyset", "--key-file", unreadable]).exits(2);
        assert!(refused.stderr.contains(unreadable), "{refused:?}");
    }
}

#[test]
fn only_one_argument_can_read_stdin() {
    let folder = Folder::new();
    let store = format!("sqlite:{}", write(&folder.0, "empty.db", ""));
    let commands: [&[&str]; 3] = [
        &["inspect", "-"],
        &["sessions", "-"],
        &["revoke", "--owner", "-"],
    ];
    let key_file = ["--key-file", "-", "--store", &store];
    let commands = commands.map(|command| [command, &key_file[..]].concat());
    for command in &commands {
        let refused = run_with(command, SECRET.as_bytes(), |command| command).exits(2);
        assert!(refused.stderr.contains("stdin"), "{command:?}: {refused:?}");
        assert!(!refused.stderr.contains(SECRET), "{refused:?}");
    }
}

/// Also not the password of the store, when it is right and when it is wrong.
#[test]
fn no_command_shows_a_secret_or_a_password() {
    let redis = RedisServer::start(&["--requirepass", "pass-canary"]);
    let folder = Folder::new();
    let file = write(&folder.0, "s.json", r#"{"a": {"user_id": "b"}}"#);
    let keys = write(&folder.0, "keys", format!("{SECRET}\n{OTHER_SECRET}\n"));
    let path = folder.0.to_str().expect("UTF-8");
    let cookie = format!("{NAME}={SECRET}");
    let commands: [&[&str]; 15] = [
        &["keygen", "-o", "/dev/null"],
        &["inspect", &cookie, "--show-values"],
        &["inspect", &cookie, "--ask-store"],
        &["inspect", "x", "--key-file", &keys],
        &["keyset"],
        &["scan", path],
        &["import", &file],
        &["verify", &file],
        &["sessions", "ada"],
        &["revoke", "--owner", "ada"],
        &["prune"],
        &["stats"],
        &["stats", "--exact"],
        &["completions", "bash"],
        &["man"],
    ];
    let urls = [
        format!("redis://:pass-canary@127.0.0.1:{}/0", redis.port),
        format!("redis://:pass-canary-2@127.0.0.1:{}/0", redis.port),
        "redis://:pass-canary@127.0.0.1:1/0".to_owned(),
        "postgres://app:pass-canary@127.0.0.1:1/db".to_owned(),
        "mysql://app:pass-canary@127.0.0.1:1/db".to_owned(),
        "gopher://app:pass-canary@127.0.0.1:1/db".to_owned(),
    ];
    for url in &urls {
        for command in commands {
            for json in [&[][..], &["--json"]] {
                let run = run_with(&[command, json].concat(), b"x", |command| {
                    let command = command.env("SESSION_STORE_URL", url);
                    let command = command.env("REVOCATIONS_URL", url);
                    command.env("SESSION_SECRET_FALLBACKS", OTHER_SECRET)
                });
                assert!([0, 1, 2, 4].contains(&run.code), "{command:?} {run:?}");
                let shown = run.stdout + &run.stderr;
                for canary in [SECRET, OTHER_SECRET, "pass-canary"] {
                    assert!(!shown.contains(canary), "{command:?}: {shown}");
                }
            }
        }
    }
}
