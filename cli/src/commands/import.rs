use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::Args;
use serde::Serialize;

use crate::{
    exit::{Exit, Failure, Outcome},
    importing::{Counts, Importing, Under, Work},
    keys::Sealing,
    leaks::refuse_if_committed,
    output::{self, Lines},
    stores::{PATIENCE, StoreArgs},
};

/// Import a JSON file of sessions into a store, for the next logins of their owners
///
/// The file is one JSON object, with an object for each session id. Its "user_id" becomes the
/// owner, and all other fields become entries. The old ids were in a plain file, so they open
/// nothing: the app's login handler takes over the entries with session.adopt_imported(). Of
/// several sessions of an owner, the last one in the file counts.
///
/// With --accept-old-ids, a request with the old id continues its session instead, once; the app
/// sets adopt_ids_from_cookie. Anyone who has an id can do that, so it is refused if a file of
/// sessions is in the history of the repository, or if that cannot be seen whole.
///
/// It can be run again at any time, also after it was killed: it never overwrites what the app has
/// used since. An entry that cannot be imported is named by its position, and the others go on.
#[derive(Args)]
pub(crate) struct Import {
    /// The file
    file: PathBuf,

    /// Let requests with the old ids continue the sessions, not logins
    #[arg(long)]
    accept_old_ids: bool,

    /// The repository of the old app, instead of the one that the file is in
    #[arg(long, value_name = "DIR", requires = "accept_old_ids")]
    repo: Option<PathBuf>,

    /// How long the entries wait for their owner or for their old id
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = humantime::parse_duration)]
    ttl: Duration,

    /// Say what would be imported, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Do not read everything back and compare it
    #[arg(long, conflicts_with = "dry_run")]
    no_verify: bool,

    /// How many entries are written at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,

    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    app: Sealing,
}

/// Read a file that was imported, and compare it with the store
///
/// Its exit code is 1 if the store lacks something of it or has something else.
#[derive(Args)]
pub(crate) struct Verify {
    /// The file
    file: PathBuf,

    /// It was imported with --accept-old-ids
    #[arg(long)]
    accept_old_ids: bool,

    /// How many entries are read at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,

    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    app: Sealing,
}

fn under(accept_old_ids: bool) -> Under {
    match accept_old_ids {
        true => Under::OldId,
        false => Under::Owner,
    }
}

#[derive(Serialize)]
struct Imported {
    dry_run: bool,
    /// Only an app with this cookie finds the entries.
    cookie: String,
    #[serde(flatten)]
    counts: Counts,
    /// The number of owners' entries that were read back.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<u64>,
    /// Of them, those that were not as they should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    different: Option<u64>,
}

impl Import {
    pub(crate) async fn run(self, json: bool) -> Outcome {
        if self.accept_old_ids {
            refuse_if_committed(&self.file, self.repo.as_deref())?;
        }
        let store = self.store.connect().await?;
        let builder = self.app.builder()?.store(store).store_timeout(PATIENCE);
        let layer = builder.build()?;
        let under = under(self.accept_old_ids);
        let now = SystemTime::now();
        let expires = now
            .checked_add(self.ttl)
            .filter(|_| self.ttl <= Duration::from_secs(400 * 86_400))
            .ok_or_else(|| Failure::usage("--ttl is longer than 400 days"))?;
        let mut importing =
            Importing::open(&self.file, &layer, under, expires.into(), self.jobs.into())?;
        let work = match self.dry_run {
            true => Work::Look,
            false => Work::Import,
        };
        let counts = importing.run(work).await?;
        let mut report = Imported {
            dry_run: self.dry_run,
            cookie: layer.cookie_name().to_owned(),
            counts,
            verified: None,
            different: None,
        };
        if !self.dry_run && !self.no_verify && !report.counts.interrupted {
            let found = importing.run(Work::Verify).await?;
            report.verified = Some(found.present());
            report.different = Some(found.absent());
            report.counts.interrupted |= found.interrupted;
        }
        let exit = match &report {
            Imported { counts, .. } if counts.interrupted => Exit::Interrupted,
            Imported {
                different: Some(1..),
                ..
            } => Exit::No,
            Imported { counts, .. } if counts.bad > 0 => Exit::Partly,
            _ => Exit::Done,
        };
        match json {
            true => output::print_json(&report)?,
            false => report.print()?,
        }
        Ok(exit)
    }
}

impl Imported {
    fn print(&self) -> Outcome<()> {
        let counts = &self.counts;
        let (new, replaced) = match self.dry_run {
            true => ("would be imported", "would be replaced"),
            false => ("imported", "replaced"),
        };
        let mut lines = Lines::default();
        lines.push("for apps with the cookie", output::plain(&self.cookie));
        lines.push("sessions in the file", counts.entries);
        lines.push(new, counts.new);
        lines.push(replaced, counts.replaced);
        lines.push("unchanged", counts.unchanged);
        lines.push("superseded by a later one", counts.superseded);
        lines.push("used by the app", counts.used);
        lines.push("without an owner", counts.without_owner);
        lines.push("bad", counts.bad);
        if let (Some(verified), Some(different)) = (self.verified, self.different) {
            lines.push(
                "read back",
                format!("{verified} as they should be, {different} not"),
            );
        }
        lines.print()
    }
}

#[derive(Serialize)]
struct Verified {
    #[serde(flatten)]
    counts: Counts,
}

impl Verify {
    pub(crate) async fn run(self, json: bool) -> Outcome {
        let store = self.store.connect().await?;
        let builder = self.app.builder()?.store(store).store_timeout(PATIENCE);
        let layer = builder.build()?;
        let now = SystemTime::now().into();
        let under = under(self.accept_old_ids);
        let mut importing = Importing::open(&self.file, &layer, under, now, self.jobs.into())?;
        let counts = importing.run(Work::Verify).await?;
        let exit = match &counts {
            counts if counts.interrupted => Exit::Interrupted,
            counts if counts.absent() > 0 => Exit::No,
            counts if counts.bad > 0 => Exit::Partly,
            _ => Exit::Done,
        };
        if json {
            output::print_json(&Verified { counts })?;
            return Ok(exit);
        }
        let mut lines = Lines::default();
        lines.push("sessions in the file", counts.entries);
        lines.push("the same", counts.unchanged);
        lines.push("superseded by a later one", counts.superseded);
        lines.push("used by the app", counts.used);
        lines.push("missing", counts.new);
        lines.push("different", counts.replaced);
        lines.push("without an owner", counts.without_owner);
        lines.push("bad", counts.bad);
        lines.print()?;
        Ok(exit)
    }
}
