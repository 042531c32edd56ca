//! Why there is no report at all.

use std::error::Error;
use std::{fmt, io};

/// An error that ends a scan before it begins.
///
/// What fails later is listed in the report as incomplete.
pub(crate) enum ScanError {
    /// The program `git` could not be started.
    GitNotStarted(io::Error),
    /// The folder does not exist, or is not a folder.
    NoSuchFolder(String),
    NotARepository(String),
    /// Git refuses to read a repository of another user.
    DubiousOwnership(String),
    /// A file name pattern is empty or contains a `/`.
    InvalidName(String),
    /// The time limit passed before the repository was opened.
    TimeLimit,
    /// Git failed for another reason.
    Git {
        task: &'static str,
        complaint: String,
    },
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GitNotStarted(_) => {
                f.write_str("cannot start `git`; install it, or add its folder to PATH")
            }
            Self::NoSuchFolder(path) => {
                write!(
                    f,
                    "`{path}` is not a folder; give the folder of a repository"
                )
            }
            Self::NotARepository(path) => write!(
                f,
                "`{path}` is not in a git repository; give the folder of a repository"
            ),
            Self::DubiousOwnership(path) => write!(
                f,
                "the repository at `{path}` belongs to another user, and git refuses to read it; \
                 if you trust it, run `git config --global --add safe.directory '{path}'`"
            ),
            Self::InvalidName(pattern) => write!(
                f,
                "invalid file name pattern {pattern:?}; give a file name without folders"
            ),
            Self::TimeLimit => f.write_str(
                "the time limit passed before the repository was opened; give more time",
            ),
            Self::Git { task, complaint } => write!(f, "git could not {task}: {complaint}"),
        }
    }
}

/// `main` prints an error with `Debug`.
impl fmt::Debug for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for ScanError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::GitNotStarted(source) => Some(source),
            _ => None,
        }
    }
}
