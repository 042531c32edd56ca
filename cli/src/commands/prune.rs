use std::{
    pin::{Pin, pin},
    time::{Duration, SystemTime},
};

use clap::Args;
use serde::Serialize;
use tower_sealed_session::store::{AnyStore, Operate as _};

use crate::{
    exit::{Exit, Outcome},
    output::{self, count},
    stores::StoreArgs,
};

/// Delete expired sessions from a store, in short statements
///
/// It is safe while apps use the store. Redis deletes them by itself: there is nothing to do.
#[derive(Args)]
pub(crate) struct Prune {
    /// Count them, and delete nothing
    #[arg(long)]
    dry_run: bool,

    /// Do it again at this interval, until it is interrupted
    #[arg(long, value_name = "TIME", value_parser = interval)]
    #[arg(conflicts_with = "dry_run")]
    every: Option<Duration>,

    #[command(flatten)]
    store: StoreArgs,
}

const WHAT: &str = "expired session";

#[derive(Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_delete: Option<u64>,
}

impl Prune {
    pub(crate) async fn run(self, json: bool) -> Outcome {
        let store = self.store.connect().await?;
        if self.dry_run {
            let expired = store.count(SystemTime::now().into()).await?.expired;
            let report = Report {
                deleted: None,
                would_delete: Some(expired),
            };
            match json {
                true => output::print_json(&report)?,
                false => output::print(&format!("{} would be deleted\n", count(expired, WHAT)))?,
            }
            return Ok(Exit::Done);
        }
        let mut interrupted = pin!(tokio::signal::ctrl_c());
        loop {
            let (deleted, whole) = prune(&store, interrupted.as_mut()).await?;
            let report = Report {
                deleted: Some(deleted),
                would_delete: None,
            };
            match json {
                true => output::print_json(&report)?,
                false => output::print(&format!("{} deleted\n", count(deleted, WHAT)))?,
            }
            if !whole {
                return Ok(Exit::Interrupted);
            }
            let Some(every) = self.every else {
                return Ok(Exit::Done);
            };
            tokio::select! {
                _ = &mut interrupted => return Ok(Exit::Interrupted),
                () = tokio::time::sleep(every) => {}
            }
        }
    }
}

/// Deletes part after part. Returns how many it deleted, and whether it was not interrupted.
async fn prune(store: &AnyStore, mut interrupted: Pin<&mut impl Future>) -> Outcome<(u64, bool)> {
    let (mut deleted, mut from) = (0, None);
    loop {
        // a statement is finished first
        tokio::select! {
            biased;
            _ = &mut interrupted => return Ok((deleted, false)),
            () = std::future::ready(()) => {}
        }
        let pruned = store.prune(SystemTime::now().into(), from).await?;
        deleted += pruned.deleted;
        from = pruned.next;
        if from.is_none() {
            return Ok((deleted, true));
        }
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match interval >= Duration::from_secs(1) {
        true => Ok(interval),
        false => Err("at least 1s".to_owned()),
    }
}
