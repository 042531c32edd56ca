use std::time::{Duration, SystemTime};

use clap::Args;
use serde::Serialize;
use tower_sealed_session::store::{AnyStore, Operate as _};

use crate::{
    exit::{Exit, Outcome},
    output,
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
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    #[arg(conflicts_with = "dry_run")]
    every: Option<Duration>,

    #[command(flatten)]
    store: StoreArgs,
}

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
                false => output::print(&format!("{expired} expired sessions would be deleted\n"))?,
            }
            return Ok(Exit::Done);
        }
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            let deleted = tokio::select! {
                biased;
                _ = &mut interrupted => return Ok(Exit::Interrupted),
                deleted = prune(&store) => deleted?,
            };
            let report = Report {
                deleted: Some(deleted),
                would_delete: None,
            };
            match json {
                true => output::print_json(&report)?,
                false => output::print(&format!("{deleted} expired sessions deleted\n"))?,
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

async fn prune(store: &AnyStore) -> Outcome<u64> {
    let (mut deleted, mut from) = (0, None);
    loop {
        let pruned = store.prune(SystemTime::now().into(), from).await?;
        deleted += pruned.deleted;
        from = pruned.next;
        if from.is_none() {
            return Ok(deleted);
        }
    }
}
