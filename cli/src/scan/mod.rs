//! Searches a git repository for files of sessions: its history, its index and its files.
//!
//! A scan reads every object of the repository, also those that nothing refers to any more, the
//! stash, the index, the files of all work trees, and the repositories of submodules. It finds
//! files by name and by content, so that a renamed file is found too. It also finds secrets of
//! sessions and passwords in URLs that were committed by mistake.
//!
//! A scan runs the program `git`, version 2.36 or later. It writes nothing, fetches nothing, and
//! runs no program that the settings of the repository name.
//!
//! It does not look into archives and compressed files, into commit messages, into other files in
//! `.git`, or into copies of the repository elsewhere. No content of any file is in the report, but
//! paths are: a file that is named after a session id shows the id.

// The command that calls it follows.

mod completeness;
mod content;
mod error;
mod failure;
mod findings;
mod git;
mod history;
mod names;
mod notes;
mod objects;
mod oid;
mod report;
mod repository;
mod running;
mod secrets;
mod session_file;
mod text;
mod worktree;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use error::ScanError;
#[allow(unused_imports)]
pub(crate) use report::{
    Commit, Commits, Finding, Incomplete, Place, Reason, Report, Rule, Verdict,
};

use failure::Deadline;
use findings::Findings;
use history::History;
use names::Names;
use notes::Notes;
use objects::{Objects, Pass, Unseen};
use oid::Oid;
use repository::{Repository, canonical, exists};
use text::{shown, shown_below};
use worktree::{Seen, WorkTree};

/// What to look for, and how far.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Names of session files. `*` stands for any text, and `?` for one byte.
    pub(crate) names: Vec<String>,
    /// Larger files are not read, in bytes.
    pub(crate) max_size: u64,
    /// A longer scan ends early, and its report is incomplete.
    pub(crate) time_limit: Option<Duration>,
    /// How many commits are listed of each finding.
    pub(crate) max_commits: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            names: vec![
                "*parsed_sessions*.json*".to_owned(),
                "*.session.json".to_owned(),
            ],
            max_size: 20 * 1024 * 1024,
            time_limit: None,
            max_commits: 10,
        }
    }
}

/// Scans the repository that contains the folder.
///
/// # Errors
///
/// If the folder is not in a repository, or if git cannot open it. What fails later does not end
/// the scan, but the report is incomplete.
pub(crate) fn scan(repo: &Path, options: &Options) -> Result<Report, ScanError> {
    let deadline = Deadline::after(options.time_limit);
    let names = Names::new(&options.names)?;
    let first = Repository::open(repo, deadline)?;
    let mut scan = Scan {
        root: first.top.clone().unwrap_or_else(|| first.common.clone()),
        options,
        names,
        deadline,
        report: Report::default(),
        repositories: Vec::new(),
        by_folder: HashMap::new(),
        tops: HashSet::new(),
        queue: Vec::new(),
        out_of_time: false,
    };
    if first.top.is_none() && exists(&repo.join(".git")) {
        scan.note_unread_files(repo);
    }
    scan.visit(&first, None);
    while let Some(folder) = scan.queue.pop() {
        if scan.out_of_time {
            break;
        }
        scan.open(&folder);
    }
    Ok(scan.finish())
}

struct Scan<'a> {
    root: PathBuf,
    options: &'a Options,
    names: Names,
    deadline: Deadline,
    report: Report,
    repositories: Vec<Part>,
    /// The index of a repository by its folder.
    by_folder: HashMap<PathBuf, usize>,
    /// The work trees that were visited.
    tops: HashSet<PathBuf>,
    /// Folders of work trees and repositories to visit.
    queue: Vec<PathBuf>,
    out_of_time: bool,
}

/// One repository of a scan.
struct Part {
    label: Option<String>,
    findings: Findings,
    objects: Objects,
}

