//! The findings in one repository.

use std::collections::{BTreeMap, VecDeque};

use super::content::Match;
use super::names::Names;
use super::oid::Oid;
use super::report::{Commit, Commits, Finding, Place, Rule};
use super::text::{base_name, shown};

/// All that is known of the blobs that match a rule.
#[derive(Debug, Default)]
pub(super) struct Findings(BTreeMap<Oid, Found>);

#[derive(Debug, Default)]
pub(super) struct Found {
    matches: BTreeMap<Rule, Option<u64>>,
    size: Option<u64>,
    /// A name from a tree, which may be unreachable.
    name: Option<Vec<u8>>,
    in_objects: bool,
    pub(super) reachable: bool,
    work_tree: Vec<(String, bool)>,
    index: Vec<String>,
    pub(super) history: CommitList,
    pub(super) stash: CommitList,
    pub(super) unreachable: CommitList,
}

impl Findings {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&mut self, oid: &Oid) -> Option<&mut Found> {
        self.0.get_mut(oid)
    }

    pub(super) fn has_unreachable(&self) -> bool {
        self.0
            .values()
            .any(|found| found.in_objects && !found.reachable)
    }

    /// A blob whose content matches.
    pub(super) fn add_object(&mut self, oid: Oid, size: u64, matches: &[Match]) {
        if matches.is_empty() {
            return;
        }
        let found = self.0.entry(oid).or_default();
        found.in_objects = true;
        found.add(Some(size), matches);
    }

    /// A blob that has the name of a session file in a tree.
    pub(super) fn add_named_object(&mut self, oid: Oid, name: &[u8]) {
        let found = self.0.entry(oid).or_default();
        found.in_objects = true;
        found.name.get_or_insert_with(|| name.to_vec());
    }

    /// The size of a blob, if the blob has the name of a session file.
    pub(super) fn set_size(&mut self, oid: &Oid, size: u64) -> bool {
        let found = self.0.get_mut(oid);
        found.map(|found| found.size = Some(size)).is_some()
    }

    /// Returns whether the entry of the index is a session file.
    pub(super) fn add_index(&mut self, oid: Oid, path: &[u8], shown: &str, names: &Names) -> bool {
        let named = names.contain(base_name(path));
        if !named && !self.0.contains_key(&oid) {
            return false;
        }
        let found = self.0.entry(oid).or_default();
        if named {
            found.name.get_or_insert_with(|| base_name(path).to_vec());
        } else if !found.has_content_match() {
            return false;
        }
        found.index.push(shown.to_owned());
        named || found.matches.contains_key(&Rule::SessionFile)
    }

    pub(super) fn add_file(&mut self, oid: Oid, file: File<'_>) {
        let found = self.0.entry(oid).or_default();
        if file.named {
            let name = base_name(file.path.as_bytes()).to_vec();
            found.name.get_or_insert(name);
        }
        found.add(Some(file.size), file.matches);
        found.work_tree.push((file.path.to_owned(), file.ignored));
    }

    pub(super) fn into_report(self, repository: Option<&str>, report: &mut Vec<Finding>) {
        for (oid, found) in self.0 {
            found.into_report(oid, repository, report);
        }
    }
}

/// A file in the work tree.
pub(super) struct File<'a> {
    pub(super) path: &'a str,
    pub(super) named: bool,
    pub(super) ignored: bool,
    pub(super) size: u64,
    pub(super) matches: &'a [Match],
}

impl Found {
    /// Whether the paths matter. Else only those with the name of a session file do, since an
    /// unrelated file may have the same content.
    pub(super) fn has_content_match(&self) -> bool {
        !self.matches.is_empty()
    }

    fn add(&mut self, size: Option<u64>, matches: &[Match]) {
        self.size = size.or(self.size);
        for one in matches {
            self.matches.insert(one.rule, one.entries);
        }
    }

    fn into_report(mut self, oid: Oid, repository: Option<&str>, report: &mut Vec<Finding>) {
        let is_empty = self.size == Some(0);
        if self.name.is_some() && !self.matches.contains_key(&Rule::SessionFile) && !is_empty {
            self.matches.insert(Rule::SessionFileName, None);
        }
        for (rule, entries) in &self.matches {
            report.push(Finding {
                rule: *rule,
                repository: repository.map(str::to_owned),
                path: self.path(),
                object: oid.short(),
                entries: *entries,
                size: self.size,
                places: self.places(),
                fingerprint: format!("{oid}:{}", rule.name()),
            });
        }
    }

    fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for (path, ignored) in &self.work_tree {
            places.push(Place::WorkTree {
                path: path.clone(),
                ignored: *ignored,
            });
        }
        for path in &self.index {
            places.push(Place::Index { path: path.clone() });
        }
        if !self.stash.is_empty() {
            places.push(Place::Stash(self.stash.to_commits()));
        }
        // A tag can refer to a blob without a commit.
        let without_commit = self.reachable && self.stash.is_empty();
        if !self.history.is_empty() || without_commit {
            places.push(Place::History(self.history.to_commits()));
        }
        if self.in_objects && !self.reachable && self.index.is_empty() {
            places.push(Place::Unreachable(self.unreachable.to_commits()));
        }
        places
    }

    fn path(&self) -> Option<String> {
        let lists = [&self.history, &self.stash, &self.unreachable];
        let commit = lists.iter().find_map(|list| list.kept.back());
        commit
            .map(|commit| &commit.path)
            .or(self.index.first())
            .or(self.work_tree.first().map(|(path, _)| path))
            .cloned()
            .or_else(|| self.name.as_deref().map(shown))
    }
}

/// The oldest commits of a list that is read from the newest to the oldest.
#[derive(Debug, Default)]
pub(super) struct CommitList {
    kept: VecDeque<Commit>,
    more: u64,
}

impl CommitList {
    pub(super) fn push(&mut self, commit: Commit, limit: usize) {
        self.kept.push_back(commit);
        if self.kept.len() > limit.max(1) {
            self.kept.pop_front();
            self.more += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn to_commits(&self) -> Commits {
        Commits {
            commits: self.kept.iter().rev().cloned().collect(),
            more: self.more,
        }
    }
}
