#[cfg(feature = "store")]
use crate::{clock::Millis, record::Head};
use crate::{key::Age, record::Record};

/// The session that a cookie brought.
pub(crate) struct Base {
    pub(crate) record: Record,
    pub(crate) age: Age,
    pub(crate) origin: Origin,
}

/// Where a session came from, and so what its response owes even if nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Our cookie: nothing.
    Ours,
    /// Our cookie, set along with the old system's: nothing.
    #[cfg(feature = "starlette")]
    Twin,
    /// Our cookie, where the old system's is to be and is not, or is older: both.
    #[cfg(feature = "starlette")]
    Alone,
    /// The old system's cookie: ours.
    #[cfg(feature = "starlette")]
    Legacy,
    /// The old system's cookie, which is the only one: nothing. Its entries say whose it is.
    #[cfg(feature = "starlette")]
    Shared,
    /// The store.
    #[cfg(feature = "store")]
    Row(Held),
}

/// A session's row in the store, as this request last saw it.
#[cfg(feature = "store")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) version: u64,
    pub(crate) expires: Millis,
    /// The request's cookie is its ticket.
    pub(crate) ticket: bool,
}

/// What a store keeps by this request's own doing.
#[cfg(feature = "store")]
pub(super) struct Kept {
    pub(super) head: Head,
    pub(super) owner: Option<Box<str>>,
    pub(super) entries: Vec<u8>,
    pub(super) held: Option<Held>,
}

impl Origin {
    /// Whether the old system's cookie is to be beside it, which ends in a time of its own unless it is signed anew.
    pub(super) fn ages(self) -> bool {
        #[cfg(feature = "starlette")]
        return matches!(self, Self::Twin | Self::Alone);
        #[cfg(not(feature = "starlette"))]
        false
    }

    /// Whether the old system's cookie holds the same, or newer.
    pub(crate) fn is_legacy(self) -> bool {
        #[cfg(feature = "starlette")]
        return self == Self::Legacy;
        #[cfg(not(feature = "starlette"))]
        false
    }

    /// Whether the response is to set cookies even if nothing changed.
    pub(crate) fn owes(self) -> bool {
        match self {
            Self::Ours => false,
            #[cfg(feature = "store")]
            Self::Row(_) => false,
            #[cfg(feature = "starlette")]
            Self::Twin | Self::Shared => false,
            #[cfg(feature = "starlette")]
            Self::Alone | Self::Legacy => true,
        }
    }
}

impl Base {
    /// Its row, if it came from the store.
    #[cfg(feature = "store")]
    pub(crate) fn held(&self) -> Option<Held> {
        match self.origin {
            Origin::Row(held) => Some(held),
            _ => None,
        }
    }

    /// There is nothing in it: neither entries nor an owner.
    pub(crate) fn is_vacant(&self) -> bool {
        self.record.owner().is_none() && self.record.entries().as_bytes().is_empty()
    }
}
