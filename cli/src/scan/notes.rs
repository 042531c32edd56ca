//! Collects what a scan could not see.

use super::failure::Failure;
use super::report::{Incomplete, Reason};

/// How many examples a note lists.
const EXAMPLES: usize = 5;

/// The notes about one repository.
#[derive(Debug)]
pub(super) struct Notes {
    repository: Option<String>,
    pub(super) list: Vec<Incomplete>,
    pub(super) out_of_time: bool,
}

impl Notes {
    pub(super) fn new(repository: Option<String>) -> Self {
        Self {
            repository,
            list: Vec::new(),
            out_of_time: false,
        }
    }

    pub(super) fn add(&mut self, reason: Reason, detail: impl Into<String>) {
        self.list.push(Incomplete {
            reason,
            repository: self.repository.clone(),
            detail: detail.into(),
        });
    }

    /// Adds nothing if there are no examples.
    pub(super) fn examples(&mut self, reason: Reason, advice: &str, examples: &[String]) {
        if examples.is_empty() {
            return;
        }
        let shown = &examples[..examples.len().min(EXAMPLES)];
        let mut detail = format!("{advice}: {}", shown.join(", "));
        if examples.len() > EXAMPLES {
            detail += &format!(" and {} more", examples.len() - EXAMPLES);
        }
        self.add(reason, detail);
    }

    /// Notes why a part of the scan ended early.
    pub(super) fn failure(&mut self, failure: Failure) {
        match failure {
            Failure::TimeLimit => self.out_of_time = true,
            Failure::NotStarted(error) => {
                self.add(Reason::GitFailed, format!("git could not be run: {error}"));
            }
            Failure::Git { task, complaint } => self.add(
                Reason::GitFailed,
                format!("git could not {task}; repair the repository and scan again: {complaint}"),
            ),
        }
    }
}
