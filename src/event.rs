//! What happened to a session, as `tracing` events under the target `tower_sealed_session`.
//!
//! No event holds a secret, a cookie, an owner or a value. A session is named by the first 4 bytes of the
//! SHA-256 of its id.

use crate::{error::ErrorKind, record::SessionId};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// A visitor has a session from now on.
    Created(SessionId),
    /// Login or renewal gave it a new id.
    Renewed {
        from: SessionId,
        to: SessionId,
    },
    Changed(SessionId),
    /// Sealed anew for its time alone.
    Refreshed(SessionId),
    /// The browser was told to drop its cookie.
    Removed,
    /// A cookie was not accepted; the visitor is anonymous.
    Rejected(Reason),
    /// What this request changed is lost, for a good reason.
    Dropped(Drop),
    /// A change after the response's head was sent, or after logout in the same request.
    LateWrite {
        method: &'a str,
    },
    /// The session could not be kept, and the response was replaced by an error.
    Failed(ErrorKind),
    /// A layer stands inside another of the same cookie name but other settings, which it ignores.
    Nested {
        cookie: &'a str,
    },
    /// The clock shows a moment before 1970.
    Clock,
    /// The secret ends with the process.
    Ephemeral,
    /// Cookies travel over plain HTTP, without `Secure` and without a prefix.
    Insecure {
        cookie: &'a str,
    },
    /// The cookie's name has no prefix, so that sibling hosts can plant it.
    Unprefixed {
        cookie: &'a str,
    },
}

/// Why a cookie is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Garbage,
    Version,
    UnknownKey,
    Forged,
    /// Authentic, and yet not a record: made by another program, or a fault in this one.
    Malformed,
    Expired,
    Future,
    /// Several valid cookies of different sessions.
    Ambiguous,
}

/// Why a change is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drop {
    /// Another request ended the session meanwhile.
    Ended,
    /// The request was cancelled, or its service failed, so that there is no response to carry them.
    Unanswered,
    /// A refresh would make the cookie too large.
    TooLarge,
}

impl Event<'_> {
    pub(crate) fn emit(self) {
        macro_rules! emit {
            ($level:ident, $name:literal, $($rest:tt)*) => {
                tracing::$level!(target: "tower_sealed_session", event = $name, $($rest)*)
            };
        }
        match self {
            Self::Created(id) => emit!(debug, "created", session = ?id, "session created"),
            Self::Renewed { from, to } => {
                emit!(debug, "renewed", session = ?to, before = ?from, "session has a new id")
            }
            Self::Changed(id) => emit!(debug, "changed", session = ?id, "session changed"),
            Self::Refreshed(id) => emit!(trace, "refreshed", session = ?id, "session refreshed"),
            Self::Removed => emit!(debug, "removed", "session cookie removed"),
            Self::Rejected(reason) => {
                let (name, told) = (reason.name(), "session cookie not accepted");
                match reason {
                    // authentic, and no session: another program has the secret
                    Reason::Malformed => emit!(error, "rejected", reason = name, "{told}"),
                    Reason::Forged | Reason::Future | Reason::Ambiguous => {
                        emit!(warn, "rejected", reason = name, "{told}");
                    }
                    _ => emit!(debug, "rejected", reason = name, "{told}"),
                }
            }
            Self::Dropped(drop) => {
                emit!(
                    info,
                    "dropped",
                    reason = drop.name(),
                    "changes of a session dropped"
                )
            }
            Self::LateWrite { method } => emit!(
                warn,
                "late_write",
                method,
                "session changed after it was sent or ended: nothing changed"
            ),
            Self::Failed(kind) => {
                emit!(error, "failed", kind = ?kind, "session not kept, response replaced")
            }
            Self::Nested { cookie } => emit!(
                warn,
                "nested",
                cookie,
                "session layer ignored: it stands inside one of the same cookie name and other settings"
            ),
            Self::Clock => emit!(error, "clock", "the clock shows a moment before 1970"),
            Self::Ephemeral => emit!(
                warn,
                "ephemeral_secret",
                "SESSION_SECRET is not set: sessions are sealed by a secret of this process and end with it"
            ),
            Self::Insecure { cookie } => emit!(
                warn,
                "insecure",
                cookie,
                "session cookies travel over plain HTTP: for development only"
            ),
            Self::Unprefixed { cookie } => emit!(
                warn,
                "unprefixed",
                cookie,
                "the session cookie's name has no prefix: sibling hosts can plant it"
            ),
        }
    }
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Version => "version",
            Self::UnknownKey => "unknown_key",
            Self::Forged => "forged",
            Self::Malformed => "malformed",
            Self::Expired => "expired",
            Self::Future => "future",
            Self::Ambiguous => "ambiguous",
        }
    }
}

impl Drop {
    fn name(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Unanswered => "unanswered",
            Self::TooLarge => "too_large",
        }
    }
}
