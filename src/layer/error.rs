use std::fmt;

/// Invalid settings of a layer. `Debug` prints the same text as `Display`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The value of a setting is invalid.
    Invalid {
        /// The name of the method that sets it.
        setting: &'static str,
        /// What is wrong with the value, and which values are valid.
        reason: &'static str,
    },
    /// Two settings cannot be combined.
    Conflict {
        /// The name of one method.
        setting: &'static str,
        /// The name of the other method.
        other: &'static str,
        /// Why, and what to do.
        reason: &'static str,
    },
}

impl ConfigError {
    pub(super) fn invalid<T>(setting: &'static str, reason: &'static str) -> Result<T, Self> {
        Err(Self::Invalid { setting, reason })
    }

    pub(super) fn conflict<T>(
        setting: &'static str,
        other: &'static str,
        reason: &'static str,
    ) -> Result<T, Self> {
        Err(Self::Conflict {
            setting,
            other,
            reason,
        })
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { setting, reason } => write!(f, "invalid `{setting}`: {reason}"),
            Self::Conflict {
                setting,
                other,
                reason,
            } => write!(f, "`{setting}` and `{other}` cannot be combined: {reason}"),
        }
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}
