use std::{path::Path, time::Duration};

use clap::Args;
use serde::Serialize;
use time::OffsetDateTime;
use tower_sealed_session::store::{
    AnyStore, Creation, Row, Saving, Store as _, StoreError, StoreKey, Version,
};

use crate::{
    exit::{Exit, Failure, Outcome},
    keys::App,
    output,
    scan::{self, Options, Rule, ScanError},
    stores::{self, Location, StoreArgs},
    warnings::Warnings,
};

/// How long the probe that has to expire lives. A clock that is ahead by more shows.
const LIFE: Duration = Duration::from_secs(3);

/// Check the secret, the store and the log of revocations, and say what is wrong
///
/// It writes two rows that live for seconds to the store, reads them back and deletes them. It does
/// not touch sessions. Its exit code is 1 if a check fails.
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

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

#[derive(Serialize)]
struct Check {
    check: &'static str,
    verdict: Verdict,
    text: String,
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn add(&mut self, check: &'static str, verdict: Verdict, text: impl Into<String>) {
        let text = text.into();
        self.0.push(Check {
            check,
            verdict,
            text,
        });
    }

    /// Adds the result of a step. `None`: it failed, and what depends on it cannot be checked.
    fn step<T>(
        &mut self,
        check: &'static str,
        good: &str,
        result: Result<T, impl Into<Failure>>,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                self.add(check, Verdict::Ok, good);
                Some(value)
            }
            Err(error) => {
                self.add(check, Verdict::Fail, error.into().to_string());
                None
            }
        }
    }

    fn warn(&mut self, check: &'static str, warnings: &Warnings) {
        for warning in warnings.take() {
            self.add(check, Verdict::Warn, warning);
        }
    }
}

impl Doctor {
    pub(crate) async fn run(self, json: bool) -> Outcome {
        let warnings = Warnings::collect();
        let mut checks = Checks::default();
        checks.step(
            "secret",
            "it passes the checks of the library",
            self.app.layer(),
        );
        checks.warn("settings", &warnings);
        if !self.no_scan {
            committed_secrets(&mut checks);
        }
        match self.store.is_given() {
            false => checks.add("store", Verdict::Warn, "none is set, so none was checked"),
            true => {
                let opened = self.store.connect().await;
                let store = checks.step("store", "it can be reached", opened);
                checks.warn("store", &warnings);
                if let Some(store) = store {
                    probe(&mut checks, &store).await;
                    checks.warn("store", &warnings);
                }
            }
        }
        self.check_log(&mut checks).await;
        checks.warn("log", &warnings);
        let failed = checks.0.iter().any(|check| check.verdict == Verdict::Fail);
        match json {
            true => output::print_json(&checks.0)?,
            false => output::print(&text(&checks.0))?,
        }
        Ok(if failed { Exit::No } else { Exit::Done })
    }

    async fn check_log(&self, checks: &mut Checks) {
        match stores::log(self.log.as_ref()).await {
            Ok(None) => {}
            Ok(Some(log)) => {
                let entries = log.len();
                checks.add(
                    "log",
                    Verdict::Ok,
                    format!("it can be read, and has {entries} entries"),
                );
            }
            Err(error) => checks.add("log", Verdict::Fail, error.to_string()),
        }
    }
}

/// Looks for secrets of sessions in the repository of this folder, and in its history.
fn committed_secrets(checks: &mut Checks) {
    let options = Options {
        time_limit: Some(Duration::from_secs(60)),
        ..Options::default()
    };
    let report = match scan::scan(Path::new("."), &options) {
        Ok(report) => report,
        Err(ScanError::NotARepository { .. }) => {
            let text = "this folder is in none, so none was searched";
            return checks.add("repository", Verdict::Ok, text);
        }
        Err(error) => return checks.add("repository", Verdict::Warn, error.to_string()),
    };
    let secrets = report.findings.iter();
    let secrets = secrets
        .filter(|finding| finding.rule == Rule::SessionSecret)
        .count();
    let files = report.findings.iter();
    let files = files
        .filter(|finding| finding.rule.is_session_file())
        .count();
    match (secrets, files) {
        (0, 0) if report.incomplete.is_empty() => {
            checks.add(
                "repository",
                Verdict::Ok,
                "no secret and no file of sessions in it",
            );
        }
        (0, 0) => checks.add(
            "repository",
            Verdict::Warn,
            "nothing was found, but not everything could be seen: run \"sealed-session scan\"",
        ),
        _ => checks.add(
            "repository",
            Verdict::Fail,
            format!(
                "secrets: {secrets}, files of sessions: {files}. Run \"sealed-session scan\", and \
                 replace the secrets"
            ),
        ),
    }
}

