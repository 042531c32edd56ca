//! What a request brought, before any change.

use crate::{
    clock::Millis,
    key::Age,
    record::{Head, Record, SessionId},
};

/// What a request brought. For a new visitor, only the time is set.
#[derive(Default)]
pub(crate) struct Arrival {
    /// When the session was opened. `None` if the clock shows a time before 1970.
    pub(crate) opened: Option<Millis>,
    pub(crate) incoming: Option<Incoming>,
    /// The session that the legacy app ended: its cookie is to be removed.
    pub(crate) legacy_logout: Option<SessionId>,
    /// The ended session to which the request's ticket or cookie belongs. Boxed, since it is rare.
    pub(crate) tombstone: Option<Box<Tombstone>>,
}

impl Arrival {
    pub(crate) fn new(now: Millis, incoming: Option<Incoming>) -> Self {
        Self {
            opened: Some(now),
            incoming,
            ..Self::default()
        }
    }
}

/// The session that a request brought.
pub(crate) struct Incoming {
    pub(crate) record: Record,
    pub(crate) age: Age,
    pub(crate) origin: Origin,
}

/// Where a session came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Our cookie.
    Ours,
    /// Our cookie, which was set together with a legacy cookie.
    Paired,
    /// Our cookie, while the legacy cookie that belongs to it is missing or older.
    Unpaired,
    /// The legacy cookie.
    Legacy,
    /// The legacy cookie of a layer that has no other. Its entries name the owner.
    Shared,
    /// The store.
    Row(RowRef),
}

/// A session's row in the store, as this request last saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowRef {
    pub(crate) version: u64,
    pub(crate) expires: Millis,
    /// Whether the request's cookie is the ticket of this row.
    pub(crate) ticket: bool,
}

/// An ended session whose ticket or cookie a visitor still has.
#[derive(Clone, Copy)]
pub(crate) struct Tombstone {
    pub(crate) id: SessionId,
    /// The session that continues it, or itself if there is none.
    pub(crate) successor: Head,
    /// Whether requests from before the end may still be in flight.
    pub(crate) fresh: bool,
}

impl Origin {
    /// Whether a legacy cookie is set together with ours. It expires by its own `max_age`, so it
    /// has to be signed again in time.
    pub(crate) fn expects_legacy_cookie(self) -> bool {
        matches!(self, Self::Paired | Self::Unpaired)
    }

    /// Whether the response sets a cookie even if nothing changed.
    pub(crate) fn needs_cookie(self) -> bool {
        matches!(self, Self::Unpaired | Self::Legacy)
    }
}

impl Incoming {
    /// The row, if the session came from the store.
    pub(crate) fn row(&self) -> Option<RowRef> {
        match self.origin {
            Origin::Row(row) => Some(row),
            _ => None,
        }
    }

    pub(crate) fn issued_at(&self) -> Millis {
        self.record.head.times.issued_at()
    }

    /// Whether it has neither entries nor an owner.
    pub(crate) fn is_vacant(&self) -> bool {
        self.record.owner().is_none() && self.record.entries().as_bytes().is_empty()
    }
}
