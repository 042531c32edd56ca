//! `scan`, on small repositories. Its own tests have the details.

use std::{path::Path, process::Command};

use super::{ended, run, write};
use crate::processes::Folder;

const SESSIONS: &str =
    r#"{"id-canary": {"env_vars": {"TOKEN": "value-canary"}, "user_id": "owner-canary"}}"#;

pub(super) fn git(folder: &Path, arguments: &[&str]) {
    let mut git = Command::new("git");
    git.current_dir(folder)
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
        .args([
            "-c",
            "protocol.file.allow=always",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments);
    ended(&mut git, b"").exits(0);
}

/// A repository with one commit.
pub(super) fn repository() -> Folder {
    let folder = Folder::new();
    git(&folder.0, &["init", "--quiet"]);
    commit(&folder, "README.md", "nothing to see\n");
    folder
}

pub(super) fn commit(folder: &Folder, name: &str, content: &str) {
    write(&folder.0, name, content);
    git(&folder.0, &["add", "--all"]);
    git(&folder.0, &["commit", "--quiet", "--message", "a change"]);
}

pub(super) fn path(folder: &Folder) -> &str {
    folder.0.to_str().expect("UTF-8")
}

#[test]
fn clean_repository_is_exit_code_0() {
    let folder = repository();
    let clean = run(&["scan", path(&folder)]).exits(0);
    assert!(
        clean.stdout.ends_with("were looked at\nclean\n"),
        "{clean:?}"
    );
    assert!(clean.stderr.is_empty(), "{clean:?}");
    let json = run(&["scan", path(&folder), "--json"]).exits(0).json();
    assert_eq!(
        (&json["commits"], &json["findings"]),
        (&1.into(), &Vec::<u8>::new().into())
    );
    // the current folder
    let here = super::run_with(&["scan"], b"", |command| command.current_dir(&folder.0));
    assert_eq!(here.exits(0).stdout, clean.stdout);
}

#[test]
fn session_file_is_found_and_its_content_is_not_shown() {
    let folder = repository();
    commit(&folder, "parsed_sessions.json", SESSIONS);
    git(&folder.0, &["rm", "--quiet", "parsed_sessions.json"]);
    git(&folder.0, &["commit", "--quiet", "--message", "removed"]);
    let found = run(&["scan", path(&folder)]).exits(1);
    for told in [
        "session-file: parsed_sessions.json",
        "1 session,",
        "in the history",
        "FOUND",
    ] {
        assert!(found.stdout.contains(told), "{found:?}");
    }
    let json = run(&["scan", path(&folder), "--json"]).exits(1);
    let finding = json.json()["findings"][0].clone();
    assert_eq!(finding["rule"], "session-file");
    assert_eq!(finding["path"], "parsed_sessions.json");
    assert_eq!(finding["entries"], 1);
    assert_eq!(finding["places"][0]["where"], "history");
    assert!(finding["fingerprint"].is_string());
    for run in [found, json] {
        assert!(!(run.stdout + &run.stderr).contains("canary"));
    }
}

#[test]
fn names_of_session_files_can_be_given() {
    let folder = repository();
    commit(&folder, "old.bin", "unreadable");
    run(&["scan", path(&folder)]).exits(0);
    let found = run(&["scan", path(&folder), "--name", "*.bin"]).exits(1);
    assert!(
        found.stdout.contains("session-file-name: old.bin"),
        "{found:?}"
    );
}

#[test]
fn repository_that_is_not_whole_is_exit_code_6() {
    let (folder, clone) = (repository(), Folder::new());
    commit(&folder, "more", "more\n");
    let from = format!("file://{}", path(&folder));
    git(
        &clone.0,
        &["clone", "--quiet", "--depth", "1", &from, "shallow"],
    );
    let shallow = clone.0.join("shallow");
    let shallow = shallow.to_str().expect("UTF-8");
    let incomplete = run(&["scan", shallow]).exits(6);
    assert!(incomplete.stdout.contains("not seen: "), "{incomplete:?}");
    assert!(incomplete.stdout.contains("INCOMPLETE"), "{incomplete:?}");
    let json = run(&["scan", shallow, "--json"]).exits(6).json();
    assert_eq!(json["incomplete"][0]["reason"], "shallow");
    let hurried = run(&["scan", path(&folder), "--time-limit", "0s"]);
    assert!(!hurried.exits(6).stdout.contains("clean"));
}

#[test]
fn folder_that_is_no_repository_is_refused() {
    let folder = Folder::new();
    let refused = run(&["scan", path(&folder)]).exits(2);
    assert!(refused.stdout.is_empty(), "{refused:?}");
    assert!(
        refused.stderr.contains("not in a git repository"),
        "{refused:?}"
    );
    run(&["scan", "/no/such/folder"]).exits(2);
}
