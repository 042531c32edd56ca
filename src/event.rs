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
    /// A visitor came with the old system's cookie; so many requests did since the layer was made.
    #[cfg(feature = "starlette")]
    LegacyRead {
        count: u64,
    },
    /// An old system's cookie was not accepted.
    #[cfg(feature = "starlette")]
    LegacyRejected(Reason),
    /// The visitor was logged out by the old system, which removed its cookie beside ours.
    #[cfg(feature = "starlette")]
    LegacyLoggedOut(SessionId),
    /// An old session has a key that an entry cannot have.
    #[cfg(feature = "starlette")]
    LegacyLeftOut,
    /// Sessions are in a cookie that is signed and not encrypted.
    #[cfg(feature = "starlette")]
    Signed {
        cookie: &'a str,
    },
    /// The old system's secret would not be taken for a new one.
    #[cfg(feature = "starlette")]
    WeakLegacy,
    /// What this request changed is lost, for a good reason.
    Dropped(Drop),
    /// A change after the response's head was sent, or after logout in the same request.
    LateWrite {
        method: &'a str,
    },
    /// The session could not be kept, and the response was replaced by an error.
    Failed(ErrorKind),
    /// A session no longer fits its cookie, and is in the store from now on.
    #[cfg(feature = "store")]
    Overflowed(SessionId),
    /// A row is of another key, or stands under another id than it was made for.
    #[cfg(feature = "store")]
    Unreadable(SessionId),
    /// A logout did not reach the store: whoever has a copy of the cookie can go on.
    #[cfg(feature = "store")]
    LogoutIncomplete,
    /// A call to the store failed.
    #[cfg(feature = "store")]
    StoreFailed {
        call: &'a str,
        kind: &'a str,
    },
    /// The environment names no server, and the usual one is taken.
    #[cfg(feature = "redis")]
    StoreDefault {
        url: &'a str,
    },
    /// The store's server throws sessions away when it is full.
    #[cfg(feature = "redis")]
    StoreEvicts {
        policy: &'a str,
    },
    /// The store forgot sessions that had ended.
    #[cfg(feature = "store")]
    Pruned {
        count: u64,
    },
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
    /// A ticket of a session that the store does not have, or no longer.
    #[cfg(feature = "store")]
    Gone,
    /// A ticket of a session that was ended lately.
    #[cfg(feature = "store")]
    Ended,
    /// What the store has is not for these keys.
    #[cfg(feature = "store")]
    Unreadable,
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
            #[cfg(feature = "starlette")]
            Self::LegacyRead { count } => {
                emit!(
                    info,
                    "legacy_read",
                    count,
                    "session read from the old system's cookie"
                )
            }
            #[cfg(feature = "starlette")]
            Self::LegacyRejected(reason) => {
                let (name, told) = (reason.name(), "the old system's cookie not accepted");
                match reason {
                    Reason::Malformed => emit!(warn, "legacy_rejected", reason = name, "{told}"),
                    _ => emit!(debug, "legacy_rejected", reason = name, "{told}"),
                }
            }
            #[cfg(feature = "starlette")]
            Self::LegacyLoggedOut(id) => {
                emit!(debug, "legacy_logged_out", session = ?id, "session ended by the old system")
            }
            #[cfg(feature = "starlette")]
            Self::LegacyLeftOut => emit!(
                warn,
                "legacy_left_out",
                "entries of an old session left out: their keys are empty or longer than 255 bytes"
            ),
            #[cfg(feature = "starlette")]
            Self::Signed { cookie } => emit!(
                info,
                "signed",
                cookie,
                "sessions are signed and not encrypted: whoever has the cookie reads it"
            ),
            #[cfg(feature = "starlette")]
            Self::WeakLegacy => emit!(
                warn,
                "legacy_secret",
                "the old system's secret is weak or published: until it stops, whoever knows it makes sessions"
            ),
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
            #[cfg(feature = "store")]
            Self::Overflowed(id) => {
                emit!(debug, "overflowed", session = ?id, "session moved from its cookie to the store")
            }
            #[cfg(feature = "store")]
            Self::Unreadable(id) => emit!(
                error,
                "unreadable",
                session = ?id,
                "stored session of an unknown key, or of another id: not read, not changed"
            ),
            #[cfg(feature = "store")]
            Self::LogoutIncomplete => emit!(
                error,
                "logout_incomplete",
                "logout did not reach the session store: a copy of the cookie is still valid"
            ),
            #[cfg(feature = "store")]
            Self::StoreFailed { call, kind } => {
                emit!(
                    error,
                    "store_failed",
                    call,
                    kind,
                    "call to the session store failed"
                )
            }
            #[cfg(feature = "redis")]
            Self::StoreDefault { url } => {
                emit!(
                    info,
                    "store_default",
                    url,
                    "REDIS_URL is not set: the usual server is taken"
                )
            }
            #[cfg(feature = "redis")]
            Self::StoreEvicts { policy } => emit!(
                warn,
                "store_evicts",
                policy,
                "Redis throws sessions away when it is full: set maxmemory-policy to noeviction"
            ),
            #[cfg(feature = "store")]
            Self::Pruned { count } => {
                emit!(
                    debug,
                    "pruned",
                    count,
                    "sessions that had ended pruned from the store"
                )
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
            #[cfg(feature = "store")]
            Self::Gone => "gone",
            #[cfg(feature = "store")]
            Self::Ended => "ended",
            #[cfg(feature = "store")]
            Self::Unreadable => "unreadable",
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
