use std::{error, fmt, sync::Arc};

use crate::error::{Chain, Error};

/// The reason why a store failed.
///
/// Its text says what is wrong and what to do, and contains neither a password nor a session. The
/// error of the client library is the [`source`](error::Error::source). `Debug` and the events
/// `store_failed` and `failed` show both texts.
#[derive(Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    /// The text of this error. Without it, the text of `kind` is shown.
    message: Option<Arc<str>>,
    source: Option<Arc<dyn error::Error + Send + Sync>>,
}

/// The kinds of [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The URL or another setting is invalid.
    Config,
    /// The server cannot be reached, or the connection broke.
    Unreachable,
    /// The server did not answer in time.
    TimedOut,
    /// The server refuses the user or the password, or the user has no permission for the call.
    Denied,
    /// The store has no space left.
    Full,
    /// The server accepts no writes: it is a replica, or its disk is read-only.
    ReadOnly,
    /// The table or a column is missing: call `create_schema()`, or run this crate's SQL file.
    Schema,
    /// Too many requests write at the same time, and this one gave up.
    Contended,
    /// Anything else.
    Other,
}

impl StoreError {
    /// Makes an error of that kind.
    #[must_use]
    pub fn new(kind: StoreErrorKind) -> Self {
        Self {
            kind,
            message: None,
            source: None,
        }
    }

    /// Sets the error of the client library as the source. Its text must not contain a secret.
    #[must_use]
    pub fn because(mut self, source: impl error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Sets a text that says what is wrong and what to do. It must not contain a secret.
    #[must_use]
    pub fn message(mut self, text: impl Into<String>) -> Self {
        self.message = Some(text.into().into());
        self
    }

    /// The kind of this error.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl StoreError {
    /// Whether it has a text of its own.
    pub(crate) fn has_message(&self) -> bool {
        self.message.is_some()
    }

    /// Whether the connection broke. The call may or may not have taken effect.
    pub(crate) fn is_lost(&self) -> bool {
        self.kind == StoreErrorKind::Unreachable
    }

    /// Whether there was no answer. The call may have taken effect or not.
    pub(crate) fn is_silence(&self) -> bool {
        self.is_lost() || self.kind == StoreErrorKind::TimedOut
    }
}

impl Error {
    pub(crate) fn store(source: StoreError) -> Self {
        Self::unavailable(source)
    }

    /// The error of a commit that the handler did not await to its end.
    pub(crate) fn dropped_commit() -> Self {
        let text = "an earlier `commit` of this request was dropped before its end: its changes may \
                    be saved or not, so this request saves no more";
        Self::store(StoreError::new(StoreErrorKind::TimedOut).message(text))
    }

    pub(crate) fn is_full(&self) -> bool {
        self.as_store_error()
            .is_some_and(|error| error.kind == StoreErrorKind::Full)
    }

    pub(crate) fn as_store_error(&self) -> Option<&StoreError> {
        self.source_of()
    }
}

#[cfg(feature = "store")]
impl Error {
    /// The error of the store, if the store failed.
    #[must_use]
    pub fn store_error(&self) -> Option<&StoreError> {
        self.as_store_error()
    }
}

impl StoreErrorKind {
    /// The name of this kind in events.
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
            Self::Config => "invalid settings of the session store: check its URL",
            Self::Unreachable => "the session store cannot be reached: check that its server is running",
            Self::TimedOut => "the session store did not answer in time: check its load and the network",
            Self::Denied => "the session store refuses this user: check user, password and permissions",
            Self::Full => "the session store is full: increase its memory or disk space",
            Self::ReadOnly => "the session store accepts no writes: connect to its primary, or check its disk",
            Self::Schema => {
                "the table of the session store is missing or has other columns: call `create_schema()` at start-up, or run this crate's SQL file"
            }
            Self::Contended => "too many requests write to the session store at the same time: retry later",
            Self::Other => "the session store failed",
        })
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(text) => f.write_str(text),
            None => self.kind.fmt(f),
        }
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Chain(self), f)
    }
}

impl error::Error for StoreError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn error::Error + 'static))
    }
}
