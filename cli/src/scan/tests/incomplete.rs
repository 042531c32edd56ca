//! Reports that must not say that a repository is clean.

use super::*;

#[test]
fn a_submodule_that_was_never_fetched_makes_the_report_incomplete() {
    let library = Repo::empty();
    library.commit("lib", "lib");
    let repo = Repo::new();
    let url = library.path().to_str().expect("UTF-8");
    repo.git(["submodule", "--quiet", "add", url, "lib"]);
    repo.commit_all();
    let clone = TempDir::new().expect("a folder");
    let bare = TempDir::new().expect("a folder");
    git(
        clone.path(),
        [
            OsStr::new("clone"),
            "-q".as_ref(),
            repo.path().as_ref(),
            ".".as_ref(),
        ],
    );
    git(
        bare.path(),
        [
            OsStr::new("clone"),
            "-q".as_ref(),
            "--bare".as_ref(),
            repo.path().as_ref(),
            ".".as_ref(),
        ],
    );
    for folder in [clone.path(), bare.path()] {
        let report = scan_folder(folder);
        assert_eq!(reasons(&report), [Reason::SubmoduleMissing]);
        assert!(report.incomplete[0].detail.contains("lib at "));
    }
    git(clone.path(), ["submodule", "--quiet", "update", "--init"]);
    assert_clean(&scan_folder(clone.path()));
}

#[test]
fn files_that_git_takes_for_no_work_tree_make_the_report_incomplete() {
    let other = TempDir::new().expect("a folder");
    fs::write(other.path().join("parsed_sessions.json"), SESSIONS).expect("written");
    let other = other.path().to_str().expect("UTF-8");
    for (name, value) in [("core.bare", "true"), ("core.worktree", other)] {
        let repo = Repo::new();
        repo.write("inner/file", "text");
        let inner = repo.file("inner");
        git(&inner, ["init", "--quiet"]);
        git(&inner, ["config", name, value]);
        let report = repo.scan();
        assert_incomplete(&report, Reason::WorkTreeMissing);
        assert!(report.findings.is_empty(), "{report:#?}");
    }
    let repo = Repo::new();
    repo.git(["config", "core.bare", "true"]);
    assert_incomplete(&repo.scan(), Reason::WorkTreeMissing);
}

#[test]
fn a_shallow_clone_is_incomplete() {
    let repo = Repo::new();
    repo.commit("parsed_sessions.json", SESSIONS);
    repo.remove("parsed_sessions.json");
    let clone = TempDir::new().expect("a folder");
    let url = format!("file://{}", repo.path().display());
    git(clone.path(), ["clone", "--quiet", "--depth=1", &url, "."]);
    let report = scan_folder(clone.path());
    assert!(report.findings.is_empty());
    assert_eq!(reasons(&report), [Reason::Shallow]);
    git(clone.path(), ["fetch", "--quiet", "--unshallow"]);
    only(&scan_folder(clone.path()));
}

#[test]
fn a_partial_clone_is_incomplete_and_fetches_nothing() {
    let repo = Repo::new();
    repo.git(["config", "uploadpack.allowFilter", "true"]);
    repo.commit("renamed", SESSIONS);
    repo.commit("parsed_sessions.json", SESSIONS.replace("A", "B"));
    repo.git(["rm", "--quiet", "renamed", "parsed_sessions.json"]);
    repo.commit_all();
    let clone = TempDir::new().expect("a folder");
    let url = format!("file://{}", repo.path().display());
    git(
        clone.path(),
        ["clone", "--quiet", "--filter=blob:none", &url, "."],
    );
    let before = snapshot(clone.path());
    let report = scan_folder(clone.path());
    assert_incomplete(&report, Reason::PartialClone);
    // The blob is missing, but its name is here.
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].rule, Rule::SessionFileName);
    assert_eq!(report.findings[0].size, None);
    assert_eq!(snapshot(clone.path()), before);

    // Without its settings, the pack still tells.
    git(
        clone.path(),
        ["config", "--unset", "remote.origin.promisor"],
    );
    git(
        clone.path(),
        ["config", "--unset", "remote.origin.partialclonefilter"],
    );
    assert_incomplete(&scan_folder(clone.path()), Reason::PartialClone);
}

