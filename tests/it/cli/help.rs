//! Help, completions and man pages.

use std::process::Command;

use super::{Run, ended, on_a_terminal, run, run_with, write};
use crate::processes::Folder;

const COMMANDS: [&str; 15] = [
    "keygen",
    "inspect",
    "keyset",
    "scan",
    "import",
    "verify",
    "move",
    "sessions",
    "revoke",
    "prune",
    "stats",
    "schema",
    "doctor",
    "completions",
    "man",
];

/// The help of the program and of each command, short and long.
fn helps() -> impl Iterator<Item = (String, Run)> {
    let commands = std::iter::once(None).chain(COMMANDS.map(Some));
    commands.flat_map(|command| {
        ["-h", "--help"].map(|flag| {
            let arguments: Vec<_> = command.into_iter().chain([flag]).collect();
            (arguments.join(" "), run(&arguments))
        })
    })
}

#[track_caller]
fn fits_80_columns(name: &str, text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{name}: {line}");
    }
}

#[test]
fn help_of_each_command_is_on_stdout_and_fits_80_columns() {
    for (name, help) in helps() {
        let help = help.exits(0);
        assert!(help.stdout.contains("Usage: sealed-session"), "{name}");
        assert!(help.stderr.is_empty(), "{name}: {help:?}");
        assert!(!help.stdout.contains('\x1b'), "{name}: {help:?}");
        fits_80_columns(&name, &help.stdout);
    }
}

#[test]
fn help_lists_every_command() {
    let help = run(&["--help"]).exits(0).stdout;
    let (_, commands) = help.split_once("Commands:\n").expect("commands");
    let (commands, _) = commands.split_once("\n\n").expect("options");
    let first = |line: &str| Some(line.strip_prefix("  ")?.split(' ').next()?.to_owned());
    let listed = commands
        .lines()
        .filter_map(first)
        .filter(|it| !it.is_empty());
    assert_eq!(
        listed.collect::<Vec<_>>(),
        [&COMMANDS[..], &["help"]].concat()
    );
}

/// `cli/src/exit.rs` has the same numbers.
#[test]
fn help_lists_the_exit_codes() {
    let help = run(&["--help"]).exits(0).stdout;
    let (_, codes) = help.split_once("Exit codes:\n").expect("a list");
    let code = |line: &str| {
        line.split_whitespace()
            .next()
            .and_then(|code| code.parse().ok())
    };
    let codes: Vec<u8> = codes.lines().filter_map(code).collect();
    assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 130, 141]);
}

#[test]
fn wrong_arguments_exit_with_2_and_explain_on_stderr() {
    let cases: [(&[&str], &str); 16] = [
        (&[], "Usage: sealed-session"),
        (&["nope"], "nope"),
        (&["--nope"], "--nope"),
        (&["inspect", "--nope"], "--nope"),
        (&["inspect", "--at", "yesterday"], "2026-11-25T09:30:00Z"),
        (&["keyset", "--purpose", "nope"], "paired-cookie"),
        (&["import"], "<FILE>"),
        (&["import", "x", "--jobs", "0"], "1..=1024"),
        (&["sessions"], "<OWNER>"),
        (&["revoke"], "--everything"),
        (&["revoke", "--before", "noon"], "2026-11-25T09:30:00Z"),
        (&["prune", "--every", "0s"], "at least 1s"),
        (&["prune", "--every", "5s", "--dry-run"], "--dry-run"),
        (&["stats", "--prometheus", "--json"], "cannot be combined"),
        (&["--json", "stats", "--prometheus"], "cannot be combined"),
        (&["schema", "oracle"], "postgres, mysql, sqlite"),
    ];
    for (arguments, told) in cases {
        let refused = run(arguments).exits(2);
        assert!(refused.stdout.is_empty(), "{arguments:?}: {refused:?}");
        assert!(refused.stderr.contains(told), "{arguments:?}: {refused:?}");
        // clap does not break the sentence with the error
        let (_, more) = refused.stderr.split_once('\n').expect("lines");
        fits_80_columns(&arguments.join(" "), more);
    }
}

#[test]
fn version_is_that_of_the_package() {
    let version = run(&["--version"]).exits(0).stdout;
    assert_eq!(version, "sealed-session 0.1.0\n");
    assert_eq!(run(&["-V"]).exits(0).stdout, version);
}

#[test]
fn colour_is_used_on_a_terminal_only_and_never_with_no_color() {
    for arguments in [["--help"], ["nope"]] {
        let shown = on_a_terminal(&arguments, &[]);
        assert!(shown.stdout.contains("\x1b["), "{shown:?}");
        fits_80_columns("on a terminal", &without_colour(&shown.stdout));
        let plain = on_a_terminal(&arguments, &[("NO_COLOR", "1")]);
        assert!(!plain.stdout.contains('\x1b'), "{plain:?}");
        assert_eq!(without_colour(&shown.stdout), plain.stdout);
        let piped = run(&arguments);
        assert!(!(piped.stdout + &piped.stderr).contains('\x1b'));
    }
    let both = run_with(&["--help"], b"", |command| command.env("NO_COLOR", "1"));
    assert!(!both.stdout.contains('\x1b'));
}

