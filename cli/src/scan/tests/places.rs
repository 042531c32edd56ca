//! Where files are found.

use super::*;

#[test]
fn a_repository_without_session_files_is_clean() {
    let report = Repo::new().scan();
    assert_clean(&report);
    assert_eq!((report.commits, report.objects, report.files), (1, 2, 1));
    assert_clean(&Repo::empty().scan());
}

#[test]
fn a_committed_file_is_found_everywhere_it_is() {
    let repo = Repo::new();
    let commit = repo.commit("data/parsed_sessions.json", SESSIONS);
    let report = repo.scan();
    let finding = only(&report);
    assert_eq!(finding.rule, Rule::SessionFile);
    assert_eq!(finding.entries, Some(2));
    assert_eq!(finding.size, Some(SESSIONS.len() as u64));
    let path = "data/parsed_sessions.json";
    assert_eq!(finding.path.as_deref(), Some(path));
    let [
        Place::WorkTree {
            path: file,
            ignored: false,
        },
        Place::Index { path: entry },
        history,
    ] = &finding.places[..]
    else {
        panic!("{finding:#?}");
    };
    assert_eq!((file.as_str(), entry.as_str()), (path, path));
    assert!(matches!(history, Place::History(list) if list.commits[0].date == "2024-03-03"));
    assert_eq!(commits_of(history), [(&commit[..12], path)]);
    assert_eq!(report.tracked, [path]);
    assert!(report.not_ignored.is_empty());
    let blob = repo.git(["rev-parse", "HEAD:data/parsed_sessions.json"]);
    assert_eq!(finding.fingerprint, format!("{blob}:session-file"));
    assert_eq!(finding.object, blob[..12]);
}

#[test]
fn a_file_that_was_removed_later_is_found_in_the_old_commit() {
    let repo = Repo::new();
    let commit = repo.commit("parsed_sessions.json", SESSIONS);
    repo.remove("parsed_sessions.json");
    let report = repo.scan();
    let finding = only(&report);
    assert_eq!(finding.places.len(), 1);
    assert!(matches!(finding.places[0], Place::History(_)));
    assert_eq!(
        commits_of(&finding.places[0]),
        [(&commit[..12], "parsed_sessions.json")]
    );
    assert!(report.tracked.is_empty());
}

#[test]
fn a_file_in_a_deleted_branch_is_found_also_after_its_reflog() {
    let repo = Repo::new();
    repo.git(["checkout", "--quiet", "-b", "side"]);
    let commit = repo.commit("a/parsed_sessions.json", SESSIONS);
    repo.git(["checkout", "--quiet", "main"]);
    repo.git(["branch", "--quiet", "-D", "side"]);
    let report = repo.scan();
    let place = &only(&report).places[..];
    assert!(matches!(place, [Place::History(_)]), "{place:?}");

    repo.forget();
    let report = repo.scan();
    let place = &only(&report).places[..];
    assert!(matches!(place, [Place::Unreachable(_)]), "{place:?}");
    assert_eq!(
        commits_of(&place[0]),
        [(&commit[..12], "a/parsed_sessions.json")]
    );
}

#[test]
fn files_in_the_stash_are_found() {
    for (stage, name) in [
        (true, "README"),
        (false, "README"),
        (false, "untracked.txt"),
    ] {
        let repo = Repo::new();
        repo.write(name, SESSIONS);
        if stage {
            repo.git(["add", name]);
        }
        repo.git(["stash", "--quiet", "--include-untracked"]);
        // An older entry is only in the reflog of the stash.
        repo.write("README", "other\n");
        repo.git(["stash", "--quiet"]);
        let report = repo.scan();
        let finding = only(&report);
        let [place @ Place::Stash(_)] = &finding.places[..] else {
            panic!("{finding:#?}");
        };
        assert!(commits_of(place).iter().all(|(_, path)| *path == name));
        assert_eq!(finding.path.as_deref(), Some(name));
    }
}

#[test]
fn an_object_that_nothing_refers_to_is_found() {
    let repo = Repo::new();
    let arguments = ["hash-object", "-w", "--stdin"];
    let blob = git_with_input(repo.path(), &arguments, SESSIONS.as_bytes());
    let report = repo.scan();
    let finding = only(&report);
    assert!(matches!(finding.places[..], [Place::Unreachable(_)]));
    assert_eq!(
        (finding.path.as_deref(), &finding.object[..]),
        (None, &blob[..12])
    );
}

