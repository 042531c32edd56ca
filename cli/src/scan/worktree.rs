//! The index and the files of one work tree.
//!
//! All files are looked at for sessions, also the ignored ones, such as those in `target` and
//! `node_modules`. Secrets are looked for only in files that are tracked or that git would add: an
//! ignored `.env` is where they belong.

use std::collections::HashSet;
use std::fs::{self, DirEntry, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::content::{Match, matches, session_match};
use super::failure::Failure;
use super::findings::{self, Findings};
use super::git::{Git, Input};
use super::names::Names;
use super::notes::Notes;
use super::oid::Oid;
use super::report::{Reason, Report};
use super::repository::{exists, is_git_folder};
use super::session_file::may_be_sessions;
use super::text::{base_name, path_from_git, shown_below};

/// The number of bytes that decide whether an ignored file may be a file of sessions.
const START: u64 = 4096;

/// The parts of a scan that a look at a work tree needs.
pub(super) struct WorkTree<'a> {
    pub(super) git: &'a Git,
    pub(super) top: &'a Path,
    /// The folder to which the paths in the report are relative.
    pub(super) root: &'a Path,
    pub(super) names: &'a Names,
    pub(super) max_size: u64,
    pub(super) findings: &'a mut Findings,
    pub(super) report: &'a mut Report,
    pub(super) seen: Seen,
}

/// What a look at a work tree leads to.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Repositories in the work tree, such as submodules.
    pub(super) nested: Vec<PathBuf>,
    /// The commits of submodules in the index, with their paths.
    pub(super) submodules: Vec<(Oid, Vec<u8>)>,
    tracked: HashSet<Vec<u8>>,
    addable: HashSet<Vec<u8>>,
    unreadable: Vec<String>,
    large: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Tracked,
    Addable,
    Ignored,
}

