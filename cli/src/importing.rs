//! Going through a file of sessions, many entries at the same time.

use std::{
    collections::BTreeMap,
    fs::{File, Metadata},
    path::Path,
    pin::pin,
    time::SystemTime,
};

use serde::Serialize;
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tower_sealed_session::{
    Error, ErrorKind, SessionLayer,
    tools::{self, ImportFound},
};

use crate::{
    exit::{Exit, Failure, Outcome, chain},
    file::{BadEntry, Entries, Entry, FileError, Survey, survey},
    output,
    progress::Progress,
    retry::persistently,
};

/// The longest entry that is read. Its sealed entries have to fit 64 KiB.
const MAX_ENTRY: usize = 256 * 1024;

/// The most bad entries that are named one by one.
const NAMED: u64 = 1000;

/// A file that is imported or compared.
pub(crate) struct Importing<'a> {
    path: &'a Path,
    survey: Survey,
    written: (u64, Option<SystemTime>),
    layer: &'a SessionLayer,
    under: Under,
    expires: OffsetDateTime,
    jobs: usize,
    /// Bad entries are named only the first time.
    told: bool,
}

/// By what the app finds a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// A login of its owner.
    Owner,
    OldId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Write what the store lacks.
    Import,
    /// Say what an import would do.
    Look,
    /// Read back and compare.
    Verify,
}

/// How many sessions of the file were what. A session's place is its owner's, or that of its id.
#[derive(Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) entries: u64,
    /// The store had nothing in its place.
    pub(crate) new: u64,
    /// It had a session of another file, or an earlier one of this file.
    pub(crate) replaced: u64,
    /// It had the same.
    pub(crate) unchanged: u64,
    /// It has a later session of this file.
    pub(crate) superseded: u64,
    /// The app has taken it since.
    pub(crate) used: u64,
    pub(crate) without_owner: u64,
    pub(crate) bad: u64,
    /// The bad ones, by reason.
    pub(crate) bad_by_reason: BTreeMap<&'static str, u64>,
    pub(crate) interrupted: bool,
}

impl Counts {
    /// Those that a verification finds.
    pub(crate) fn present(&self) -> u64 {
        self.unchanged + self.superseded + self.used
    }

    /// Those that a verification does not find.
    pub(crate) fn absent(&self) -> u64 {
        self.new + self.replaced
    }

    fn add(&mut self, found: ImportFound) {
        *match found {
            ImportFound::Nothing => &mut self.new,
            ImportFound::Same => &mut self.unchanged,
            ImportFound::Older => &mut self.replaced,
            ImportFound::Newer => &mut self.superseded,
            _ => &mut self.used,
        } += 1;
    }
}

/// What became of one entry.
enum Answer {
    Found(ImportFound),
    Bad {
        position: u64,
        offset: u64,
        name: &'static str,
        reason: String,
    },
}

type Tasks = JoinSet<Result<Answer, Error>>;

impl<'a> Importing<'a> {
    /// Counts the entries of a file, and checks that it can be read to its end.
    pub(crate) fn open(
        path: &'a Path,
        layer: &'a SessionLayer,
        under: Under,
        expires: OffsetDateTime,
        jobs: usize,
    ) -> Outcome<Self> {
        let file = open(path)?;
        let written = stamp(&file.metadata().map_err(|error| unreadable(path, &error))?);
        let survey = survey(file)?;
        Ok(Self {
            path,
            survey,
            written,
            layer,
            under,
            expires,
            jobs,
            told: false,
        })
    }