#[test]
fn a_name_is_found_in_an_unreachable_tree() {
    let repo = Repo::new();
    let blob = git_with_input(repo.path(), &["hash-object", "-w", "--stdin"], b"unknown");
    let tree = format!("100644 blob {blob}\tparsed_sessions.json.gz\n");
    git_with_input(repo.path(), &["mktree"], tree.as_bytes());
    let report = repo.scan();
    let finding = only(&report);
    assert_eq!(finding.rule, Rule::SessionFileName);
    assert_eq!(finding.path.as_deref(), Some("parsed_sessions.json.gz"));
    assert_eq!(finding.size, Some(7));
}

#[test]
fn a_renamed_file_is_found_by_its_content() {
    let repo = Repo::new();
    repo.commit("docs/notes.txt", SESSIONS);
    repo.git(["mv", "docs/notes.txt", "old.bin"]);
    repo.commit_all();
    let report = repo.scan();
    let finding = only(&report);
    assert_eq!(finding.rule, Rule::SessionFile);
    let paths: Vec<_> = commits_of(&finding.places[2])
        .into_iter()
        .map(|(_, path)| path)
        .collect();
    // Both commits have the same date, so either may come first.
    assert!(paths.contains(&"docs/notes.txt") && paths.contains(&"old.bin"));
    assert_eq!(report.tracked, ["old.bin"]);
}

#[test]
fn a_renamed_file_of_unknown_content_is_found_by_its_former_name() {
    let repo = Repo::new();
    // The first path in the order of git is not the one that matches.
    repo.write("a.bin", "same content");
    repo.commit("z/parsed_sessions.json", "same content");
    let report = repo.scan();
    let finding = only(&report);
    assert_eq!(finding.rule, Rule::SessionFileName);
    let commits = commits_of(finding.places.last().expect("a place"));
    assert!(
        commits
            .iter()
            .all(|(_, path)| *path == "z/parsed_sessions.json")
    );
    assert_eq!(report.tracked, ["z/parsed_sessions.json"]);
}

#[test]
fn a_packed_file_is_found() {
    let repo = Repo::new();
    repo.commit("parsed_sessions.json", SESSIONS);
    repo.remove("parsed_sessions.json");
    repo.git(["gc", "--quiet"]);
    repo.git(["commit-graph", "write", "--reachable"]);
    repo.git(["multi-pack-index", "write"]);
    only(&repo.scan());
    repo.forget();
    repo.git(["reset", "--quiet", "--hard", "HEAD~2"]);
    repo.forget();
    repo.git(["repack", "-q", "-a", "-d", "--cruft"]);
    let report = repo.scan();
    assert!(matches!(only(&report).places[..], [Place::Unreachable(_)]));
}

#[test]
fn a_file_that_only_a_merge_adds_is_found_with_its_commit() {
    let repo = Repo::new();
    repo.git(["checkout", "--quiet", "-b", "side"]);
    repo.commit("side", "side");
    repo.git(["checkout", "--quiet", "main"]);
    repo.commit("main", "main");
    repo.git(["merge", "--quiet", "--no-commit", "side"]);
    let merge = repo.commit("x", SESSIONS);
    let report = repo.scan();
    let history = only(&report).places.last().expect("a place");
    assert_eq!(commits_of(history), [(&merge[..12], "x")]);
}

#[test]
fn a_blob_that_only_a_tag_refers_to_is_reachable() {
    let repo = Repo::new();
    let arguments = ["hash-object", "-w", "--stdin"];
    let blob = git_with_input(repo.path(), &arguments, SESSIONS.as_bytes());
    repo.git(["tag", "dump", &blob]);
    let report = repo.scan();
    assert!(matches!(only(&report).places[..], [Place::History(_)]));
}

#[test]
fn many_commits_are_counted_and_the_oldest_are_listed() {
    let repo = Repo::new();
    for _ in 0..7 {
        repo.commit("parsed_sessions.json", SESSIONS);
        repo.remove("parsed_sessions.json");
    }
    let options = Options {
        max_commits: 3,
        ..Options::default()
    };
    let report = scan_with(repo.path(), &options);
    let [Place::History(list)] = &only(&report).places[..] else {
        panic!("{report:#?}");
    };
    assert_eq!((list.commits.len(), list.more), (3, 4));
    let oldest = repo.git(["rev-list", "--max-count=1", "--skip=13", "HEAD"]);
    assert_eq!(list.commits[0].id, oldest[..12]);
}

#[test]
fn a_staged_file_is_found_in_the_index() {
    let repo = Repo::new();
    repo.write("parsed_sessions.json", SESSIONS);
    repo.git(["add", "parsed_sessions.json"]);
    fs::remove_file(repo.file("parsed_sessions.json")).expect("removed");
    let report = repo.scan();
    assert!(matches!(only(&report).places[..], [Place::Index { .. }]));
    assert_eq!(report.tracked, ["parsed_sessions.json"]);
}

