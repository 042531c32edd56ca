use std::{collections::HashSet, time::SystemTime};

use clap::Args;
use serde::Serialize;
use time::OffsetDateTime;
use tower_sealed_session::{
    SessionLayer,
    store::{AnyStore, Operate as _, Statistics},
    tools::{Contents, contents},
};

use crate::{
    exit::{Exit, Failure, Outcome},
    keys::Sealing,
    output::{self, Lines, count},
    prometheus,
    stores::StoreArgs,
};

/// Tell how many sessions a store has
///
/// Without --exact, it prints estimates, if the kind of store has them. They cost nothing. With
/// --prometheus, it also prints what the server of the store tells of its own state.
#[derive(Args)]
pub(crate) struct Stats {
    /// Read all rows: needs the secret to tell sessions from what is left of ended ones. With
    /// --prometheus, count the rows instead, without a secret
    #[arg(long)]
    exact: bool,

    /// Print metrics in the text format of Prometheus, such as for a file of node_exporter. If the
    /// server cannot be reached, print session_store_up with the value 0, and fail
    #[arg(long)]
    prometheus: bool,

    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    app: Sealing,
}

/// Rows by what they hold.
#[derive(Default, Serialize)]
struct Rows {
    /// Sessions that can be used.
    sessions: u64,
    /// Of them, those with an owner.
    with_owner: u64,
    /// What is left of sessions that ended.
    ended: u64,
    /// Pointers to where a session moved.
    moved: u64,
    /// Imported entries that wait for their owner, or that were taken.
    imported: u64,
    /// Rows that these secrets do not open, and that have not expired.
    unreadable: u64,
    /// Expired, and not deleted yet.
    expired: u64,
    /// Bytes of all rows, sealed.
    bytes: u64,
    largest_bytes: u64,
}

#[derive(Serialize)]
struct Estimate {
    live: u64,
    expired: u64,
    exact: bool,
}

impl Stats {
    pub(crate) async fn run(self, json: bool) -> Outcome {
        if self.prometheus {
            // not by clap, which misses a --json before the command
            if json {
                return Err(Failure::usage("--prometheus and --json cannot be combined"));
            }
            return prometheus::print(&self.store, self.exact).await;
        }
        let layer = match self.exact {
            true => Some(self.app.layer()?),
            false => None,
        };
        let store = self.store.connect().await?;
        let now = SystemTime::now().into();
        let Some(layer) = layer else {
            let Statistics {
                live,
                expired,
                exact,
                ..
            } = store.statistics(now).await?;
            if json {
                output::print_json(&Estimate {
                    live,
                    expired,
                    exact,
                })?;
                return Ok(Exit::Done);
            }
            let about = if exact { "" } else { "about " };
            let mut lines = Lines::default();
            lines.push("not expired", format!("{about}{}", count(live, "row")));
            lines.push(
                "expired",
                format!("{about}{}, not deleted yet", count(expired, "row")),
            );
            lines.print()?;
            return Ok(Exit::Done);
        };
        let rows = read_all(&layer, &store, now).await?;
        if json {
            output::print_json(&rows)?;
            return Ok(Exit::Done);
        }
        let mut lines = Lines::default();
        lines.push("sessions", rows.sessions);
        lines.push("  with an owner", rows.with_owner);
        lines.push("ended recently", rows.ended);
        lines.push("moved", rows.moved);
        lines.push("imported", rows.imported);
        lines.push("of other secrets", rows.unreadable);
        lines.push("expired", format!("{}, not deleted yet", rows.expired));
        lines.push("size", count(rows.bytes, "byte"));
        lines.push("largest", count(rows.largest_bytes, "byte"));
        lines.print()?;
        Ok(Exit::Done)
    }
}

async fn read_all(layer: &SessionLayer, store: &AnyStore, now: OffsetDateTime) -> Outcome<Rows> {
    let mut rows = Rows::default();
    // a scan of Redis can return a row twice
    let mut seen = HashSet::new();
    let mut from = None;
    loop {
        let part = store.scan(from).await?;
        for (key, row) in &part.sessions {
            if !seen.insert(*key) {
                continue;
            }
            let bytes = row.bytes.len() as u64;
            rows.bytes += bytes;
            rows.largest_bytes = rows.largest_bytes.max(bytes);
            if row.expires <= now {
                rows.expired += 1;
                continue;
            }
            match contents(layer, *key, row) {
                Contents::Session => {
                    rows.sessions += 1;
                    rows.with_owner += u64::from(row.owner.is_some());
                }
                Contents::Ended => rows.ended += 1,
                Contents::Moved => rows.moved += 1,
                Contents::Imported => rows.imported += 1,
                _ => rows.unreadable += 1,
            }
        }
        from = part.next;
        if from.is_none() {
            return Ok(rows);
        }
    }
}