#[test]
fn a_missing_object_makes_the_report_incomplete() {
    for object in ["HEAD~1:renamed", "HEAD~1^{tree}", "HEAD~1"] {
        let repo = Repo::new();
        repo.commit("renamed", SESSIONS);
        repo.remove("renamed");
        let oid = repo.git(["rev-parse", object]);
        fs::remove_file(repo.loose_object(&oid)).expect("removed");
        assert_incomplete(&repo.scan(), Reason::MissingObjects);
    }
}

#[test]
fn a_branch_without_its_commit_makes_the_report_incomplete() {
    let repo = Repo::new();
    repo.git(["checkout", "--quiet", "-b", "side"]);
    let commit = repo.commit("renamed", "text");
    repo.git(["checkout", "--quiet", "main"]);
    repo.forget();
    fs::remove_file(repo.loose_object(&commit)).expect("removed");
    assert_ne!(repo.scan().verdict(), Verdict::Clean);
}

#[test]
fn damaged_objects_make_the_report_incomplete_but_the_others_are_read() {
    let repo = Repo::new();
    let mut damaged = Vec::new();
    for number in 0..5 {
        // Such text cannot be compressed much, so git sees the damage only when it reads it.
        let numbers =
            (1..500_u64).map(|index| (index + number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let content: String = numbers.map(|number| number.to_string()).collect();
        repo.commit(&format!("file{number}"), content);
        damaged.push(repo.git(["rev-parse", &format!("HEAD:file{number}")]));
        repo.commit(
            &format!("sessions{number}"),
            SESSIONS.replace("A", &number.to_string()),
        );
    }
    for oid in damaged {
        let path = repo.loose_object(&oid);
        let mut content = fs::read(&path).expect("read");
        let middle = content.len() / 2;
        content.truncate(middle);
        fs::remove_file(&path).expect("removed");
        fs::write(&path, content).expect("written");
    }
    let report = repo.scan();
    assert_eq!(reasons(&report), [Reason::UnreadableObjects], "{report:#?}");
    assert_eq!(report.incomplete[0].detail.matches(", ").count(), 4);
    assert_eq!(report.findings.len(), 5, "{report:#?}");
}

#[test]
fn a_missing_object_of_the_index_makes_the_report_incomplete() {
    let repo = Repo::new();
    repo.write("renamed", SESSIONS);
    repo.git(["add", "renamed"]);
    fs::remove_file(repo.file("renamed")).expect("removed");
    let oid = repo.git(["rev-parse", ":renamed"]);
    fs::remove_file(repo.loose_object(&oid)).expect("removed");
    assert_incomplete(&repo.scan(), Reason::MissingObjects);
}

#[test]
fn a_damaged_pack_makes_the_report_incomplete() {
    let repo = Repo::new();
    for number in 0..50 {
        repo.write(
            format!("file{number}"),
            format!("text {number}").repeat(100),
        );
    }
    repo.commit_all();
    repo.git(["gc", "--quiet"]);
    let pack = pack_file(&repo, "pack");
    let whole = fs::read(&pack).expect("read");
    fs::remove_file(&pack).expect("removed");
    for place in [whole.len() / 4, whole.len() / 2, whole.len() - 100] {
        let mut content = whole.clone();
        content[place..place + 20].fill(0);
        fs::write(&pack, content).expect("written");
        assert_ne!(repo.scan().verdict(), Verdict::Clean, "{place}");
    }
    fs::write(&pack, &whole).expect("written");
    assert_clean(&repo.scan());
    fs::write(&pack, &whole[..whole.len() / 2]).expect("written");
    assert_ne!(repo.scan().verdict(), Verdict::Clean);
}

fn pack_file(repo: &Repo, extension: &str) -> PathBuf {
    let mut files = fs::read_dir(repo.file(".git/objects/pack")).expect("a folder");
    let found = files.find_map(|file| {
        let path = file.expect("an entry").path();
        (path.extension() == Some(OsStr::new(extension))).then_some(path)
    });
    found.expect("a pack")
}

#[test]
fn a_pack_without_its_index_makes_the_report_incomplete() {
    for extension in ["idx", "pack"] {
        let repo = Repo::new();
        // Nothing refers to these objects, so git misses nothing.
        repo.commit("sessions", SESSIONS);
        repo.git(["gc", "--quiet"]);
        repo.git(["checkout", "--quiet", "--orphan", "other"]);
        repo.git(["rm", "--quiet", "-r", "--force", "."]);
        repo.commit("a", "a");
        repo.git(["branch", "--quiet", "-D", "main"]);
        repo.forget();
        fs::remove_file(pack_file(&repo, extension)).expect("removed");
        let report = repo.scan();
        assert!(report.findings.is_empty());
        assert_incomplete(&report, Reason::UnreadableObjects);
    }
}

#[test]
fn alternates_are_read_and_noticed_when_they_are_gone() {
    let source = Repo::new();
    source.commit("sessions", SESSIONS);
    source.remove("sessions");
    let clone = TempDir::new().expect("a folder");
    let path = source.path().as_os_str();
    git(
        clone.path(),
        [
            OsStr::new("clone"),
            "-q".as_ref(),
            "--shared".as_ref(),
            path,
            ".".as_ref(),
        ],
    );
    only(&scan_folder(clone.path()));
    let alternates = clone.path().join(".git/objects/info/alternates");
    let repo = Repo::new();
    fs::create_dir_all(repo.file(".git/objects/info")).expect("created");
    fs::copy(alternates, repo.file(".git/objects/info/alternates")).expect("copied");
    drop(source);
    assert_incomplete(&scan_folder(&repo.file("")), Reason::AlternatesMissing);
}

#[test]
fn replaced_and_grafted_history_is_scanned_and_noted() {
    let repo = Repo::new();
    let first = repo.git(["rev-parse", "HEAD"]);
    let second = repo.commit("sessions", SESSIONS);
    repo.remove("sessions");
    repo.git(["replace", &second, &first]);
    let report = repo.scan();
    assert_eq!(reasons(&report), [Reason::ReplaceRefs]);
    assert_eq!(
        commits_of(&report.findings[0].places[0])[0].0,
        &second[..12]
    );
    repo.git(["replace", "-d", &second]);
    let head = repo.git(["rev-parse", "HEAD"]);
    repo.write(".git/info/grafts", format!("{head}\n"));
    let report = repo.scan();
    assert_eq!(reasons(&report), [Reason::Grafts]);
    assert!(matches!(report.findings[0].places[..], [Place::History(_)]));
}

#[test]
fn files_of_git_lfs_make_the_report_incomplete() {
    let repo = Repo::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n";
    repo.commit("big.bin", pointer);
    assert_eq!(reasons(&repo.scan()), [Reason::LargeFileStorage]);
}

#[test]
fn large_files_are_found_by_name_or_noted() {
    let repo = Repo::new();
    let large = format!("{SESSIONS}{}", " ".repeat(10_000));
    repo.commit("renamed", &large);
    repo.remove("renamed");
    let options = Options {
        max_size: 5_000,
        ..Options::default()
    };
    let report = scan_with(repo.path(), &options);
    assert!(report.findings.is_empty());
    assert_eq!(reasons(&report), [Reason::TooLarge]);

    let repo = Repo::new();
    repo.commit("parsed_sessions.json", &large);
    repo.remove("parsed_sessions.json");
    let report = scan_with(repo.path(), &options);
    assert_eq!(only(&report).rule, Rule::SessionFileName);
    assert_eq!(only(&report).size, Some(large.len() as u64));

    // Of a file in the work tree, the start is read.
    let repo = Repo::new();
    repo.write("renamed", &large);
    let report = scan_with(repo.path(), &options);
    assert_eq!(report.findings[0].rule, Rule::SessionFile);
    assert_eq!(reasons(&report), [Reason::TooLarge]);
    repo.write("renamed", "text".repeat(3_000));
    repo.write(".git/info/exclude", "renamed\n");
    assert_clean(&scan_with(repo.path(), &options));
}

#[test]
fn a_time_limit_makes_the_report_incomplete() {
    let repo = Repo::new();
    repo.commit("parsed_sessions.json", SESSIONS);
    let mut ended_early = false;
    for micros in (0..60_000).step_by(3_000) {
        let options = Options {
            time_limit: Some(Duration::from_micros(micros)),
            ..Options::default()
        };
        match scan(repo.path(), &options) {
            Ok(report) => {
                assert_ne!(report.verdict(), Verdict::Clean);
                ended_early |= reasons(&report).contains(&Reason::TimeLimit);
            }
            Err(error) => assert!(matches!(error, ScanError::TimeLimit), "{error}"),
        }
    }
    println!("a scan ended in its middle: {ended_early}");
}
