//! How the program ends.

use std::{fmt, io, process::ExitCode};

use tower_sealed_session::{
    ConfigError, EnvError, Error, ErrorKind, SecretError,
    store::{StoreError, StoreErrorKind},
};

/// The exit codes. `--help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    /// The answer is no: a cookie is not valid, something was found, something differs.
    No = 1,
    /// The arguments or the settings are wrong. The same as clap's.
    Usage = 2,
    /// The input is not what it should be.
    BadInput = 3,
    /// The store or the log cannot be reached, or it refused.
    Store = 4,
    /// Some of it was done, and some failed.
    Partly = 5,
    /// Not everything could be seen.
    Incomplete = 6,
    /// Interrupted, after what was under way was finished.
    Interrupted = 130,
    /// Nobody reads the output any more. The same as the shell's for a broken pipe.
    Unheard = 141,
}

/// For the end of `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done
  1    no: the cookie is not valid, or something was found, or it differs
  2    wrong arguments or settings
  3    the input is not what it should be
  4    the store or the log cannot be reached, or refused
  5    some was done, some failed
  6    not everything could be seen
  130  interrupted, after what was under way was finished
  141  the output was not read to its end";

/// Why the program cannot do what it was asked. The text never has a secret, an owner or a value.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// The kind of the error if the store failed.
    pub(crate) store: Option<StoreErrorKind>,
    text: String,
}

pub(crate) type Outcome<T = Exit> = Result<T, Failure>;

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }

    pub(crate) fn input(text: impl Into<String>) -> Self {
        Self::new(Exit::BadInput, text)
    }

    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self {
            exit,
            store: None,
            text: text.into(),
        }
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error.kind() {
            StoreErrorKind::Config => Exit::Usage,
            _ => Exit::Store,
        };
        Self {
            store: Some(error.kind()),
            ..Self::new(exit, chain(&error))
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::Unavailable => Exit::Store,
            ErrorKind::InvalidTime => Exit::Usage,
            _ => Exit::BadInput,
        };
        Self::new(exit, chain(&error))
    }
}

impl From<EnvError> for Failure {
    fn from(error: EnvError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

/// Writing to stdout.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Unheard, "nobody reads the output"),
            _ => Self::new(Exit::Partly, format!("cannot write the result: {error}")),
        }
    }
}
