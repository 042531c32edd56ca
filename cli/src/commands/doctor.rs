use clap::Args;
use tower_sealed_session::{
    Revocations,
    store::{AnyStore, StoreErrorKind},
};

use crate::{
    checkup::{Checks, committed_secrets, compare_clocks, probe, revoked_rows},
    exit::{Exit, Outcome},
    keys::App,
    output,
    stores::{self, Location, StoreArgs},
    warnings::Warnings,
};

/// Check the secret, the store and the log of revocations, and say what is wrong
///
/// It writes two rows that live for seconds to the store, reads them back and deletes them. It
/// compares the clock of the store's server with that of this machine. With a log, it counts the
/// rows of sessions that were revoked. It does not change sessions. Its exit code is 1 if a check
/// fails.
#[derive(Args)]
pub(crate) struct Doctor {
    /// Do not search the repository of this folder for secrets that were committed
    #[arg(long)]
    no_scan: bool,

    /// The log of revocations: a URL without a password, env:NAME or file:PATH. Default: from
    /// REVOCATIONS_URL
    #[arg(long, value_name = "URL")]
    log: Option<Location>,

    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    app: App,
}

impl Doctor {
    pub(crate) async fn run(self, json: bool) -> Outcome {
        let warnings = Warnings::collect();
        let mut checks = Checks::default();
        let layer = checks.step(
            "secret",
            "it passes the checks of the library",
            self.app.layer(),
        );
        checks.add_warnings("settings", &warnings);
        if !self.no_scan {
            committed_secrets(&mut checks);
        }
        let store = self.check_store(&mut checks, &warnings).await;
        let log = self.check_log(&mut checks).await;
        checks.add_warnings("log", &warnings);
        if let (Some(layer), Some(store), Some(log)) = (layer, store, log) {
            revoked_rows(&mut checks, layer, log, &store).await;
            checks.add_warnings("revoked", &warnings);
        }
        match json {
            true => output::print_json(&checks)?,
            false => output::print(&checks.text())?,
        }
        Ok(if checks.has_failed() {
            Exit::No
        } else {
            Exit::Done
        })
    }

    async fn check_store(&self, checks: &mut Checks, warnings: &Warnings) -> Option<AnyStore> {
        if !self.store.is_given() {
            checks.warn("store", "none is set, so none was checked");
            return None;
        }
        let opened = self.store.connect().await;
        // the server answered, and connecting found out more
        let refused = opened.as_ref().err().and_then(|error| error.store);
        let check = match refused {
            Some(StoreErrorKind::ReadOnly) => "role",
            Some(StoreErrorKind::Denied) => "rights",
            _ => "store",
        };
        let store = checks.step(check, "it can be reached", opened);
        checks.add_warnings("store", warnings);
        let store = store?;
        probe(checks, &store).await;
        compare_clocks(checks, &store).await;
        checks.add_warnings("store", warnings);
        Some(store)
    }

    async fn check_log(&self, checks: &mut Checks) -> Option<Revocations> {
        match stores::log(self.log.as_ref()).await {
            Ok(log) => {
                let log = log?;
                let entries = log.len();
                checks.ok(
                    "log",
                    format!("it can be read, number of entries: {entries}"),
                );
                Some(log)
            }
            Err(error) => {
                checks.fail("log", error.to_string());
                None
            }
        }
    }
}
