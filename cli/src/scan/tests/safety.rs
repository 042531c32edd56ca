//! Safety, errors and speed.

use super::*;

#[cfg(unix)]
#[test]
fn symbolic_links_are_not_followed() {
    let repo = Repo::new();
    let other = TempDir::new().expect("a folder");
    fs::write(other.path().join("parsed_sessions.json"), SESSIONS).expect("written");
    std::os::unix::fs::symlink(other.path(), repo.file("folder")).expect("linked");
    let target = other.path().join("parsed_sessions.json");
    std::os::unix::fs::symlink(target, repo.file("parsed_sessions.json")).expect("linked");
    repo.commit_all();
    assert_clean(&repo.scan());
}

#[test]
fn a_folder_that_is_no_repository_is_an_error() {
    let folder = TempDir::new().expect("a folder");
    let error = scan(folder.path(), &Options::default()).expect_err("no repository");
    assert!(matches!(error, ScanError::NotARepository(_)), "{error}");
    let missing = folder.path().join("missing");
    let error = scan(&missing, &Options::default()).expect_err("no folder");
    assert!(matches!(error, ScanError::NoSuchFolder(_)), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("is not a folder; give the folder of a repository")
    );
}

#[cfg(unix)]
#[test]
fn the_repository_of_another_user_is_an_error_with_a_remedy() {
    let repo = Repo::new();
    let owned = std::os::unix::fs::chown(repo.path(), Some(65534), None)
        .and_then(|()| std::os::unix::fs::chown(repo.file(".git"), Some(65534), None));
    if owned.is_err() {
        // Only root can give a folder away.
        return;
    }
    let error = scan(repo.path(), &Options::default()).expect_err("refused");
    assert!(matches!(error, ScanError::DubiousOwnership(_)), "{error}");
    let path = repo.path().display();
    assert!(
        error
            .to_string()
            .contains(&format!("--add safe.directory '{path}'"))
    );
}

#[cfg(unix)]
#[test]
fn names_of_any_bytes_are_found_and_shown_safely() {
    use std::os::unix::ffi::OsStrExt;

    let repo = Repo::new();
    let names: [&[u8]; 4] = [
        b"a\x1b]0;x\x07.parsed_sessions.json",
        b"b\n:100644 parsed_sessions.json",
        b"c\xff\xfe/parsed_sessions.json",
        b":(top)d \"\\parsed_sessions.json",
    ];
    for (number, name) in names.iter().enumerate() {
        let content = SESSIONS.replace("A", &format!("A{number}"));
        repo.write(OsStr::from_bytes(name), content);
    }
    let report = repo.scan();
    assert_eq!(report.not_ignored.len(), 4, "{report:#?}");
    repo.commit_all();
    let mut report = repo.scan();
    assert_eq!(report.incomplete.len(), 0, "{report:#?}");
    assert_eq!(report.findings.len(), 4);
    report.tracked.sort();
    let wanted = [
        ":(top)d \"\\\\parsed_sessions.json",
        "a\\u{1b}]0;x\\u{7}.parsed_sessions.json",
        "b\\n:100644 parsed_sessions.json",
        "c\\xff\\xfe/parsed_sessions.json",
    ];
    assert_eq!(report.tracked, wanted);
    for finding in &report.findings {
        assert_eq!(finding.places.len(), 3, "{finding:#?}");
        let path = finding.path.as_deref().expect("a path");
        assert!(wanted.contains(&path));
        assert_eq!(commits_of(&finding.places[2])[0].1, path);
    }
}

#[cfg(unix)]
#[test]
fn a_scan_writes_nothing_and_runs_no_program_of_the_repository() {
    use std::os::unix::fs::PermissionsExt;

    let repo = Repo::new();
    repo.commit(".gitattributes", "* filter=evil diff=evil\n");
    repo.commit("sessions", SESSIONS);
    // A commit with a signature.
    let tree = repo.git(["rev-parse", "HEAD^{tree}"]);
    let parent = repo.git(["rev-parse", "HEAD"]);
    let person = "T <t@example.com> 1709467200 +0000";
    let signature = "-----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----";
    let commit = format!(
        "tree {tree}\nparent {parent}\nauthor {person}\ncommitter {person}\ngpgsig {signature}\n\nx\n"
    );
    let arguments = ["hash-object", "-t", "commit", "-w", "--stdin"];
    let commit = git_with_input(repo.path(), &arguments, commit.as_bytes());
    repo.git(["update-ref", "refs/heads/main", &commit]);
    // A change, which would make `git status` run the filter.
    repo.write("sessions", SESSIONS.replace("A", "B"));

    let program = repo.file(".git/evil");
    let ran = repo.file(".git/ran");
    fs::write(
        &program,
        format!("#!/bin/sh\necho \"$0 $*\" >> {}\ncat\n", ran.display()),
    )
    .expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    let program = program.to_str().expect("UTF-8");
    for setting in [
        "core.fsmonitor",
        "core.editor",
        "core.pager",
        "core.sshCommand",
        "core.alternateRefsCommand",
        "credential.helper",
        "diff.external",
        "diff.evil.command",
        "diff.evil.textconv",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "gpg.program",
        "pager.log",
    ] {
        repo.git(["config", setting, program]);
    }
    repo.git(["config", "log.showSignature", "true"]);
    fs::create_dir_all(repo.file(".git/hooks")).expect("created");
    for hook in [
        "post-index-change",
        "reference-transaction",
        "fsmonitor-watchman",
    ] {
        fs::copy(program, repo.file(&format!(".git/hooks/{hook}"))).expect("copied");
    }
    let _ = fs::remove_file(&ran);

    let before = snapshot(repo.path());
    let report = repo.scan();
    assert_eq!(report.findings.len(), 2, "{report:#?}");
    assert_eq!(reasons(&report), []);
    assert!(
        !ran.exists(),
        "{}",
        fs::read_to_string(ran).unwrap_or_default()
    );
    assert_eq!(snapshot(repo.path()), before);
}

#[test]
fn ten_thousand_commits_are_scanned() {
    let repo = Repo::empty();
    let mut stream = Vec::new();
    for number in 0..10_000 {
        let content = match number {
            5_000 => SESSIONS.to_owned(),
            _ => format!("line\n{number}\n").repeat(200),
        };
        let path = format!("d{}/e{}/f{}", number % 20, number % 10, number % 1_000);
        let time = 1_700_000_000 + number;
        write!(
            stream,
            "commit refs/heads/main\ncommitter T <t@example.com> {time} +0000\ndata 1\nx\n\
             M 100644 inline {path}\ndata {}\n{content}\n",
            content.len()
        )
        .expect("written");
    }
    git_with_input(repo.path(), &["fast-import", "--quiet"], &stream);
    repo.git(["reset", "--quiet", "--hard"]);
    let start = Instant::now();
    let report = repo.scan();
    println!(
        "10 000 commits, {} objects: {:?}",
        report.objects,
        start.elapsed()
    );
    assert_eq!(report.commits, 10_000);
    assert_eq!(only(&report).places.len(), 1);
}

/// Variables of this process cannot be set while other tests run, so another process is started.
#[test]
fn variables_of_the_caller_do_not_change_a_scan() {
    let test = "scan::tests::places::a_committed_file_is_found_everywhere_it_is";
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_NAMESPACE",
        "GIT_CONFIG_PARAMETERS",
        "GIT_EXTERNAL_DIFF",
        "GIT_SHALLOW_FILE",
    ] {
        command.env(name, "/nowhere");
    }
    let output = command.args([test, "--exact"]).output().expect("started");
    let shown = text(&output);
    assert!(shown.contains("1 passed"), "{shown}");
}