#[test]
fn untracked_and_ignored_files_are_told_apart() {
    let repo = Repo::new();
    repo.commit(".gitignore", "/target\n/data/*.json\n");
    repo.write("data/parsed_sessions.json", SESSIONS);
    repo.write("target/deep/er/renamed", SESSIONS.replace("A", "B"));
    repo.write("other/parsed_sessions.json", SESSIONS.replace("A", "C"));
    let report = repo.scan();
    assert_eq!(report.not_ignored, ["other/parsed_sessions.json"]);
    assert!(report.tracked.is_empty() && report.incomplete.is_empty());
    let mut places: Vec<_> = report
        .findings
        .iter()
        .flat_map(|finding| &finding.places)
        .collect();
    places.sort_by_key(|place| format!("{place:?}"));
    let [
        Place::WorkTree {
            path: data,
            ignored: true,
        },
        Place::WorkTree {
            path: other,
            ignored: false,
        },
        Place::WorkTree {
            path: target,
            ignored: true,
        },
    ] = places[..]
    else {
        panic!("{places:#?}");
    };
    assert_eq!(data, "data/parsed_sessions.json");
    assert_eq!(other, "other/parsed_sessions.json");
    assert_eq!(target, "target/deep/er/renamed");
}

#[test]
fn a_file_with_only_an_empty_object_is_found_by_its_name() {
    let repo = Repo::new();
    repo.commit("parsed_sessions.json", "{}");
    let report = repo.scan();
    assert_eq!(only(&report).rule, Rule::SessionFileName);
    // All empty files are one blob, so an empty one is listed only as tracked.
    let repo = Repo::new();
    repo.commit("parsed_sessions.json", "");
    let report = repo.scan();
    assert!(report.findings.is_empty());
    assert_eq!(report.tracked, ["parsed_sessions.json"]);
}

#[test]
fn committed_secrets_are_found_and_ignored_ones_are_not() {
    let secret = "SESSION_SECRET=q8Zr3vX0bN5kT1mW7yL2cJ9hF4gD6sA0pE-hunter2x\n";
    let repo = Repo::new();
    repo.commit(".gitignore", ".env\n");
    repo.write(".env", secret);
    assert_clean(&repo.scan());
    fs::remove_file(repo.file(".env")).expect("removed");
    repo.commit(
        "deploy/app.env",
        format!("{secret}URL=redis://:hunter2x@cache/0\n"),
    );
    let report = repo.scan();
    let rules: Vec<_> = report.findings.iter().map(|finding| finding.rule).collect();
    assert_eq!(rules, [Rule::SessionSecret, Rule::UrlPassword]);
    assert!(report.tracked.is_empty() && report.not_ignored.is_empty());
}

#[test]
fn a_rewritten_history_is_clean_after_old_objects_are_deleted() {
    let repo = Repo::new();
    repo.commit("parsed_sessions.json", SESSIONS);
    repo.commit("other", "other");
    let filter = "git rm --cached --quiet --ignore-unmatch parsed_sessions.json";
    let output = command(repo.path())
        .env("FILTER_BRANCH_SQUELCH_WARNING", "1")
        .args(["filter-branch", "--index-filter", filter, "--", "--all"])
        .output()
        .expect("git starts");
    text(&output);
    assert_eq!(repo.scan().verdict(), Verdict::Found);
    repo.git(["update-ref", "-d", "refs/original/refs/heads/main"]);
    assert_eq!(repo.scan().verdict(), Verdict::Found);
    repo.forget();
    assert_eq!(repo.scan().verdict(), Verdict::Found);
    repo.git(["gc", "--quiet", "--prune=now"]);
    assert_clean(&repo.scan());
}

#[test]
fn a_bare_repository_is_scanned() {
    let repo = Repo::new();
    repo.commit("parsed_sessions.json", SESSIONS);
    let bare = TempDir::new().expect("a folder");
    git(
        bare.path(),
        [
            OsStr::new("clone"),
            "--bare".as_ref(),
            "-q".as_ref(),
            repo.path().as_ref(),
            "b".as_ref(),
        ],
    );
    let report = scan_folder(&bare.path().join("b"));
    assert!(matches!(only(&report).places[..], [Place::History(_)]));
}

#[test]
fn a_folder_inside_the_repository_stands_for_the_whole() {
    let repo = Repo::new();
    repo.write("a/b/file", "text");
    repo.write("parsed_sessions.json", SESSIONS);
    for folder in ["a/b", ".git", ".git/refs"] {
        let report = scan_folder(&repo.file(folder));
        assert!(
            matches!(only(&report).places[..], [Place::WorkTree { .. }]),
            "{folder}"
        );
        assert_eq!(report.not_ignored.len(), 1);
        assert!(report.not_ignored[0].ends_with("parsed_sessions.json"));
    }
}