/// Writes rows that live for seconds, and reads them back.
async fn probe(checks: &mut Checks, store: &AnyStore) {
    let Ok([lasting, expiring]) = random_keys() else {
        checks.add("store", Verdict::Fail, "system random source failed");
        return;
    };
    let trip = round_trip(store, lasting).await;
    if let Err(error) = store.delete(lasting).await
        && trip.is_ok()
    {
        checks.add(
            "store",
            Verdict::Fail,
            format!("a row cannot be deleted: {error}"),
        );
    }
    match trip {
        Ok(None) => checks.add(
            "store",
            Verdict::Ok,
            "a row can be written, read and deleted",
        ),
        Ok(Some(fault)) => checks.add("store", Verdict::Fail, fault),
        Err(error) => {
            checks.add("store", Verdict::Fail, error.to_string());
            return;
        }
    }
    match expiry(store, expiring).await {
        Ok(None) => checks.add(
            "store",
            Verdict::Ok,
            "rows expire in time, and its clock agrees to about a second",
        ),
        Ok(Some(fault)) => checks.add("store", Verdict::Fail, fault),
        Err(error) => checks.add("store", Verdict::Fail, error.to_string()),
    }
    let _ = store.delete(expiring).await;
}

fn random_keys() -> Result<[StoreKey; 2], getrandom::Error> {
    let mut bytes = [[0; 16]; 2];
    for key in &mut bytes {
        getrandom::fill(key)?;
    }
    Ok(bytes.map(StoreKey::new))
}

/// Creates a row, changes it and reads it. Returns what is wrong.
async fn round_trip(store: &AnyStore, key: StoreKey) -> Result<Option<&'static str>, StoreError> {
    let expires = OffsetDateTime::now_utc() + Duration::from_secs(60);
    let (first, second) = (Version::new(1), Version::new(2));
    let row = Row::new(first, b"probe", expires, None);
    if store.create(key, &row).await? != Creation::Created {
        return Ok(Some("a new row could not be created"));
    }
    let row = Row::new(second, b"changed", expires, None);
    if store.save(key, first, &row, None).await? != Saving::Saved {
        return Ok(Some("a row that was just created could not be changed"));
    }
    match store.load(key).await? {
        Some(row) if row.bytes == b"changed" && row.version == second => Ok(None),
        Some(_) => Ok(Some("a row has other bytes than those that were written")),
        None => Ok(Some(
            "a row is gone although it lives: check the clock of the server",
        )),
    }
}

/// Creates a row that expires soon, and waits for that. Returns what is wrong.
async fn expiry(store: &AnyStore, key: StoreKey) -> Result<Option<&'static str>, StoreError> {
    let expires = OffsetDateTime::now_utc() + LIFE;
    let row = Row::new(Version::new(1), b"probe", expires, None);
    store.create(key, &row).await?;
    if store.load(key).await?.is_none() {
        return Ok(Some(
            "a row with 3 seconds to live is gone at once: the clock of the server is ahead",
        ));
    }
    tokio::time::sleep(LIFE + Duration::from_secs(1)).await;
    Ok(match store.load(key).await? {
        None => None,
        Some(row) if row.expires <= OffsetDateTime::now_utc() => None,
        Some(_) => Some("a row is served after it expired: the clock of the server is behind"),
    })
}

fn text(checks: &[Check]) -> String {
    let mut text = String::new();
    for Check {
        check,
        verdict,
        text: line,
    } in checks
    {
        let verdict = match verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        text.push_str(&format!("{verdict:4}  {check}: {line}\n"));
    }
    text
}
