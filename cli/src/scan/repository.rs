//! Opens repositories, and lists those that belong to them.

use std::fs;
use std::path::{Path, PathBuf};

use super::ScanError;
use super::failure::{Deadline, Failure};
use super::git::{Git, Input};
use super::notes::Notes;
use super::report::Reason;
use super::running::Ended;
use super::text::{path_from_git, shown, shown_path};

/// A repository, seen from one of its work trees if it has any.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) git: Git,
    /// The folder with the objects, which all work trees share.
    pub(super) common: PathBuf,
    pub(super) top: Option<PathBuf>,
}

impl Repository {
    pub(super) fn open(folder: &Path, deadline: Deadline) -> Result<Self, ScanError> {
        const TASK: &str = "open the repository";
        if !folder.is_dir() {
            return Err(ScanError::NoSuchFolder(shown_path(folder)));
        }
        let git = Git::new(folder, deadline);
        let failed = |failure| ScanError::from_failure(failure);
        let arguments = ["rev-parse", "--path-format=absolute", "--git-common-dir"];
        let (ended, common) = git.try_output(&arguments, Input::Nothing).map_err(failed)?;
        if !ended.success {
            return Err(open_error(folder, ended));
        }
        let inside = git.output(TASK, &["rev-parse", "--is-inside-work-tree"]);
        let top = match inside.map_err(failed)?.as_slice() {
            b"true" => {
                let top = git.output(TASK, &["rev-parse", "--show-toplevel"]);
                Some(canonical(&path_from_git(&top.map_err(failed)?)))
            }
            _ => None,
        };
        let common = canonical(&path_from_git(&common));
        Ok(Self {
            git: Git::new(top.as_deref().unwrap_or(folder), deadline),
            common,
            top,
        })
    }

    /// The folders of all work trees that are there.
    pub(super) fn work_trees(&self, notes: &mut Notes) -> Result<Vec<PathBuf>, Failure> {
        let arguments = ["worktree", "list", "--porcelain", "-z"];
        let list = self.git.output("list the work trees", &arguments)?;
        let mut folders = Vec::new();
        let mut is_bare = false;
        for line in list.split(|byte| *byte == 0) {
            is_bare |= line == b"bare";
            if let Some(path) = line.strip_prefix(b"worktree ") {
                folders.push(path_from_git(path));
            }
        }
        if !folders.is_empty() {
            let guess = folders.remove(0);
            folders.extend(self.main_work_tree(is_bare, guess)?);
        }
        let is_present = |folder: &PathBuf| exists(&folder.join(".git"));
        let (present, absent): (Vec<_>, Vec<_>) = folders.into_iter().partition(is_present);
        let absent: Vec<_> = absent.iter().map(|folder| shown_path(folder)).collect();
        notes.examples(
            Reason::WorkTreeMissing,
            "work trees are not there; mount them, or run `git worktree prune`",
            &absent,
        );
        Ok(present)
    }

    /// Git only guesses the main work tree from the folder of the repository.
    fn main_work_tree(&self, is_bare: bool, guess: PathBuf) -> Result<Option<PathBuf>, Failure> {
        if is_bare {
            return Ok(None);
        }
        if exists(&guess.join(".git")) {
            return Ok(Some(guess));
        }
        let arguments = ["config", "--get", "core.worktree"];
        let (ended, path) = self.git.try_output(&arguments, Input::Nothing)?;
        if ended.success {
            // A submodule that was removed leaves the setting, but not always the folder.
            let folder = self.common.join(path_from_git(&path));
            return Ok(exists(&folder.join(".git")).then_some(folder));
        }
        let is_module = self
            .common
            .components()
            .any(|part| part.as_os_str() == "modules");
        Ok((self.top.is_none() && !is_module).then_some(guess))
    }

    /// The folders of submodules in the folder of the repository, with or without a work tree.
    pub(super) fn modules(&self, notes: &mut Notes) -> Vec<PathBuf> {
        let mut search = vec![self.common.join("modules")];
        for work_tree in folders_in(&self.common.join("worktrees"), notes) {
            search.push(work_tree.join("modules"));
        }
        let mut modules = Vec::new();
        while let Some(folder) = search.pop() {
            match is_git_folder(&folder) {
                true => modules.push(folder),
                false => search.extend(folders_in(&folder, notes)),
            }
        }
        modules
    }
}

/// Whether the folder looks like a `.git` folder or a bare repository.
pub(super) fn is_git_folder(folder: &Path) -> bool {
    exists(&folder.join("HEAD"))
        && folder.join("objects").is_dir()
        && (folder.join("refs").is_dir() || exists(&folder.join("reftable")))
}

pub(super) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

pub(super) fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The folders in a folder. A folder that does not exist contains none.
fn folders_in(folder: &Path, notes: &mut Notes) -> Vec<PathBuf> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let path = shown_path(folder);
            notes.add(
                Reason::UnreadableFiles,
                format!("`{path}` cannot be read; check its permissions: {error}"),
            );
            return Vec::new();
        }
    };
    let folders = entries.filter_map(Result::ok);
    let folders = folders.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

fn open_error(folder: &Path, ended: Ended) -> ScanError {
    let messages = String::from_utf8_lossy(&ended.messages).into_owned();
    if let Some((_, rest)) = messages.split_once("dubious ownership in repository at '") {
        let path = rest.split("'\n").next().unwrap_or(rest);
        return ScanError::DubiousOwnership(shown(path.as_bytes()));
    }
    if messages.contains("not a git repository") {
        return ScanError::NotARepository(shown_path(folder));
    }
    match ended.or_fail("open the repository") {
        Err(failure) => ScanError::from_failure(failure),
        Ok(()) => ScanError::NotARepository(shown_path(folder)),
    }
}

impl ScanError {
    fn from_failure(failure: Failure) -> Self {
        match failure {
            Failure::TimeLimit => Self::TimeLimit,
            Failure::NotStarted(error) => Self::GitNotStarted(error),
            Failure::Git { task, complaint } => Self::Git { task, complaint },
        }
    }
}