impl Scan<'_> {
    fn open(&mut self, folder: &Path) {
        match Repository::open(folder, self.deadline) {
            Ok(mut repository) => {
                let folder = canonical(folder);
                if exists(&folder.join(".git")) && repository.top.as_ref() != Some(&folder) {
                    // The settings name another folder, which can be any folder of the machine.
                    repository.top = None;
                    self.note_unread_files(&folder);
                }
                let folder = repository.top.as_ref().unwrap_or(&repository.common);
                let label = shown_below(&self.root, folder);
                self.visit(&repository, Some(label));
            }
            Err(ScanError::TimeLimit) => self.out_of_time = true,
            Err(error) => {
                let mut notes = Notes::new(Some(shown_below(&self.root, folder)));
                notes.add(Reason::RepositoryUnreadable, error.to_string());
                self.keep(notes);
            }
        }
    }

    fn note_unread_files(&mut self, folder: &Path) {
        let folder = shown_below(&self.root, folder);
        let mut notes = Notes::new(None);
        notes.add(
            Reason::WorkTreeMissing,
            format!(
                "the files in `{folder}` were not read, since git takes another folder for the \
                 work tree; look at `core.worktree` and `core.bare` in its settings"
            ),
        );
        self.keep(notes);
    }

    fn visit(&mut self, repository: &Repository, label: Option<String>) {
        let part = match self.by_folder.get(&repository.common) {
            Some(part) => *part,
            None => self.read_objects(repository, label),
        };
        let Some(top) = &repository.top else {
            return;
        };
        if self.tops.insert(top.clone()) {
            self.read_work_tree(repository, top, part);
        }
    }

    /// Returns the index of the repository.
    fn read_objects(&mut self, repository: &Repository, label: Option<String>) -> usize {
        let mut notes = Notes::new(label.clone());
        let (mut findings, mut objects) = (Findings::default(), Objects::default());
        let pass = Pass {
            git: &repository.git,
            names: &self.names,
            max_size: self.options.max_size,
            findings: &mut findings,
            objects: &mut objects,
            unseen: Unseen::default(),
        };
        let read = pass.run(&mut notes);
        let checked = completeness::check(repository, &mut notes);
        let history = History {
            git: &repository.git,
            names: &self.names,
            max_commits: self.options.max_commits,
            findings: &mut findings,
        };
        let walked = history.run(&objects.commits, &mut notes);
        for failure in [read, checked, walked].into_iter().filter_map(Result::err) {
            notes.failure(failure);
        }
        // The last one is visited first: a submodule is named by its folder in the work tree.
        self.queue.extend(repository.modules(&mut notes));
        match repository.work_trees(&mut notes) {
            Ok(work_trees) => self.queue.extend(work_trees),
            Err(failure) => notes.failure(failure),
        }
        self.keep(notes);
        self.report.commits += objects.commits.len() as u64;
        self.report.objects += objects.read;
        let part = self.repositories.len();
        self.by_folder.insert(repository.common.clone(), part);
        self.repositories.push(Part {
            label,
            findings,
            objects,
        });
        part
    }

    fn read_work_tree(&mut self, repository: &Repository, top: &Path, part: usize) {
        let part = &mut self.repositories[part];
        let mut notes = Notes::new(part.label.clone());
        let work_tree = WorkTree {
            git: &repository.git,
            top,
            root: &self.root,
            names: &self.names,
            max_size: self.options.max_size,
            findings: &mut part.findings,
            report: &mut self.report,
            seen: Seen::default(),
        };
        let seen = work_tree.run(&mut notes);
        part.objects.submodules.extend(seen.submodules);
        self.queue.extend(seen.nested);
        self.keep(notes);
    }

    fn keep(&mut self, notes: Notes) {
        self.out_of_time |= notes.out_of_time;
        self.report.incomplete.extend(notes.list);
    }

    /// A submodule is another repository. Its history counts as seen if its commit was seen.
    fn check_submodules(&mut self) {
        let parts = &self.repositories;
        let is_seen = |oid: &Oid| parts.iter().any(|part| part.objects.commits.contains(oid));
        let mut all_notes = Vec::new();
        for part in parts {
            let unseen = part
                .objects
                .submodules
                .iter()
                .filter(|(oid, _)| !is_seen(oid));
            let unseen: Vec<_> = unseen
                .map(|(oid, name)| format!("{} at {}", shown(name), oid.short()))
                .collect();
            let mut notes = Notes::new(part.label.clone());
            notes.examples(
                Reason::SubmoduleMissing,
                "commits of submodules are not here; run `git submodule update --init`, or scan \
                 the repositories of the submodules",
                &unseen,
            );
            all_notes.push(notes);
        }
        all_notes.into_iter().for_each(|notes| self.keep(notes));
    }

    fn finish(mut self) -> Report {
        self.check_submodules();
        if self.out_of_time {
            let mut notes = Notes::new(None);
            let detail = "the time limit passed before everything was read; give more time";
            notes.add(Reason::TimeLimit, detail);
            self.keep(notes);
        }
        for part in self.repositories {
            let findings = &mut self.report.findings;
            part.findings.into_report(part.label.as_deref(), findings);
        }
        self.report
    }
}

#[cfg(test)]
mod tests;