impl WorkTree<'_> {
    pub(super) fn run(mut self, notes: &mut Notes) -> Seen {
        let index = self.read_index();
        let listed = self.list_addable();
        let walked = self.walk();
        for failure in [index, listed, walked].into_iter().filter_map(Result::err) {
            notes.failure(failure);
        }
        notes.examples(
            Reason::UnreadableFiles,
            "files or folders of the work tree cannot be read; check their permissions",
            &self.seen.unreadable,
        );
        notes.examples(
            Reason::TooLarge,
            "files in the work tree are larger than the limit and were not searched for secrets; \
             allow larger files",
            &self.seen.large,
        );
        self.seen
    }

    fn read_index(&mut self) -> Result<(), Failure> {
        let git = self.git;
        let arguments = ["ls-files", "--stage", "--full-name", "-z"];
        let ended = git.each(&arguments, Input::Nothing, 0, |line| {
            let Some((mode, oid, path)) = index_entry(line) else {
                return;
            };
            if mode == b"160000" {
                self.seen.submodules.push((oid, path.to_vec()));
                return;
            }
            self.seen.tracked.insert(path.to_vec());
            let shown = shown_below(self.root, &self.top.join(path_from_git(path)));
            let is_file = mode.starts_with(b"100");
            // A file with a conflict has several entries, one after the other.
            let is_new = self.report.tracked.last() != Some(&shown);
            if is_file && self.findings.add_index(oid, path, &shown, self.names) && is_new {
                self.report.tracked.push(shown);
            }
        })?;
        ended.without_complaint("read the index")
    }

    fn list_addable(&mut self) -> Result<(), Failure> {
        let git = self.git;
        let arguments = [
            "ls-files",
            "--others",
            "--exclude-standard",
            "--full-name",
            "-z",
        ];
        let ended = git.each(&arguments, Input::Nothing, 0, |path| {
            self.seen.addable.insert(path.to_vec());
        })?;
        ended.without_complaint("list the untracked files")
    }

    fn walk(&mut self) -> Result<(), Failure> {
        let mut folders = vec![PathBuf::new()];
        let mut content = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in self.list(&folder) {
                self.git.deadline().check()?;
                let path = folder.join(entry.file_name());
                if path.as_os_str() == ".git" {
                    continue;
                }
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => {
                        if is_repository(&entry.path()) {
                            self.seen.nested.push(entry.path());
                            continue;
                        }
                        folders.push(path);
                    }
                    Ok(kind) if kind.is_file() => {
                        self.look_at(&path, &mut content)?;
                    }
                    Ok(_) => {}
                    Err(error) => self.cannot_read(&path, &error),
                }
            }
        }
        Ok(())
    }

    fn list(&mut self, folder: &Path) -> Vec<DirEntry> {
        let entries = fs::read_dir(self.top.join(folder)).and_then(Iterator::collect);
        entries.unwrap_or_else(|error| {
            self.cannot_read(folder, &error);
            Vec::new()
        })
    }

    fn look_at(&mut self, path: &Path, content: &mut Vec<u8>) -> Result<(), Failure> {
        let git_path = git_path(path);
        let standing = self.standing(&git_path);
        let named = self.names.contain(base_name(&git_path));
        let full = self.top.join(path);
        let read = self.read(&full, standing, content);
        let (size, matches) = match read {
            Ok(read) => read,
            Err(error) => {
                self.cannot_read(path, &error);
                // The name is a finding nevertheless, but without an id.
                if named {
                    self.list_session_file(path, standing);
                }
                return Ok(());
            }
        };
        self.report.files += 1;
        let shown = shown_below(self.root, &full);
        if size > self.max_size && standing != Standing::Ignored && !named {
            self.seen.large.push(shown.clone());
        }
        if matches.is_empty() && !named {
            return Ok(());
        }
        if named || matches.iter().any(|one| one.rule.is_session_file()) {
            self.list_session_file(path, standing);
        }
        let Some(oid) = self.id(&full)? else {
            return Ok(());
        };
        let file = findings::File {
            path: &shown,
            named,
            ignored: standing == Standing::Ignored,
            size,
            matches: &matches,
        };
        self.findings.add_file(oid, file);
        Ok(())
    }

    fn standing(&self, path: &[u8]) -> Standing {
        if self.seen.tracked.contains(path) {
            return Standing::Tracked;
        }
        match self.seen.addable.contains(path) {
            true => Standing::Addable,
            false => Standing::Ignored,
        }
    }

    /// Returns the size of the file and what its content matches.
    fn read(
        &self,
        path: &Path,
        standing: Standing,
        content: &mut Vec<u8>,
    ) -> io::Result<(u64, Vec<Match>)> {
        content.clear();
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        (&file).take(START).read_to_end(content)?;
        if standing == Standing::Ignored && !may_be_sessions(content) {
            return Ok((size, Vec::new()));
        }
        (&file)
            .take(self.max_size.saturating_sub(START))
            .read_to_end(content)?;
        let found = match standing {
            Standing::Ignored => session_match(content).into_iter().collect(),
            _ => matches(content),
        };
        Ok((size, found))
    }

    fn list_session_file(&mut self, path: &Path, standing: Standing) {
        if standing == Standing::Addable {
            let shown = shown_below(self.root, &self.top.join(path));
            self.report.not_ignored.push(shown);
        }
    }

    /// The id that the content would have as a blob. Nothing is written.
    fn id(&self, path: &Path) -> Result<Option<Oid>, Failure> {
        // A file that was deleted since then is no longer in the work tree.
        let Ok(file) = File::open(path) else {
            return Ok(None);
        };
        let arguments = ["hash-object", "--no-filters", "--stdin"];
        let (_, id) = self.git.try_output(&arguments, Input::File(file))?;
        Ok(Oid::from_hex(&id))
    }

    fn cannot_read(&mut self, path: &Path, error: &io::Error) {
        // Files come and go during a scan.
        if error.kind() == io::ErrorKind::NotFound {
            return;
        }
        let shown = shown_below(self.root, &self.top.join(path));
        self.seen.unreadable.push(format!("{shown} ({error})"));
    }
}

/// Whether the folder is a submodule, another repository or a bare one.
fn is_repository(folder: &Path) -> bool {
    let own = folder.join(".git");
    let has_own = match own.symlink_metadata() {
        Ok(kind) if kind.is_file() => starts_like_link(&own),
        Ok(_) => is_git_folder(&own) || exists(&own.join("commondir")),
        Err(_) => false,
    };
    has_own || is_git_folder(folder)
}

/// Whether the file names another folder as the repository.
fn starts_like_link(file: &Path) -> bool {
    let mut start = [0; 8];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut start));
    // An unreadable file counts, and is then noted as a repository that cannot be opened.
    read.is_err_and(|error| error.kind() != io::ErrorKind::UnexpectedEof) || &start == b"gitdir: "
}

/// The mode, the id and the path in `100644 53c7… 0<TAB>path`.
fn index_entry(line: &[u8]) -> Option<(&[u8], Oid, &[u8])> {
    let tab = memchr::memchr(b'\t', line)?;
    let mut parts = line[..tab].split(|byte| *byte == b' ');
    let mode = parts.next()?;
    let oid = Oid::from_hex(parts.next()?)?;
    Some((mode, oid, &line[tab + 1..]))
}

/// A relative path as git writes it.
fn git_path(path: &Path) -> Vec<u8> {
    let parts: Vec<_> = path.iter().map(|part| part.as_encoded_bytes()).collect();
    parts.join(&b'/')
}
