//! The guide `from_a_file`: its commands, run as they are printed, and the app of the example.

use std::{path::Path, process::Command};

use super::run_with;
use crate::{
    processes::{Curl, Folder, Server, example, programs},
    support::SECRET,
};

/// The commands of the guide.
fn commands() -> String {
    let guide = include_str!("../../../src/guide/from_a_file.md");
    let mut lines = guide.lines();
    let mut commands = String::new();
    while lines.by_ref().any(|line| line == "```sh") {
        for line in lines.by_ref().take_while(|line| *line != "```") {
            commands += line;
            commands.push('\n');
        }
    }
    commands
}

fn git(folder: &Path, arguments: &[&str]) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]);
    let done = git
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("git runs");
    assert!(done.status.success(), "{arguments:?}: {done:?}");
}

#[test]
fn commands_of_the_guide_work_as_they_are_printed() {
    let folder = Folder::new();
    let repository = folder.0.join("app");
    std::fs::create_dir(&repository).expect("a folder");
    git(&repository, &["init", "-q", "."]);
    for theme in ["light", "dark"] {
        let file = format!(
            r#"{{"3f2a90": {{"env_vars": {{"THEME": "{theme}"}}, "user_id": "ada"}}, "77c1d4": {{"env_vars": {{}}, "user_id": "bob"}}}}"#
        );
        std::fs::write(repository.join("parsed_sessions.json"), file).expect("a file");
        std::fs::write(repository.join("app.py"), theme).expect("a file");
        git(&repository, &["add", "."]);
        git(&repository, &["commit", "-q", "-m", theme]);
    }
    let commands = commands();
    assert!(commands.lines().count() > 20, "{commands}");
    // prints each command that fails
    let script = format!("trap 'echo \"FAILED: $BASH_COMMAND\"' ERR\nset -E\n{commands}");
    let path = std::env::var("PATH").expect("a path");
    let path = format!("{}:{path}", programs().display());
    let mut bash = Command::new("bash");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("SESSION_") || text.starts_with("GIT_") || text == "REDIS_URL" {
            bash.env_remove(name);
        }
    }
    let output = bash
        .args(["-c", &script])
        .current_dir(&repository)
        .env("PATH", path)
        .env("HOME", &folder.0)
        .envs([
            ("GIT_AUTHOR_NAME", "a"),
            ("GIT_AUTHOR_EMAIL", "a@example.com"),
        ])
        .envs([
            ("GIT_COMMITTER_NAME", "a"),
            ("GIT_COMMITTER_EMAIL", "a@example.com"),
        ])
        .output()
        .expect("bash runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    let all = format!("{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    let failed: Vec<_> = shown
        .lines()
        .filter(|line| line.starts_with("FAILED"))
        .collect();
    // the first one finds the file in the history, so the other one is refused
    let expected = [
        "FAILED: sealed-session scan",
        "FAILED: sealed-session import parsed_sessions.json --accept-old-ids",
    ];
    assert_eq!(failed, expected, "{all}");
    assert!(shown.lines().any(|line| line == "clean"), "{all}");
    assert!(shown.contains("read back"), "{all}");
    let backup = repository.join("sessions.db.backup");
    let backup = std::fs::read(backup).expect("a backup");
    assert!(backup.len() > 4096);
    assert!(!backup.windows(4).any(|part| part == b"dark"));
}

#[test]
fn users_of_the_old_app_keep_their_settings_in_the_new_one() {
    let folder = Folder::new();
    let theme = |server: &Server, curl: &Curl, path: &str, field: &str| {
        curl.get_at(server, path, &["--data", field]).0
    };
    let ada = Curl::new();
    {
        let mut before = example("onboarding");
        let before = Server::run(before.arg("before").current_dir(&folder.0));
        theme(&before, &ada, "/login", "name=ada");
        theme(&before, &ada, "/theme", "theme=dark");
        assert_eq!(ada.get_at(&before, "/", &[]).0, "hello ada, theme dark");
    }
    let database = folder.0.join("sessions.db");
    let url = format!("sqlite:{}", database.display());
    std::fs::write(&database, "").expect("a file");
    let start = || {
        let mut after = example("onboarding");
        after.arg("after").current_dir(&folder.0);
        Server::run(after.envs([("SESSION_SECRET", SECRET), ("SESSION_STORE_URL", &url)]))
    };
    drop(start()); // creates the schema
    let file = folder.0.join("parsed_sessions.json");
    let file = file.to_str().expect("UTF-8");
    let imported = run_with(&["import", file], b"", |command| {
        command.env("SESSION_STORE_URL", &url)
    });
    imported.exits(0);
    let after = start();
    assert_eq!(ada.get_at(&after, "/", &[]).0, "nobody");
    theme(&after, &ada, "/login", "name=ada");
    assert_eq!(ada.get_at(&after, "/", &[]).0, "hello ada, theme dark");
    theme(&after, &ada, "/theme", "theme=blue");
    assert_eq!(ada.get_at(&after, "/", &[]).0, "hello ada, theme blue");
}
