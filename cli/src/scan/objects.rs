//! Reads every object of a repository, also those that nothing refers to.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::content::{is_large_file_pointer, matches};
use super::failure::Failure;
use super::findings::Findings;
use super::git::{Git, Input};
use super::names::Names;
use super::notes::Notes;
use super::oid::Oid;
use super::report::Reason;
use super::text::shown;

/// Git stops at a damaged object, and is started again this many times.
const MAX_RESTARTS: usize = 100;

/// The objects of one repository.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) commits: HashSet<Oid>,
    /// The commits of submodules that trees refer to, with the name of their folder.
    pub(super) submodules: BTreeMap<Oid, Vec<u8>>,
    /// The number of trees and blobs that were read.
    pub(super) read: u64,
}

/// The parts of a scan that a pass over the objects needs.
pub(super) struct Pass<'a> {
    pub(super) git: &'a Git,
    pub(super) names: &'a Names,
    pub(super) max_size: u64,
    pub(super) findings: &'a mut Findings,
    pub(super) objects: &'a mut Objects,
    pub(super) unseen: Unseen,
}

/// What a pass could not read.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    unreadable: Vec<String>,
    large: Vec<(Oid, u64)>,
    large_trees: Vec<String>,
    pointers: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blob,
    Tree,
}

impl Pass<'_> {
    pub(super) fn run(mut self, notes: &mut Notes) -> Result<(), Failure> {
        let listed = self.read_all(notes);
        self.note(notes);
        listed
    }

    fn read_all(&mut self, notes: &mut Notes) -> Result<(), Failure> {
        let ids = Arc::new(self.list(notes)?);
        let mut next = 0;
        for _ in 0..=MAX_RESTARTS {
            next = self.read_from(&ids, next)?;
            let Some(damaged) = ids.get(next) else {
                return Ok(());
            };
            self.unseen.unreadable.push(damaged.short());
            next += 1;
        }
        let task = "read the objects";
        let complaint = format!("{} objects were not read", ids.len() - next);
        Err(Failure::Git { task, complaint })
    }

    /// The trees before the blobs, so that the names of the blobs are known.
    fn list(&mut self, notes: &mut Notes) -> Result<Vec<Oid>, Failure> {
        let arguments = [
            "cat-file",
            "--batch-check=%(objectname) %(objecttype) %(objectsize)",
            "--batch-all-objects",
            "--unordered",
            "--buffer",
        ];
        let (mut ids, mut blobs) = (Vec::new(), Vec::new());
        let ended = self.git.each(&arguments, Input::Nothing, b'\n', |line| {
            match header(line) {
                Some((oid, b"commit", _)) => {
                    self.objects.commits.insert(oid);
                }
                Some((_, b"tag", _)) => {}
                Some((oid, b"tree", size)) if size > self.max_size => {
                    self.unseen.large_trees.push(oid.short());
                }
                Some((oid, b"tree", _)) => ids.push(oid),
                Some((oid, b"blob", size)) if size > self.max_size => {
                    self.unseen.large.push((oid, size));
                }
                Some((oid, b"blob", _)) => blobs.push(oid),
                _ => self.unseen.unreadable.push(shown(line)),
            }
        })?;
        if let Err(failure) = ended.without_complaint("list all objects") {
            notes.failure(failure);
        }
        ids.append(&mut blobs);
        Ok(ids)
    }

    /// Returns the index of the object at which git stopped.
    fn read_from(&mut self, ids: &Arc<Vec<Oid>>, first: usize) -> Result<usize, Failure> {
        if first == ids.len() {
            return Ok(first);
        }
        let input = Input::Ids(Arc::clone(ids), first);
        let mut running = self
            .git
            .start(&["cat-file", "--batch", "--buffer"], input)?;
        let (mut line, mut content) = (Vec::new(), Vec::new());
        for (index, oid) in ids.iter().enumerate().skip(first) {
            if !running.piece(b'\n', &mut line) {
                running.finish()?;
                return Ok(index);
            }
            let (kind, size) = match header(&line) {
                Some((read, b"tree", size)) if read == *oid => (Kind::Tree, size),
                Some((read, b"blob", size)) if read == *oid => (Kind::Blob, size),
                _ => {
                    self.unseen.unreadable.push(oid.short());
                    continue;
                }
            };
            let fits = size <= self.max_size;
            // A newline follows the content.
            let length = usize::try_from(size)
                .unwrap_or(usize::MAX)
                .saturating_add(1);
            if !fits || !running.exactly(length, &mut content) {
                running.finish()?;
                return Ok(index);
            }
            content.pop();
            self.objects.read += 1;
            match kind {
                Kind::Tree => self.read_tree(*oid, &content),
                Kind::Blob => self.read_blob(*oid, size, &content),
            }
        }
        running.finish()?.without_complaint("read all objects")?;
        Ok(ids.len())
    }

    fn read_blob(&mut self, oid: Oid, size: u64, content: &[u8]) {
        self.findings.set_size(&oid, size);
        self.findings.add_object(oid, size, &matches(content));
        if is_large_file_pointer(content) {
            self.unseen.pointers.push(oid.short());
        }
    }

    /// Each entry is its mode, a space, its name, a zero byte and the bytes of its id.
    fn read_tree(&mut self, tree: Oid, mut rest: &[u8]) {
        while !rest.is_empty() {
            let Some((entry, after)) = tree_entry(rest, tree.length()) else {
                self.unseen.unreadable.push(tree.short());
                return;
            };
            rest = after;
            match entry.mode {
                b"160000" => {
                    self.objects
                        .submodules
                        .insert(entry.oid, entry.name.to_vec());
                }
                mode if mode.starts_with(b"100") && self.names.contain(entry.name) => {
                    self.findings.add_named_object(entry.oid, entry.name);
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, notes: &mut Notes) {
        let mut large = Vec::new();
        for (oid, size) in &self.unseen.large {
            if !self.findings.set_size(oid, *size) {
                large.push(format!("{} ({size} bytes)", oid.short()));
            }
        }
        let unseen = &self.unseen;
        notes.examples(
            Reason::TooLarge,
            "files in the history are larger than the limit and were not read; allow larger files",
            &large,
        );
        notes.examples(
            Reason::TooLarge,
            "folders in the history are larger than the limit; allow larger files",
            &unseen.large_trees,
        );
        notes.examples(
            Reason::UnreadableObjects,
            "objects are damaged; fetch them again or scan another clone",
            &unseen.unreadable,
        );
        notes.examples(
            Reason::LargeFileStorage,
            "the content of files in Git LFS is not in the history and was not read; check them",
            &unseen.pointers,
        );
    }
}

struct TreeEntry<'a> {
    mode: &'a [u8],
    name: &'a [u8],
    oid: Oid,
}

fn tree_entry(text: &[u8], id_length: usize) -> Option<(TreeEntry<'_>, &[u8])> {
    let space = memchr::memchr(b' ', text)?;
    let end = memchr::memchr(0, text)?;
    let (id, rest) = text[end + 1..].split_at_checked(id_length)?;
    let entry = TreeEntry {
        mode: &text[..space],
        name: text.get(space + 1..end)?,
        oid: Oid::from_bytes(id)?,
    };
    Some((entry, rest))
}

/// The id, the type and the size of an object.
fn header(line: &[u8]) -> Option<(Oid, &[u8], u64)> {
    let mut parts = line.split(|byte| *byte == b' ');
    let oid = Oid::from_hex(parts.next()?)?;
    let kind = parts.next()?;
    let size = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    Some((oid, kind, size))
}
