//! The events of a session, as `tracing` events with the target `tower_sealed_session`, and as the
//! metrics that count them.
//!
//! No event holds a secret, a cookie, an owner or a value. A session is named by the first 4 bytes
//! of the SHA-256 of its id.

mod counters;
mod reason;
mod trace;

pub(crate) use self::reason::{DropReason, EndReason, Reason};
use crate::{error::Error, id::SessionId, key::KeyId, metrics::Metrics};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// A visitor got a session.
    Created(SessionId),
    /// A login or a renewal gave the session a new id.
    Renewed {
        from: SessionId,
        to: SessionId,
        login: bool,
    },
    /// A session ended before it expired.
    Ended {
        session: SessionId,
        reason: EndReason,
    },
    /// All sessions of an owner were deleted from the store.
    OwnerEnded { count: u64 },
    /// Entries, owner or lifetime changed.
    Changed(SessionId),
    /// The session was sealed again, to extend its idle deadline or with a new secret.
    Refreshed(SessionId),
    /// The response removes the cookie.
    Removed,
    /// A cookie was rejected; the visitor is anonymous.
    Rejected(Reason),
    /// A ticket came whose serial was replaced more than a minute ago.
    Reused { session: SessionId, ends: bool },
    /// Too many sessions ended while requests from before were in flight.
    EndsForgotten { count: u64 },
    /// Cookies that none of the keys sealed, since the last such event. `ours` seals new cookies.
    UnknownKeys {
        count: u64,
        keys: &'a str,
        ours: Option<KeyId>,
    },
    /// A session was read from the legacy cookie; `count` is the total since the layer was built.
    LegacyRead { count: u64 },
    /// A legacy cookie was rejected.
    LegacyRejected(Reason),
    /// Legacy cookies that none of the legacy secrets signed, since the last such event.
    LegacyForged { count: u64 },
    /// The legacy app removed its cookie. This ends the session here as well.
    LegacyLoggedOut(SessionId),
    /// A legacy session has keys that an entry cannot have.
    LegacyLeftOut,
    /// The sessions are in a cookie that is signed but not encrypted.
    Signed { cookie: &'a str },
    /// The legacy secret would be refused as a new secret.
    WeakLegacy,
    /// The changes of this request were dropped.
    Dropped(DropReason),
    /// A change came after the response's head was sent.
    LateWrite { method: &'a str },
    /// An error became the response: a handler returned it, or the session could not be saved.
    Failed(&'a Error),
    /// A session no longer fits its cookie and moved to the store.
    Overflowed(SessionId),
    /// A session moved from its cookie to the store.
    MovedToStore(SessionId),
    /// A session moved from the store to its cookie.
    MovedToCookie(SessionId),
    /// A session moved from the store of `read_from` to that of `store`.
    Adopted(SessionId),
    /// A request with an id of the old system took the session that was imported for it.
    OldIdTaken(SessionId),
    /// A row was sealed with an unknown key or for another key of the store, or it was changed.
    Unreadable { session: SessionId, reason: Reason },
    /// A logout did not reach the store, so that a copy of the cookie is still valid.
    LogoutIncomplete,
    /// A call to the store failed.
    StoreFailed {
        call: &'static str,
        kind: &'static str,
        error: &'a (dyn std::error::Error + Send + Sync + 'static),
    },
    /// A call to the log of revocations failed. Of reads that fail in a row, the first one.
    RevocationsFailed {
        call: &'static str,
        kind: &'static str,
        error: &'a (dyn std::error::Error + Send + Sync + 'static),
    },
    /// The log has not been read for longer than it may be. `refuses`: sessions cannot be used.
    RevocationsStale { refuses: bool },
    /// The log has been read again after that.
    RevocationsRead,
    /// The log had lost entries. This instance added again so many that it holds.
    RevocationsLost { count: u64 },
    /// Another program wrote into the log, or a newer release.
    RevocationUnreadable,
    /// Sessions are in cookies, and there is no log.
    Unrevocable { cookie: &'a str },
    /// The app's check of an owner gave no answer.
    CheckFailed {
        cause: &'static str,
        error: &'a (dyn std::error::Error + Send + Sync + 'static),
    },
    /// The environment names no server, so the default one is used.
    #[allow(dead_code, reason = "only Redis has a default server")]
    StoreDefault { url: &'a str },
    /// The store's server evicts sessions when its memory is full.
    #[allow(dead_code, reason = "only Redis evicts")]
    StoreEvicts { policy: &'a str },
    /// Expired sessions were pruned from the store.
    Pruned { count: u64 },
    /// A layer is inside another one with the same cookie name but other settings.
    Nested { cookie: &'a str },
    /// The clock shows a time before 1970.
    Clock,
    /// The secret exists only in this process.
    Ephemeral,
    /// The cookie is sent over plain HTTP, without `Secure` and without a prefix.
    Insecure { cookie: &'a str },
    /// The cookie's name has no prefix, so that sibling hosts can plant it.
    Unprefixed { cookie: &'a str },
}

impl Event<'_> {
    /// Emits the event, and counts it in the metrics of what it belongs to.
    pub(crate) fn emit(self, metrics: &Metrics) {
        self.count(metrics);
        self.trace();
    }
}

impl Event<'_> {
    /// The id of the key that sealed a rejected cookie, if the layer does not have that key.
    pub(crate) fn unknown_key(&self) -> Option<KeyId> {
        match self {
            Self::Rejected(reason) => reason.key(),
            _ => None,
        }
    }

    /// Whether none of the legacy secrets signed a legacy cookie.
    pub(crate) fn is_forged_legacy(&self) -> bool {
        matches!(self, Self::LegacyRejected(Reason::Forged))
    }
}
