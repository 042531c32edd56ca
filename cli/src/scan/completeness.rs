//! Finds out whether the repository contains its whole history.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::git::Input;
use super::notes::Notes;
use super::report::Reason;
use super::repository::Repository;
use super::text::{path_from_git, shown_path};

/// Alternates of alternates are followed this far, as git does.
const MAX_DEPTH: u32 = 5;

pub(super) fn check(repository: &Repository, notes: &mut Notes) -> Result<(), Failure> {
    check_shallow(repository, notes)?;
    check_partial(repository, notes)?;
    check_rewritten(repository, notes)?;
    let mut folders = Folders::default();
    folders.check(&repository.common.join("objects"), 0);
    folders.note(notes);
    check_connections(repository, notes)
}

fn check_shallow(repository: &Repository, notes: &mut Notes) -> Result<(), Failure> {
    let arguments = ["rev-parse", "--is-shallow-repository"];
    let shallow = repository
        .git
        .output("tell whether the history is whole", &arguments)?;
    if shallow != b"false" {
        notes.add(
            Reason::Shallow,
            "the clone is shallow, so older commits are not here; run `git fetch --unshallow`",
        );
    }
    Ok(())
}

fn check_partial(repository: &Repository, notes: &mut Notes) -> Result<(), Failure> {
    const SETTINGS: &str =
        r"^(extensions\.partialclone|remote\..*\.(promisor|partialclonefilter))$";
    let arguments = ["config", "--name-only", "--get-regexp", SETTINGS];
    let (ended, output) = repository.git.try_output(&arguments, Input::Nothing)?;
    if ended.success && !output.is_empty() {
        note_partial(notes);
        return Ok(());
    }
    let packs = fs::read_dir(repository.common.join("objects/pack"))
        .into_iter()
        .flatten();
    let is_promisor = |path: PathBuf| path.extension() == Some(OsStr::new("promisor"));
    if packs
        .filter_map(Result::ok)
        .any(|pack| is_promisor(pack.path()))
    {
        note_partial(notes);
    }
    Ok(())
}

fn note_partial(notes: &mut Notes) {
    notes.add(
        Reason::PartialClone,
        "the clone is partial, so some objects are not here; scan a clone made without `--filter`",
    );
}

/// Replacements and grafts hide history from other commands. This scan does not follow them.
fn check_rewritten(repository: &Repository, notes: &mut Notes) -> Result<(), Failure> {
    let arguments = ["for-each-ref", "--count=1", "refs/replace/"];
    if !repository
        .git
        .output("list the replacements", &arguments)?
        .is_empty()
    {
        notes.add(
            Reason::ReplaceRefs,
            "the repository replaces objects, so its history may have other parts elsewhere; \
             see `git replace --list`",
        );
    }
    let grafts = fs::metadata(repository.common.join("info/grafts"));
    if grafts.is_ok_and(|grafts| grafts.len() > 0) {
        notes.add(
            Reason::Grafts,
            "the file `info/grafts` cuts the history, so git may have deleted earlier commits; \
             scan the repository that it came from",
        );
    }
    Ok(())
}

/// Missing objects that something still refers to.
fn check_connections(repository: &Repository, notes: &mut Notes) -> Result<(), Failure> {
    let arguments = [
        "fsck",
        "--connectivity-only",
        "--no-dangling",
        "--no-progress",
    ];
    let mut missing = Vec::new();
    let ended = repository
        .git
        .each(&arguments, Input::Nothing, b'\n', |line| {
            if let Some(object) = line.strip_prefix(b"missing ") {
                missing.push(String::from_utf8_lossy(object).into_owned());
            }
        })?;
    notes.examples(
        Reason::MissingObjects,
        "objects of the history are missing; fetch them again or scan another clone",
        &missing,
    );
    if !missing.is_empty() {
        return Ok(());
    }
    ended.without_complaint("check the history")
}

/// Git passes over folders and packs that it cannot read, often without an error.
#[derive(Default)]
struct Folders {
    unreadable: Vec<String>,
    incomplete_packs: Vec<String>,
    absent_alternates: Vec<String>,
}

impl Folders {
    fn note(&self, notes: &mut Notes) {
        notes.examples(
            Reason::UnreadableObjects,
            "objects cannot be read; check the permissions",
            &self.unreadable,
        );
        notes.examples(
            Reason::UnreadableObjects,
            "packs are incomplete, so git ignores their objects; run `git index-pack` on a pack, \
             or delete what an interrupted fetch left behind",
            &self.incomplete_packs,
        );
        notes.examples(
            Reason::AlternatesMissing,
            "other folders with objects of this repository are not there; mount them",
            &self.absent_alternates,
        );
    }

    fn check(&mut self, objects: &Path, depth: u32) {
        for folder in self.list(objects) {
            let name = folder.file_name().unwrap_or_default().as_encoded_bytes();
            if name.len() == 2 && name.iter().all(u8::is_ascii_hexdigit) {
                self.list(&folder);
            }
        }
        for file in self.list(&objects.join("pack")) {
            self.check_pack(&file);
        }
        self.check_alternates(objects, depth);
    }

    fn check_pack(&mut self, file: &Path) {
        let name = file.file_name().unwrap_or_default().as_encoded_bytes();
        if name.starts_with(b"tmp_pack_") {
            self.incomplete_packs.push(shown_path(file));
            return;
        }
        let other = match file.extension().map(OsStr::as_encoded_bytes) {
            Some(b"pack") => "idx",
            Some(b"idx") => "pack",
            _ => return,
        };
        if !file.with_extension(other).exists() {
            self.incomplete_packs.push(shown_path(file));
        }
        if let Err(error) = File::open(file) {
            self.cannot_read(file, &error);
        }
    }

    fn check_alternates(&mut self, objects: &Path, depth: u32) {
        let list = objects.join("info/alternates");
        let text = match fs::read(&list) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.cannot_read(&list, &error),
        };
        for line in text.split(|byte| *byte == b'\n') {
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let alternate = objects.join(path_from_git(line));
            if !alternate.is_dir() || depth == MAX_DEPTH {
                self.absent_alternates.push(shown_path(&alternate));
                continue;
            }
            self.check(&alternate, depth + 1);
        }
    }

    fn list(&mut self, folder: &Path) -> Vec<PathBuf> {
        match fs::read_dir(folder) {
            Ok(entries) => entries
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .collect(),
            Err(error) => {
                // A repository without packs may lack their folder.
                if error.kind() != io::ErrorKind::NotFound {
                    self.cannot_read(folder, &error);
                }
                Vec::new()
            }
        }
    }

    fn cannot_read(&mut self, path: &Path, error: &io::Error) {
        self.unreadable
            .push(format!("{} ({error})", shown_path(path)));
    }
}
