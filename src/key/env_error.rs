use std::{fmt, io};

use super::secret::SecretError;
use crate::error::{Chain, Error};

pub(super) const SECRET: &str = "SESSION_SECRET";

/// The maximum number of fallbacks. A longer list suggests that old secrets are never removed.
pub(super) const MAX_FALLBACKS: usize = 8;

/// A mistake in the environment.
///
/// The text names the variable, the problem, and a command that fixes it. It shows neither the
/// variable's value nor a file name, because either may be a secret that was set by mistake.
/// `Debug` prints the same text as `Display`, and sources that are not in it: a `main` that returns
/// the error prints it with `Debug`.
///
/// ```
/// use tower_sealed_session::{EnvProblem, SessionLayer};
///
/// # let mut names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
/// # if names.any(|name| name.starts_with("SESSION_")) { return; }
/// // with neither SESSION_SECRET nor another source set
/// let error = SessionLayer::from_env().unwrap_err();
/// assert_eq!(error.variable(), "SESSION_SECRET");
/// assert!(matches!(error.problem(), EnvProblem::Missing));
/// assert_eq!(
///     error.to_string(),
///     "SESSION_SECRET is not set; \
///      make a secret with `export SESSION_SECRET=\"$(openssl rand -base64 32)\"`",
/// );
/// ```
pub struct EnvError {
    variable: &'static str,
    problem: EnvProblem,
}

/// The problem with a variable.
#[derive(Debug)]
#[non_exhaustive]
pub enum EnvProblem {
    /// The variable is not set, and neither is another source of the secret.
    Missing,
    /// Another source of the same setting is set too.
    Conflict {
        /// The other variable.
        other: &'static str,
    },
    /// The variable names a file that cannot be read.
    Unreadable(io::Error),
    /// The secret is refused.
    Refused(SecretError),
    /// One of the fallbacks is refused.
    RefusedFallback {
        /// The position in the list, counted from 1.
        position: usize,
        /// The length of the list.
        count: usize,
        /// Why the fallback is refused.
        reason: SecretError,
    },
    /// The list has more than eight fallbacks.
    TooManyFallbacks {
        /// The number of fallbacks.
        found: usize,
    },
    /// The value is neither `0` nor `1`.
    NotAFlag,
    /// The variable is not set. No ephemeral secret could be made, since the system random source
    /// failed.
    Entropy(Error),
}

impl EnvError {
    pub(super) fn new(variable: &'static str, problem: EnvProblem) -> Self {
        Self { variable, problem }
    }

    /// The error if the system random source fails for an ephemeral secret.
    pub(crate) fn entropy(error: Error) -> Self {
        Self::new(SECRET, EnvProblem::Entropy(error))
    }

    /// The variable that has to change.
    #[must_use]
    pub fn variable(&self) -> &'static str {
        self.variable
    }

    /// The problem with that variable.
    #[must_use]
    pub fn problem(&self) -> &EnvProblem {
        &self.problem
    }
}

impl fmt::Display for EnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variable = self.variable;
        match &self.problem {
            EnvProblem::Missing => write!(
                f,
                "{variable} is not set; make a secret with `export {variable}=\"$(openssl rand -base64 32)\"`"
            ),
            EnvProblem::Conflict { other } => write!(
                f,
                "{variable} and {other} cannot be combined; remove one with `unset {other}`"
            ),
            EnvProblem::Unreadable(error) => write!(
                f,
                "{variable} names a file that cannot be read: {error}; check it with `ls -l \"${variable}\"`"
            ),
            EnvProblem::Refused(reason) => write!(
                f,
                "{variable} is refused: {reason}; make a new secret with `openssl rand -base64 32`"
            ),
            EnvProblem::RefusedFallback {
                position,
                count,
                reason,
            } => write!(
                f,
                "{variable} is refused, secret {position} of {count}: {reason}; remove it from the list, \
                 or remove the list with `unset {variable}`"
            ),
            EnvProblem::TooManyFallbacks { found } => write!(
                f,
                "{variable} has {found} secrets, at most {MAX_FALLBACKS} are allowed; keep the newest, \
                 for example `export {variable}=\"NEWER,OLDER\"`"
            ),
            EnvProblem::NotAFlag => write!(
                f,
                "{variable} is neither 0 nor 1; use `export {variable}=1` for development over plain HTTP, \
                 otherwise `unset {variable}`"
            ),
            EnvProblem::Entropy(error) => write!(
                f,
                "{variable} is not set, and no ephemeral secret can be made: {error}; \
                 set one with `export {variable}=\"$(openssl rand -base64 32)\"`"
            ),
        }
    }
}

impl fmt::Debug for EnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Chain(self), f)
    }
}

impl std::error::Error for EnvError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            EnvProblem::Unreadable(error) => Some(error),
            EnvProblem::Refused(reason) | EnvProblem::RefusedFallback { reason, .. } => {
                Some(reason)
            }
            EnvProblem::Entropy(error) => Some(error),
            _ => None,
        }
    }
}
