//! Where the output goes, and what happens when nobody takes it.

use std::{
    fs::File,
    process::{Command, Stdio},
};

use super::{Kind, Run, TestStore, ended, program, run, write};
use crate::processes::Folder;

/// Runs a command line of bash in which `$PROGRAM` is the program.
fn bash(line: &str) -> Run {
    let program = program(&[]);
    let mut bash = Command::new("bash");
    bash.args(["-c", line])
        .env("PROGRAM", program.get_program());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => bash.env(name, value),
            None => bash.env_remove(name),
        };
    }
    ended(&mut bash, b"")
}

#[test]
fn reader_that_leaves_early_ends_the_program_quietly() {
    for command in [
        "completions zsh",
        "man",
        "schema postgres",
        "keyset 2>&-",
        "keygen",
    ] {
        let run = bash(&format!(
            "\"$PROGRAM\" {command} | true; echo ${{PIPESTATUS[0]}}"
        ));
        // it may have been faster than its reader
        assert!(
            ["0\n", "141\n"].contains(&&*run.stdout),
            "{command}: {run:?}"
        );
        assert!(!run.stderr.contains("panicked"), "{run:?}");
        let slow = format!(
            "(sleep 0.3; \"$PROGRAM\" {command}) 2>&1 | exec true; echo ${{PIPESTATUS[0]}}"
        );
        let run = bash(&slow);
        assert_eq!((&*run.stdout, &*run.stderr), ("141\n", ""), "{command}");
    }
    let head = bash("\"$PROGRAM\" schema postgres | head -1");
    assert_eq!((head.stdout.lines().count(), &*head.stderr), (1, ""));
    bash("(sleep 0.3; \"$PROGRAM\" --help) | exec true").exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_stderr_does_not_stop_a_command() {
    let store = TestStore::new(Kind::Sqlite).await;
    let file = r#"{"a": {"user_id": 1e400}, "b": 1, "c": {"user_id": "c"}}"#;
    let file = write(&store.folder.0, "sessions.json", file);
    let url = &store.url;
    for (command, code) in [
        (format!("sessions ada --store {url}"), 0),
        (format!("import {file} --store {url} --json"), 5),
        ("keyset".to_owned(), 0),
        ("keygen -o /no/such/folder/x".to_owned(), 2),
        ("nope".to_owned(), 2),
    ] {
        // a pipe that nobody reads, and no file at all
        let pipe = format!("(sleep 0.3; exec \"$PROGRAM\" {command} 2>&1 >/dev/null) | exec true");
        bash(&format!("{pipe}; exit ${{PIPESTATUS[0]}}")).exits(code);
        bash(&format!("exec \"$PROGRAM\" {command} 2>&-")).exits(code);
    }
}

#[test]
fn result_that_cannot_be_written_is_an_error() {
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("a device");
    let output = program(&["keygen"])
        .stdin(Stdio::null())
        .stdout(full)
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(5));
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(told.contains("cannot write the result"), "{told}");
}

/// Also when the flag comes before the command.
#[tokio::test(flavor = "multi_thread")]
async fn json_is_one_line_on_stdout() {
    let store = TestStore::new(Kind::Sqlite).await;
    let (folder, url) = (Folder::new(), &*store.url);
    let file = write(&folder.0, "s.json", r#"{"a": {"user_id": "b"}}"#);
    let commands: [(&[&str], i32); 11] = [
        (&["keygen"], 0),
        (&["keyset"], 0),
        (&["inspect", "x"], 1),
        (&["import", &file, "--store", url], 0),
        (&["verify", &file, "--store", url], 0),
        (&["sessions", "b", "--store", url], 0),
        (&["revoke", "--owner", "b", "--store", url], 0),
        (&["prune", "--store", url], 0),
        (&["stats", "--store", url], 0),
        (&["stats", "--exact", "--store", url], 0),
        (&["schema", "sqlite"], 0),
    ];
    for (command, code) in commands {
        for arguments in [
            [&["--json"], command].concat(),
            [command, &["--json"]].concat(),
        ] {
            let run = run(&arguments).exits(code);
            assert_eq!(run.stdout.lines().count(), 1, "{run:?}");
            run.json();
        }
    }
}
