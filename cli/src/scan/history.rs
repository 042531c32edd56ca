//! Finds the commits that brought the findings in.

use std::collections::HashSet;
use std::sync::Arc;

use super::failure::Failure;
use super::findings::{CommitList, Findings, Found};
use super::git::{Git, Input};
use super::names::Names;
use super::notes::Notes;
use super::oid::Oid;
use super::report::{Commit, Reason};
use super::running::Ended;
use super::text::{base_name, shown};

/// A merge is compared with all its parents, so that it shows only what it adds itself.
const FORMAT: [&str; 16] = [
    "--raw",
    "-c",
    "-z",
    "--no-abbrev",
    "-O/dev/null",
    "--encoding=UTF-8",
    "--no-renames",
    "--no-relative",
    "--no-ext-diff",
    "--no-textconv",
    "--no-notes",
    "--no-color",
    "--no-decorate",
    "--no-mailmap",
    "--no-show-signature",
    "--format=%x01%H %cs",
];

/// The parts of a scan that a look at the history needs.
pub(super) struct History<'a> {
    pub(super) git: &'a Git,
    pub(super) names: &'a Names,
    pub(super) max_commits: usize,
    pub(super) findings: &'a mut Findings,
}

impl History<'_> {
    /// Fills in the places of all findings. `commits` are all commits, also unreachable ones.
    pub(super) fn run(mut self, commits: &HashSet<Oid>, notes: &mut Notes) -> Result<(), Failure> {
        let unreachable = self.walk(commits, notes)?;
        if self.findings.is_empty() {
            return Ok(());
        }
        let stash = self.stash()?;
        let log = [
            ["log", "--all", "--reflog", "--date-order"].as_slice(),
            &FORMAT,
        ]
        .concat();
        let ended = self.log(&log, Input::Nothing, |found, commit| {
            if stash.contains(&commit) {
                return &mut found.stash;
            }
            &mut found.history
        })?;
        if let Err(failure) = ended.or_fail("show the commits of the findings") {
            notes.failure(failure);
        }
        if unreachable.is_empty() || !self.findings.has_unreachable() {
            return Ok(());
        }
        let log = [["log", "--no-walk", "--stdin"].as_slice(), &FORMAT].concat();
        let input = Input::Ids(Arc::new(unreachable), 0);
        // The parents of unreachable commits may be deleted, so it may fail. Then the finding is
        // reported without a commit.
        self.log(&log, input, |found, _| &mut found.unreachable)?;
        Ok(())
    }

    /// Marks what is reachable, and returns the commits that are not.
    fn walk(&mut self, commits: &HashSet<Oid>, notes: &mut Notes) -> Result<Vec<Oid>, Failure> {
        let arguments = [
            "rev-list",
            "--objects",
            "--no-object-names",
            "--all",
            "--reflog",
            "--missing=print",
        ];
        let mut unreachable = commits.clone();
        let mut missing = Vec::new();
        let ended = self.git.each(&arguments, Input::Nothing, b'\n', |line| {
            let id = line.strip_prefix(b"?").unwrap_or(line);
            let Some(oid) = Oid::from_hex(id) else {
                return;
            };
            if id.len() < line.len() {
                missing.push(oid.short());
            }
            unreachable.remove(&oid);
            if let Some(found) = self.findings.get(&oid) {
                found.reachable = true;
            }
        })?;
        notes.examples(
            Reason::MissingObjects,
            "objects of the history are not here; fetch them or scan another clone",
            &missing,
        );
        if let Err(failure) = ended.without_complaint("walk through the history") {
            notes.failure(failure);
        }
        Ok(unreachable.into_iter().collect())
    }

    /// The commits of the stash. Each entry is one commit, whose parents after the first hold the
    /// index and the untracked files.
    fn stash(&self) -> Result<HashSet<Oid>, Failure> {
        let mut stash = HashSet::new();
        let arguments = [
            "log",
            "--walk-reflogs",
            "--format=%H %P",
            "refs/stash",
            "--",
        ];
        // It fails if there is no stash.
        self.git.each(&arguments, Input::Nothing, b'\n', |line| {
            let ids = line.split(|byte| *byte == b' ').enumerate();
            let own = ids.filter(|(index, _)| *index != 1);
            stash.extend(own.filter_map(|(_, id)| Oid::from_hex(id)));
        })?;
        Ok(stash)
    }

    /// Reads a log in which a path follows each line of ids.
    fn log(
        &mut self,
        arguments: &[&str],
        input: Input,
        list: impl Fn(&mut Found, Oid) -> &mut CommitList,
    ) -> Result<Ended, Failure> {
        let git = self.git;
        let mut commit: Option<(Oid, String)> = None;
        let mut blob = None;
        git.each(arguments, input, 0, |piece| {
            if let Some(oid) = blob.take() {
                self.add(oid, piece, commit.as_ref(), &list);
                return;
            }
            let line = piece.trim_ascii_start();
            if line.starts_with(b":") {
                blob = new_blob(line);
                return;
            }
            if let Some(line) = line.strip_prefix(b"\x01") {
                commit = commit_line(line);
            }
        })
    }

    fn add(
        &mut self,
        oid: Oid,
        path: &[u8],
        commit: Option<&(Oid, String)>,
        list: impl Fn(&mut Found, Oid) -> &mut CommitList,
    ) {
        let (Some(found), Some((id, date))) = (self.findings.get(&oid), commit) else {
            return;
        };
        if !found.has_content_match() && !self.names.contain(base_name(path)) {
            return;
        }
        let commit = Commit {
            id: id.short(),
            date: date.clone(),
            path: shown(path),
        };
        list(found, *id).push(commit, self.max_commits);
    }
}

/// The last id of a line such as `:000000 100644 0000… 53c7… A`. A merge has one more colon, mode
/// and id for each further parent.
fn new_blob(line: &[u8]) -> Option<Oid> {
    let ids = line.split(|byte| *byte == b' ').rev();
    ids.skip(1).find_map(Oid::from_hex)
}

fn commit_line(line: &[u8]) -> Option<(Oid, String)> {
    let (id, date) = line.split_at_checked(line.iter().position(|byte| *byte == b' ')?)?;
    Some((Oid::from_hex(id)?, shown(date.trim_ascii())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_blob_is_the_last_id_of_a_line() {
        let (old, new) = ("0".repeat(40), "ab".repeat(20));
        for line in [
            format!(":000000 100644 {old} {new} A"),
            format!("::000000 000000 100644 {old} {old} {new} AA"),
        ] {
            let oid = new_blob(line.as_bytes()).expect("an id");
            assert_eq!(oid.to_string(), new);
        }
    }
}
