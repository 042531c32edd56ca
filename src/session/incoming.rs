//! What a request brought, before any change.

use crate::{
    clock::Millis,
    id::{Family, Replaced},
    key::Age,
    record::Record,
    revocation::{Flight, Why},
    store::{OwnerTag, Version},
};

/// What a request brought. For a new visitor, only the time is set.
#[derive(Default)]
pub(crate) struct Arrival {
    /// When the session was opened. `None` if the clock shows a time before 1970.
    pub(crate) opened: Option<Millis>,
    pub(crate) incoming: Option<Incoming>,
    /// The session that the legacy app ended: its cookie is to be removed.
    pub(crate) legacy_logout: Option<Family>,
    /// The session that the cookies name, if it cannot be used. Boxed, since it is rare.
    pub(crate) stale: Option<Box<Stale>>,
    /// The session that the cookies brought, if this process knows that it ended, and why.
    pub(crate) ended: Option<Box<(Record, Why)>>,
    /// Lets this process remember the ends of sessions while the request is in flight.
    pub(crate) flight: Option<Flight>,
}

impl Arrival {
    pub(crate) fn new(now: Millis, incoming: Option<Incoming>) -> Self {
        Self {
            opened: Some(now),
            incoming,
            ..Self::default()
        }
    }

    /// The same without the session, which the app's check refused.
    pub(super) fn refused(self) -> Self {
        let stale = |incoming: Incoming| Stale {
            family: incoming.record.head.family(),
            changes: Fate::Refused,
            in_store: incoming.row.is_some(),
        };
        Self {
            stale: self.incoming.map(stale).map(Box::new),
            incoming: None,
            ..self
        }
    }
}

/// The session that a request brought.
pub(crate) struct Incoming {
    pub(crate) record: Record,
    pub(crate) age: Age,
    pub(crate) origin: Origin,
    /// The row of [`Origin::Row`]. Boxed, so that sessions in cookies stay small.
    pub(crate) row: Option<Box<RowRef>>,
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
    /// The legacy cookie of a session without an owner. Its id was drawn for this request, since
    /// two visitors can have equal cookies.
    LegacyUnowned,
    /// The legacy cookie of a layer that has no other. Its entries name the owner.
    Shared,
    /// The store.
    Row,
    /// What was imported with an id of the old system. This request took it.
    Adopted,
}

/// A session's row in the store, as this request last saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowRef {
    pub(crate) version: Version,
    pub(crate) expires: Millis,
    /// The tag of its owner in the store.
    pub(crate) owner: Option<OwnerTag>,
    /// The serials that `renew` replaced.
    pub(crate) replaced: Replaced,
    /// Whether the request's cookie is the ticket of this row.
    pub(crate) ticket: bool,
    pub(crate) place: Place,
}

/// The store that holds a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The one that sessions are written to.
    Store,
    /// The one that they move out of.
    Old,
}

/// A session that the cookies name, and that this request cannot use. It ended, or it has another
/// id now.
#[derive(Clone, Copy)]
pub(crate) struct Stale {
    /// The family of the cookie.
    pub(crate) family: Family,
    /// What happens to the changes of this request.
    pub(crate) changes: Fate,
    /// Whether the store said so. Otherwise this process remembers the end.
    pub(crate) in_store: bool,
}

/// What happens to the changes of a request whose session cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They begin a new session.
    Begin,
    /// They begin a new session. It takes nothing from the one that came, whose owner the app's
    /// check refused.
    Refused,
    /// They are dropped: the visitor logged out while the request was in flight.
    Drop,
    /// They are an error: the session has another id now, or a login continues it. The next request
    /// of the browser brings the new cookie.
    Fail,
    /// They are an error: the row does not open.
    Unreadable,
}

impl Origin {
    /// Whether a legacy cookie is set together with ours. It expires by its own `max_age`, so it
    /// has to be signed again in time.
    pub(crate) fn expects_legacy_cookie(self) -> bool {
        matches!(self, Self::Paired | Self::Unpaired)
    }

    /// Whether the session comes from the legacy cookie beside ours.
    pub(crate) fn is_legacy(self) -> bool {
        matches!(self, Self::Legacy | Self::LegacyUnowned)
    }

    /// Whether the id belongs to this session and no other one. Otherwise it was drawn for this
    /// request.
    pub(crate) fn has_own_id(self) -> bool {
        !matches!(self, Self::LegacyUnowned | Self::Shared)
    }

    /// Whether the response sets a cookie even if nothing changed.
    pub(crate) fn needs_cookie(self) -> bool {
        matches!(self, Self::Unpaired) || self.is_legacy()
    }
}

impl Incoming {
    /// The row, if the session came from the store.
    pub(crate) fn row(&self) -> Option<RowRef> {
        self.row.as_deref().copied()
    }

    pub(crate) fn issued_at(&self) -> Millis {
        self.record.head.times.issued_at()
    }

    /// Whether it has neither entries nor an owner.
    pub(crate) fn is_vacant(&self) -> bool {
        self.record.owner().is_none() && self.record.entries().as_bytes().is_empty()
    }
}
