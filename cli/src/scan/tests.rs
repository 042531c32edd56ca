use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use super::*;

mod incomplete;
mod places;
mod safety;

const SESSIONS: &str = r#"{"sid-a1b2c3d4": {"env_vars": {"A": "value-xyzzy"},
 "user_id": "user-4711"}, "sid-e5f6": {"env_vars": {}, "user_id": "user-4712"}}"#;

/// A repository in a temporary folder.
struct Repo {
    folder: TempDir,
}

impl Repo {
    /// With one commit that contains nothing to find.
    fn new() -> Self {
        let repo = Self::empty();
        repo.commit("README", "Read me\n");
        repo
    }

    fn empty() -> Self {
        let folder = TempDir::new().expect("a folder");
        let repo = Self { folder };
        repo.git(["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, content).expect("written");
    }

    /// Returns the id of the commit.
    fn commit(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        self.write(name, content);
        self.commit_all()
    }

    fn commit_all(&self) -> String {
        self.git(["add", "--all", "--force"]);
        self.git(["commit", "--quiet", "--message=change"]);
        self.git(["rev-parse", "HEAD"])
    }

    fn remove(&self, name: &str) {
        self.git(["rm", "--quiet", "--force", name]);
        self.git(["commit", "--quiet", "--message=remove"]);
    }

    fn git<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        git(self.path(), arguments)
    }

    /// Deletes the reflogs, so that old commits are unreachable.
    fn forget(&self) {
        self.git([
            "reflog",
            "expire",
            "--expire=now",
            "--expire-unreachable=now",
            "--all",
        ]);
    }

    fn loose_object(&self, oid: &str) -> PathBuf {
        self.file(&format!(".git/objects/{}/{}", &oid[..2], &oid[2..]))
    }

    fn scan(&self) -> Report {
        scan_folder(self.path())
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GIT_") {
            command.env_remove(name);
        }
    }
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Tester");
        command.env(format!("GIT_{role}_EMAIL"), "tester@example.com");
        command.env(format!("GIT_{role}_DATE"), "2024-03-03T12:00:00Z");
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .current_dir(folder)
        .args(["-c", "protocol.file.allow=always", "-c", "gc.auto=0"]);
    command
}

fn git<A: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = A>) -> String {
    let output = command(folder)
        .args(arguments)
        .output()
        .expect("git starts");
    text(&output)
}

fn git_with_input(folder: &Path, arguments: &[&str], input: &[u8]) -> String {
    let mut command = command(folder);
    let command = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("git starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input).expect("written");
    drop(stdin);
    text(&child.wait_with_output().expect("ends"))
}

fn text(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

/// Scans, and checks that the report contains nothing of the content of `SESSIONS`.
fn scan_with(folder: &Path, options: &Options) -> Report {
    let report = scan(folder, options).expect("a report");
    for shown in [
        serde_json::to_string(&report).expect("serialized"),
        format!("{report:?}"),
    ] {
        for secret in ["sid-a1b2c3d4", "sid-e5f6", "xyzzy", "user-47", "hunter2x"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
    report
}

fn scan_folder(folder: &Path) -> Report {
    scan_with(folder, &Options::default())
}

fn reasons(report: &Report) -> Vec<Reason> {
    report.incomplete.iter().map(|note| note.reason).collect()
}

fn only(report: &Report) -> &Finding {
    assert_eq!(reasons(report), [], "{report:#?}");
    assert_eq!(report.findings.len(), 1, "{report:#?}");
    &report.findings[0]
}

fn commits_of(place: &Place) -> Vec<(&str, &str)> {
    let (Place::History(list) | Place::Stash(list) | Place::Unreachable(list)) = place else {
        panic!("no list of commits: {place:?}");
    };
    let commits = list.commits.iter();
    commits
        .map(|commit| (commit.id.as_str(), commit.path.as_str()))
        .collect()
}

#[track_caller]
fn assert_clean(report: &Report) {
    assert_eq!(report.verdict(), Verdict::Clean, "{report:#?}");
}

#[track_caller]
fn assert_incomplete(report: &Report, reason: Reason) {
    assert!(reasons(report).contains(&reason), "{report:#?}");
    assert_ne!(report.verdict(), Verdict::Clean);
}

/// The size and the time of each file.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let data = entry.metadata().expect("metadata");
            files.insert(entry.path(), (data.len(), data.modified().expect("a time")));
            if data.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    files
}
