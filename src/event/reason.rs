use crate::{key::KeyId, seal::Unsealed};

/// Why a cookie was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Garbage,
    Version,
    /// With the id of the key.
    UnknownKey(KeyId),
    Forged,
    /// Authentic but not a record: another program has the secret, or this one has a bug.
    Malformed,
    Expired,
    Future,
    /// Several valid cookies of different sessions.
    Ambiguous,
    /// A ticket whose session is not in the store, or no longer.
    Gone,
    /// A cookie of a session that ended recently.
    Ended,
    /// A cookie of a session that has another id now.
    Replaced,
    /// A ticket that is newer than its row: the store lost the last changes.
    RolledBack,
    /// A ticket whose row does not open with these keys.
    Unreadable,
    /// All sessions of the owner or of the layer were revoked.
    Revoked,
    /// A valid cookie whose owner the app's check refused.
    Refused,
}

/// Why changes were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// Another request ended the session.
    Ended,
    /// The session expired while the request was handled.
    Expired,
    /// The request was cancelled or its service failed, so there is no response to carry them.
    Unanswered,
    /// A refresh would make the cookie too large.
    TooLarge,
}

/// Why a session ended before it expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndReason {
    Logout,
    /// A login continues it under another id, and with another life.
    Login,
    /// It has neither entries nor an owner any more.
    Emptied,
    /// A copy of its cookie was used.
    Reused,
    /// It was one of an owner whose sessions were ended.
    Owner,
}

impl Reason {
    /// The id of the unknown key.
    pub(super) fn key(self) -> Option<KeyId> {
        match self {
            Self::UnknownKey(id) => Some(id),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Version => "version",
            Self::UnknownKey(_) => "unknown_key",
            Self::Forged => "forged",
            Self::Malformed => "malformed",
            Self::Expired => "expired",
            Self::Future => "future",
            Self::Ambiguous => "ambiguous",
            Self::Gone => "gone",
            Self::Ended => "ended",
            Self::Replaced => "replaced",
            Self::RolledBack => "rolled_back",
            Self::Unreadable => "unreadable",
            Self::Revoked => "revoked",
            Self::Refused => "refused",
        }
    }
}

impl DropReason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Expired => "expired",
            Self::Unanswered => "unanswered",
            Self::TooLarge => "too_large",
        }
    }
}

impl EndReason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Login => "login",
            Self::Emptied => "emptied",
            Self::Reused => "reused",
            Self::Owner => "owner",
        }
    }
}

impl From<Unsealed> for Reason {
    fn from(unsealed: Unsealed) -> Self {
        match unsealed {
            Unsealed::Garbage => Self::Garbage,
            Unsealed::Version => Self::Version,
            Unsealed::UnknownKey(id) => Self::UnknownKey(id),
            Unsealed::Forged => Self::Forged,
        }
    }
}
