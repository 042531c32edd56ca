use std::pin::pin;

use clap::Args;
use serde::Serialize;
use tokio::task::JoinSet;
use tower_sealed_session::{
    Error, SessionLayer,
    store::{AnyStore, Operate as _},
    tools::{self, Relocated},
};

use crate::{
    exit::{Exit, Failure, Outcome, chain},
    keys::App,
    output::{self, Lines},
    progress::Progress,
    retry::persistently,
    stores::{Location, PATIENCE},
};

/// How often the old store is read again while requests change its sessions.
const PASSES: u32 = 10;

/// Move all sessions from one store to another, while the app runs
///
/// First let every instance of the app use both: .store(new).read_from(old). Then run this. After
/// it, the app no longer needs the old store. Nobody is logged out. It can be run again at any time.
#[derive(Args)]
pub(crate) struct Move {
    /// The old store: a URL without a password, env:NAME or file:PATH
    #[arg(long, value_name = "URL")]
    from: Location,

    /// The new store
    #[arg(long, value_name = "URL")]
    to: Location,

    /// Count what there is to move, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// How many sessions are moved at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,

    #[command(flatten)]
    app: App,
}

#[derive(Default, Serialize)]
struct Counts {
    /// Sessions that can be used.
    moved: u64,
    /// What is left of others, and imported entries.
    copied: u64,
    /// Of other secrets. They stay in the old store.
    unreadable: u64,
    /// Sessions that requests changed in each pass.
    left: u64,
    interrupted: bool,
}

impl Move {
    pub(crate) async fn run(self, json: bool) -> Outcome {
        let (old, new) = (self.from.connect().await?, self.to.connect().await?);
        let builder = self.app.builder()?.store(new).read_from(old.clone());
        let layer = builder.store_timeout(PATIENCE).build()?;
        if self.dry_run {
            let rows = old.count(time::OffsetDateTime::now_utc()).await?.live;
            match json {
                true => output::print_json(&serde_json::json!({ "rows": rows }))?,
                false => output::print(&format!("{rows} rows are in the old store\n"))?,
            }
            return Ok(Exit::Done);
        }
        let mut counts = Counts::default();
        for _ in 0..PASSES {
            let pass = pass(&layer, &old, self.jobs.into()).await?;
            counts.moved += pass.moved;
            counts.copied += pass.copied;
            (counts.unreadable, counts.left) = (pass.unreadable, pass.left);
            counts.interrupted = pass.interrupted;
            if pass.interrupted || (pass.moved == 0 && pass.left == 0) {
                break;
            }
        }
        let exit = match &counts {
            Counts {
                interrupted: true, ..
            } => Exit::Interrupted,
            Counts {
                left: 0,
                unreadable: 0,
                ..
            } => Exit::Done,
            _ => Exit::Partly,
        };
        if counts.interrupted {
            output::note("stopped: run the same command again to go on");
        }
        if json {
            output::print_json(&counts)?;
            return Ok(exit);
        }
        let mut lines = Lines::default();
        lines.push("moved", counts.moved);
        lines.push(
            "copied",
            format!("{}, what is left of other sessions", counts.copied),
        );
        lines.push(
            "of other secrets",
            format!("{}, they stay in the old store", counts.unreadable),
        );
        lines.push("still changing", counts.left);
        lines.print()?;
        Ok(exit)
    }
}

/// Reads the old store once, and moves what it has.
async fn pass(layer: &SessionLayer, old: &AnyStore, jobs: usize) -> Outcome<Counts> {
    let about = old.statistics(time::OffsetDateTime::now_utc()).await?.live;
    let progress = Progress::new(about, "moving");
    let (mut counts, mut tasks) = (Counts::default(), JoinSet::new());
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let (mut from, mut done) = (None, 0);
    'rows: loop {
        let part = old.scan(from).await?;
        for (key, row) in part.sessions {
            while tasks.len() >= jobs {
                counts.finish(&mut tasks).await?;
            }
            tokio::select! {
                biased;
                _ = &mut interrupted => {
                    counts.interrupted = true;
                    break 'rows;
                }
                () = std::future::ready(()) => {}
            }
            let layer = layer.clone();
            tasks.spawn(
                async move { persistently(|| tools::relocate(&layer, key, row.clone())).await },
            );
            done += 1;
            progress.set(done);
        }
        from = part.next;
        if from.is_none() {
            break;
        }
    }
    while !tasks.is_empty() {
        counts.finish(&mut tasks).await?;
    }
    progress.end();
    Ok(counts)
}

impl Counts {
    async fn finish(&mut self, tasks: &mut JoinSet<Result<Relocated, Error>>) -> Outcome<()> {
        let Some(answer) = tasks.join_next().await else {
            return Ok(());
        };
        let relocated = answer.expect("the task does not panic").map_err(|error| {
            let text = chain(&error);
            let text = format!("stopped, run the same command again to go on: {text}");
            Failure::new(Exit::Store, text)
        })?;
        match relocated {
            Relocated::Moved => self.moved += 1,
            Relocated::Copied => self.copied += 1,
            Relocated::Changed => self.left += 1,
            Relocated::Unreadable => self.unreadable += 1,
            _ => {}
        }
        Ok(())
    }
}
