//! Whether the ids of a file may be known to others.

use std::path::Path;

use crate::{
    exit::{Exit, Failure, Outcome},
    output,
    scan::{self, Finding, Options, Place},
};

/// Refuses a file that was ever committed to the repository, or that may have been: part of the
/// history cannot be seen. So does any other file of sessions.
pub(crate) fn refuse_if_committed(file: &Path, repository: Option<&Path>) -> Outcome<()> {
    let folder = match repository {
        Some(folder) => folder,
        None => match file.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        },
    };
    let mut options = Options::default();
    if let Some(name) = file.file_name() {
        // `?` stands for any byte
        options.names.push(name.to_string_lossy().replace('*', "?"));
    }
    let report = scan::scan(folder, &options).map_err(|error| {
        let failure = Failure::from(error);
        let text = format!("{failure}: --repo names the repository of the old app");
        Failure::new(failure.exit, text)
    })?;
    let committed = |finding: &Finding| {
        let outside = |place: &Place| !matches!(place, Place::WorkTree { .. });
        finding.rule.is_session_file() && finding.places.iter().any(outside)
    };
    let folder = output::plain(&folder.to_string_lossy());
    if report.findings.iter().any(committed) || !report.tracked.is_empty() {
        return Err(Failure::new(
            Exit::No,
            format!(
                "refused: a file of sessions is in the git repository at {folder}, so others may \
                 have the ids: import without --accept-old-ids, and see `sealed-session scan`"
            ),
        ));
    }
    if let Some(incomplete) = report.incomplete.first() {
        return Err(Failure::new(
            Exit::Incomplete,
            format!(
                "refused: not all of the git repository at {folder} can be seen, so the file may \
                 be in its history: {}",
                incomplete.detail
            ),
        ));
    }
    Ok(())
}