#[test]
fn the_format_with_longer_ids_is_scanned() {
    let folder = TempDir::new().expect("a folder");
    let repo = Repo { folder };
    repo.git([
        "init",
        "--quiet",
        "--object-format=sha256",
        "--initial-branch=main",
    ]);
    repo.commit("z", SESSIONS);
    let report = repo.scan();
    assert_eq!(only(&report).places.len(), 3);
}

#[test]
fn a_submodule_is_scanned_with_and_without_its_files() {
    let library = Repo::new();
    library.commit("parsed_sessions.json", SESSIONS);
    library.remove("parsed_sessions.json");
    let repo = Repo::new();
    let url = library.path().to_str().expect("UTF-8");
    repo.git(["submodule", "--quiet", "add", url, "libs/it"]);
    repo.commit_all();
    let report = repo.scan();
    assert_eq!(only(&report).repository.as_deref(), Some("libs/it"));
    assert_eq!(only(&report).places.len(), 1);

    repo.write(
        "libs/it/new/parsed_sessions.json",
        SESSIONS.replace("A", "B"),
    );
    let report = repo.scan();
    assert_eq!(report.findings.len(), 2);
    assert_eq!(report.not_ignored, ["libs/it/new/parsed_sessions.json"]);

    repo.git(["submodule", "--quiet", "deinit", "--force", "libs/it"]);
    let report = repo.scan();
    assert_eq!(
        only(&report).repository.as_deref(),
        Some(".git/modules/libs/it")
    );

    fs::remove_dir_all(repo.file(".git/modules/libs/it")).expect("removed");
    assert_incomplete(&repo.scan(), Reason::SubmoduleMissing);
}

#[test]
fn repositories_in_ignored_folders_are_scanned() {
    let repo = Repo::new();
    repo.commit(".gitignore", "/vendor\n");
    repo.write("vendor/x/file", "text");
    let inner = repo.file("vendor/x");
    git(&inner, ["init", "--quiet"]);
    git(&inner, ["init", "--quiet", "--bare", "b.git"]);
    let arguments = ["hash-object", "-w", "--stdin"];
    git_with_input(&inner, &arguments, SESSIONS.as_bytes());
    git_with_input(&inner.join("b.git"), &arguments, SESSIONS.as_bytes());
    let report = repo.scan();
    let mut found: Vec<_> = report
        .findings
        .iter()
        .map(|one| one.repository.as_deref())
        .collect();
    found.sort();
    assert_eq!(found, [Some("vendor/x"), Some("vendor/x/b.git")]);
    assert_eq!(reasons(&report), []);
}

#[test]
fn a_folder_with_the_name_of_a_repository_is_scanned_as_files() {
    let repo = Repo::new();
    repo.write("a/.git/renamed", SESSIONS);
    repo.write("b/.git", SESSIONS.replace("A", "B"));
    let report = repo.scan();
    assert_eq!(report.findings.len(), 2, "{report:#?}");
    assert_eq!(reasons(&report), []);
}

#[test]
fn a_conflict_is_listed_once() {
    let repo = Repo::new();
    let base = repo.commit("parsed_sessions.json", SESSIONS);
    repo.commit("parsed_sessions.json", SESSIONS.replace("A", "B"));
    repo.git(["checkout", "--quiet", "-b", "side", &base]);
    repo.commit("parsed_sessions.json", SESSIONS.replace("A", "C"));
    let merge = command(repo.path())
        .args(["merge", "--quiet", "main"])
        .output();
    assert!(!merge.expect("git starts").status.success());
    let report = repo.scan();
    assert_eq!(report.tracked, ["parsed_sessions.json"]);
    // The file in the work tree has the marks of the conflict.
    assert_eq!(report.findings.len(), 4, "{report:#?}");
}

#[test]
fn linked_work_trees_are_scanned() {
    let repo = Repo::new();
    let other = TempDir::new().expect("a folder");
    let linked = other.path().join("linked");
    let path = linked.to_str().expect("UTF-8");
    repo.git(["worktree", "add", "--quiet", path]);
    fs::write(linked.join("parsed_sessions.json"), SESSIONS).expect("written");
    for folder in [repo.path(), &linked] {
        let report = scan_folder(folder);
        assert_eq!(only(&report).repository, None);
        assert_eq!(report.not_ignored.len(), 1);
    }
    fs::remove_dir_all(linked).expect("removed");
    assert_incomplete(&repo.scan(), Reason::WorkTreeMissing);
    repo.git(["worktree", "prune"]);
    assert_clean(&repo.scan());
}
