//! Why a part of a scan ends early.

use std::io;
use std::time::{Duration, Instant};

/// Why a part of a scan ended early.
#[derive(Debug)]
pub(super) enum Failure {
    TimeLimit,
    NotStarted(io::Error),
    /// Git failed, with the first line of its complaint.
    Git {
        task: &'static str,
        complaint: String,
    },
}

/// The end of the time that a scan may take, if there is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(pub(super) Option<Instant>);

impl Deadline {
    pub(super) fn after(limit: Option<Duration>) -> Self {
        Self(limit.and_then(|limit| Instant::now().checked_add(limit)))
    }

    pub(super) fn check(self) -> Result<(), Failure> {
        match self.0 {
            Some(end) if Instant::now() >= end => Err(Failure::TimeLimit),
            _ => Ok(()),
        }
    }
}
