use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::{
    exit::{Exit, Failure, Outcome},
    output::{self, count},
    scan::{self, Commits, Finding, Options, Place, Report, ScanError, Verdict},
};

/// Search a git repository for files of sessions: history, work tree, stashes, unreachable objects
///
/// It finds them by name and by content, and secrets of sessions in files too. It says clean only of
/// a repository that it could see whole. Its exit code is 1 if it finds something, and 6 if it finds
/// nothing but could not see everything. It changes nothing and fetches nothing.
#[derive(Args)]
pub(crate) struct Scan {
    /// The repository
    #[arg(default_value = ".")]
    repo: PathBuf,

    /// Names of session files, with * and ?, instead of *parsed_sessions*.json* and *.session.json
    #[arg(long = "name", value_name = "PATTERN")]
    names: Vec<String>,

    /// Do not read files that are larger. One with the name of a session file is found anyway
    #[arg(long, value_name = "MIB", default_value_t = 20)]
    max_size: u64,

    /// End after that time. What was not seen by then makes the result incomplete
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    time_limit: Option<Duration>,
}

impl Scan {
    pub(crate) fn run(self, json: bool) -> Outcome {
        let mut options = Options {
            max_size: self.max_size.saturating_mul(1024 * 1024),
            time_limit: self.time_limit,
            ..Options::default()
        };
        if !self.names.is_empty() {
            options.names = self.names;
        }
        let report = scan::scan(&self.repo, &options)?;
        match json {
            true => output::print_json(&report)?,
            false => output::print(&text(&report))?,
        }
        Ok(match report.verdict() {
            Verdict::Found => Exit::No,
            Verdict::Incomplete => Exit::Incomplete,
            Verdict::Clean => Exit::Done,
        })
    }
}

impl From<ScanError> for Failure {
    fn from(error: ScanError) -> Self {
        let exit = match error {
            ScanError::TimeLimit => Exit::Incomplete,
            _ => Exit::Usage,
        };
        Self::new(exit, error.to_string())
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    for finding in &report.findings {
        line(title(finding));
        finding
            .places
            .iter()
            .for_each(|place| place_lines(place, &mut line));
    }
    for path in &report.tracked {
        line(format!(
            "tracked: {path}\n  git rm --cached removes it from the next commit"
        ));
    }
    for path in &report.not_ignored {
        line(format!(
            "not ignored: {path}\n  a line in .gitignore keeps it out of commits"
        ));
    }
    for incomplete in &report.incomplete {
        let place = incomplete.repository.as_ref();
        let place = place.map_or(String::new(), |place| format!(" in {place}"));
        line(format!("not seen{place}: {}", incomplete.detail));
    }
    let Report {
        commits,
        objects,
        files,
        ..
    } = report;
    line(format!(
        "{commits} commits, {objects} objects and {files} files were looked at"
    ));
    line(match report.verdict() {
        Verdict::Found => format!(
            "FOUND: {} contents\nFirst revoke the sessions and replace the secrets. Then rewrite the \
             history.",
            report.findings.len()
        ),
        Verdict::Incomplete => "INCOMPLETE: nothing found in what could be seen".to_owned(),
        Verdict::Clean => "clean".to_owned(),
    });
    text
}

fn title(finding: &Finding) -> String {
    let path = finding.path.as_deref().unwrap_or("(name unknown)");
    let path = match &finding.repository {
        Some(repository) => format!("{repository}: {path}"),
        None => path.to_owned(),
    };
    let entries = finding.entries.map(|entries| count(entries, "session"));
    let size = finding.size.map(|size| count(size, "byte"));
    let details: Vec<_> = entries.into_iter().chain(size).collect();
    let rule = finding.rule.name();
    match details.is_empty() {
        true => format!("{rule}: {path}"),
        false => format!("{rule}: {path} ({})", details.join(", ")),
    }
}

fn place_lines(place: &Place, line: &mut impl FnMut(String)) {
    match place {
        Place::WorkTree { path, ignored } => {
            let ignored = if *ignored { ", ignored by git" } else { "" };
            line(format!("  in the work tree: {path}{ignored}"));
        }
        Place::Index { path } => line(format!("  in the index: {path}")),
        Place::History(commits) => commit_lines("in the history", commits, line),
        Place::Stash(commits) => commit_lines("in a stash", commits, line),
        Place::Unreachable(commits) => {
            commit_lines("unreachable, until git deletes it", commits, line);
        }
    }
}

fn commit_lines(place: &str, commits: &Commits, line: &mut impl FnMut(String)) {
    if commits.commits.is_empty() {
        line(format!("  {place}"));
    }
    for commit in &commits.commits {
        line(format!(
            "  {place}: {} {} {}",
            commit.id, commit.date, commit.path
        ));
    }
    if commits.more > 0 {
        line(format!("  and in {} later commits", commits.more));
    }
}
