//! Whether secrets of sessions are in the repository of this folder.

use std::{path::Path, time::Duration};

use super::checks::{Checks, Verdict};
use crate::scan::{self, Options, Rule, ScanError};

/// Looks for secrets of sessions in the repository of this folder, and in its history.
pub(crate) fn committed_secrets(checks: &mut Checks) {
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