    pub(crate) async fn run(&mut self, work: Work) -> Outcome<Counts> {
        let file = open(self.path)?;
        let metadata = file
            .metadata()
            .map_err(|error| unreadable(self.path, &error))?;
        if stamp(&metadata) != self.written {
            return Err(Failure::input(
                "the file was changed in the meantime: run it again",
            ));
        }
        let progress = Progress::new(
            self.survey.entries,
            match work {
                Work::Import => "importing",
                Work::Look => "comparing",
                Work::Verify => "verifying",
            },
        );
        let mut entries = Entries::new(file).max_entry(MAX_ENTRY);
        let (mut counts, mut tasks) = (Counts::default(), Tasks::new());
        let mut interrupted = pin!(tokio::signal::ctrl_c());
        let mut last = 0;
        loop {
            // what is under way is finished first
            while tasks.len() >= self.jobs {
                self.finish(&mut tasks, &mut counts, last).await?;
            }
            tokio::select! {
                biased;
                _ = &mut interrupted => {
                    counts.interrupted = true;
                    break;
                }
                () = std::future::ready(()) => {}
            }
            let Some(entry) = entries.next() else { break };
            counts.entries += 1;
            progress.set(counts.entries);
            match entry? {
                Ok(entry) => {
                    last = entry.position;
                    self.start(entry, work, &mut counts, &mut tasks);
                }
                Err(BadEntry {
                    position,
                    offset,
                    reason,
                }) => self.note(
                    Answer::Bad {
                        position,
                        offset,
                        name: reason.name(),
                        reason: reason.to_string(),
                    },
                    &mut counts,
                ),
            }
        }
        while !tasks.is_empty() {
            self.finish(&mut tasks, &mut counts, last).await?;
        }
        progress.end();
        self.told = true;
        if counts.interrupted {
            output::note(format_args!(
                "stopped after session {last}: run the same command again to go on"
            ));
        }
        Ok(counts)
    }

    /// Begins the work for one entry.
    fn start(&self, entry: Entry, work: Work, counts: &mut Counts, tasks: &mut Tasks) {
        let Some(owner) = entry.owner else {
            counts.without_owner += 1;
            return;
        };
        let (position, offset) = (entry.position, entry.offset);
        let (layer, expires) = (self.layer.clone(), self.expires);
        let file = *self.survey.sha256.first_chunk().expect("a hash is longer");
        let (fields, under) = (entry.fields, self.under);
        let id = entry.id;
        tasks.spawn(async move {
            let prepared = || {
                let import = tools::Import::new(owner.into_string(), expires)?;
                let mut import = import.source(file, position);
                if under == Under::OldId {
                    import = import.old_id(id.into_string())?;
                }
                for (key, json) in &fields {
                    import.json(key, json.get())?;
                }
                Ok(import)
            };
            let answer = match prepared() {
                Ok(import) if work == Work::Import => {
                    persistently(|| tools::import(&layer, &import)).await
                }
                Ok(import) => persistently(|| tools::find_import(&layer, &import)).await,
                Err(error) => Err(error),
            };
            let (name, reason) = match answer {
                Ok(found) => return Ok(Answer::Found(found)),
                Err(error) if error.kind() == ErrorKind::TooLarge => (
                    "too-large",
                    "its entries are too large: 64 KiB sealed are the limit",
                ),
                Err(error) if error.kind() == ErrorKind::InvalidOldId => {
                    ("cookie-value", "its id cannot be the value of a cookie")
                }
                Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                Err(_) => ("invalid-json", "a session cannot hold one of its values"),
            };
            Ok(Answer::Bad {
                position,
                offset,
                name,
                reason: reason.to_owned(),
            })
        });
    }

    async fn finish(&self, tasks: &mut Tasks, counts: &mut Counts, last: u64) -> Outcome<()> {
        let Some(answer) = tasks.join_next().await else {
            return Ok(());
        };
        match answer.expect("the task does not panic") {
            Ok(answer) => {
                self.note(answer, counts);
                Ok(())
            }
            Err(error) => Err(Failure::new(
                Exit::Store,
                format!(
                    "stopped near session {last}, run the same command again to go on: {}",
                    chain(&error)
                ),
            )),
        }
    }

    fn note(&self, answer: Answer, counts: &mut Counts) {
        match answer {
            Answer::Found(found) => counts.add(found),
            Answer::Bad {
                position,
                offset,
                name,
                reason,
            } => {
                counts.bad += 1;
                *counts.bad_by_reason.entry(name).or_default() += 1;
                match counts.bad {
                    _ if self.told => {}
                    ..NAMED => output::note(format_args!(
                        "session {position} at byte {offset} is bad: {reason}"
                    )),
                    NAMED => output::note("more bad sessions are counted, but not named"),
                    _ => {}
                }
            }
        }
    }
}

fn open(path: &Path) -> Outcome<File> {
    File::open(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::input(format!("cannot read {}: {error}", path.display()))
}

/// What changes when a file is written.
fn stamp(metadata: &Metadata) -> (u64, Option<SystemTime>) {
    (metadata.len(), metadata.modified().ok())
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::input(error.to_string())
    }
}