fn without_colour(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        all + part.split_once('m').expect("only colours").1
    })
}

/// The completions for a shell, in a file of that name.
fn completions(folder: &Folder, shell: &str, name: &str) -> String {
    let text = run(&["completions", shell]).exits(0).stdout;
    write(&folder.0, name, text)
}

#[test]
fn bash_loads_the_completions_and_completes() {
    let folder = Folder::new();
    let file = completions(&folder, "bash", "sealed-session");
    let script = r#"
        set -eu
        source "$1"
        complete -p sealed-session
        function=$(complete -p sealed-session | grep -o -- '-F [^ ]*')
        function=${function#-F }
        set +eu
        COMP_WORDS=(sealed-session key) COMP_CWORD=1
        $function sealed-session key sealed-session
        echo "${COMPREPLY[@]}"
        COMP_WORDS=(sealed-session revoke --ev) COMP_CWORD=2
        $function sealed-session --ev revoke
        echo "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    let done = ended(bash.args(["--norc", "-c", script, "bash", &file]), b"").exits(0);
    assert!(done.stderr.is_empty(), "{done:?}");
    assert!(
        done.stdout.ends_with("keygen keyset\n--everything\n"),
        "{done:?}"
    );
}

#[test]
fn zsh_loads_the_completions() {
    let folder = Folder::new();
    completions(&folder, "zsh", "_sealed-session");
    let script = r#"
        fpath=("$1" $fpath)
        autoload -Uz compinit && compinit -u -d "$1/dump"
        print -r -- "${_comps[sealed-session]}"
        autoload -Uz +X _sealed-session && functions _sealed-session | grep -c -- --everything
    "#;
    let mut zsh = Command::new("zsh");
    let folder = folder.0.as_os_str();
    let done = ended(zsh.args(["-f", "-c", script, "zsh"]).arg(folder), b"").exits(0);
    assert!(done.stderr.is_empty(), "{done:?}");
    assert!(done.stdout.starts_with("_sealed-session\n"), "{done:?}");
}

#[test]
fn fish_loads_the_completions_and_completes() {
    let folder = Folder::new();
    let file = completions(&folder, "fish", "sealed-session.fish");
    let script = format!(
        "source {file}; complete -C 'sealed-session key'; complete -C 'sealed-session revoke --ev'"
    );
    let mut fish = Command::new("fish");
    fish.args(["--no-config", "-c", &script]);
    let done = ended(fish.env("HOME", &folder.0), b"").exits(0);
    assert!(done.stderr.is_empty(), "{done:?}");
    for word in ["keygen\t", "keyset\t", "--everything\t"] {
        assert!(done.stdout.contains(word), "{done:?}");
    }
}

#[test]
fn man_pages_of_all_commands_pass_mandoc_without_a_warning() {
    let folder = Folder::new();
    let path = folder.0.to_str().expect("UTF-8");
    let done = run(&["man", "--all", path]).exits(0);
    assert!(done.stdout.is_empty() && done.stderr.is_empty(), "{done:?}");
    let names = COMMANDS.map(|name| format!("sealed-session-{name}.1"));
    let mut names = names.to_vec();
    names.push("sealed-session.1".to_owned());
    assert_eq!(
        std::fs::read_dir(path).expect("a folder").count(),
        names.len()
    );
    for name in names {
        let file = folder.0.join(&name);
        let mut lint = Command::new("mandoc");
        let lint = ended(lint.args(["-T", "lint", "-W", "warning"]).arg(&file), b"");
        assert_eq!((lint.code, &*lint.stdout), (0, ""), "{lint:?}");
        let mut shown = Command::new("mandoc");
        let shown = ended(shown.args(["-T", "utf8", "-O", "width=78"]).arg(&file), b"").exits(0);
        // bold letters are written twice, with a backspace between them
        let mut text = String::new();
        for char in shown.stdout.chars() {
            match char {
                '\x08' => drop(text.pop()),
                char => text.push(char),
            }
        }
        fits_80_columns(&name, &text);
    }
    let page = run(&["man"]).exits(0).stdout;
    let all = std::fs::read_to_string(folder.0.join("sealed-session.1")).expect("a page");
    assert_eq!(page, all);
    assert!(page.contains(".SH EXIT STATUS") && page.contains("141"));
    assert!(!page.contains("sealed\\-session\\-help"));
}

#[test]
fn man_pages_are_not_written_to_a_folder_that_is_not_there() {
    let refused = run(&["man", "--all", "/no/such/folder"]).exits(2);
    assert!(refused.stderr.contains("/no/such/folder"), "{refused:?}");
}
