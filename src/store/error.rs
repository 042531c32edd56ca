use std::{error, fmt, sync::Arc};

use crate::error::Error;

/// Why a store did not do what it was asked to.
///
/// It says what is wrong and what to do, and holds neither a password nor a session. What the client library said is its
/// [`source`](error::Error::source).
#[derive(Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    /// What is wrong here, and what to do; else the kind says it.
    told: Option<Arc<str>>,
    source: Option<Arc<dyn error::Error + Send + Sync>>,
}

/// The kinds of [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The URL, or another setting, is impossible.
    Config,
    /// The server cannot be reached, or went away.
    Unreachable,
    /// The server did not answer in time.
    TimedOut,
    /// The server refuses the user or the password, or does not let this user do it.
    Denied,
    /// There is no room for more.
    Full,
    /// The server takes no writes: a replica, or a disk that is read-only.
    ReadOnly,
    /// Table or columns are missing: call `create_schema`, or run the SQL files of this crate.
    Schema,
    /// So many requests change one session at once that this one was not reached.
    Contended,
    /// Anything else.
    Other,
}

impl StoreError {
    /// An error of that kind.
    #[must_use]
    pub fn new(kind: StoreErrorKind) -> Self {
        Self {
            kind,
            told: None,
            source: None,
        }
    }

    /// The same with what the client library said.
    #[must_use]
    pub fn because(mut self, source: impl error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The same with a text that says what is wrong and what to do. It must hold no secret.
    #[must_use]
    pub fn told(mut self, text: impl Into<String>) -> Self {
        self.told = Some(text.into().into());
        self
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl StoreError {
    /// The connection broke, so that what was asked may be done or not.
    pub(crate) fn is_lost(&self) -> bool {
        self.kind == StoreErrorKind::Unreachable
    }

    /// There was no answer, so that what was asked may be done or not.
    pub(crate) fn is_silence(&self) -> bool {
        self.is_lost() || self.kind == StoreErrorKind::TimedOut
    }
}

impl Error {
    pub(crate) fn store(source: StoreError) -> Self {
        Self::unavailable(source)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.store_error()
            .is_some_and(|error| error.kind == StoreErrorKind::Full)
    }

    /// What the store said, if it failed.
    #[must_use]
    pub fn store_error(&self) -> Option<&StoreError> {
        self.source_of()
    }
}

impl StoreErrorKind {
    /// As events name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Denied => "denied",
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::Schema => "schema",
            Self::Contended => "contended",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "the settings of the session store are impossible",
            Self::Unreachable => "the session store cannot be reached: is its server running?",
            Self::TimedOut => "the session store did not answer in time",
            Self::Denied => "the session store refuses this user: check user, password and rights",
            Self::Full => "the session store is full: give it more room",
            Self::ReadOnly => "the session store takes no writes: name its primary, or check its disk",
            Self::Schema => {
                "the session store has no table of this form: call `create_schema`, or run the SQL file of this crate"
            }
            Self::Contended => "too many requests change one session at once",
            Self::Other => "the session store failed",
        })
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.told {
            Some(text) => f.write_str(text),
            None => self.kind.fmt(f),
        }
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError")
            .field("kind", &self.kind)
            .field("told", &self.told)
            .field("source", &self.source)
            .finish()
    }
}

impl error::Error for StoreError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn error::Error + 'static))
    }
}
