//! What a cookie is, and why it is not accepted.

use std::fmt;

use time::OffsetDateTime;

use crate::{
    clock::{self, Millis, moment},
    event::Reason,
    id::SessionId,
    key::{Age, KeyId},
    layer::SessionLayer,
    record::Record,
    request::Opened,
    session::{Incoming, Origin},
};

/// What [`inspect`] found in the value of a cookie.
///
/// `Debug` shows neither the owner nor keys nor values.
#[derive(Debug)]
pub struct Inspection {
    rejected: Option<&'static str>,
    len: usize,
    key: Option<InspectedKey>,
    session: Option<InspectedSession>,
}

/// The key that sealed a cookie, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InspectedKey {
    id: KeyId,
    age: Option<Age>,
}

/// The session in a cookie that opened. It may have expired.
pub struct InspectedSession {
    record: Record,
    paired: bool,
    ends: Millis,
    last: Millis,
}

/// Opens the value of a session cookie with the keys of a layer, and checks it against the layer's
/// timeouts as if it came in a request at `now`.
///
/// Nothing else is asked: neither the store about a ticket, nor the log of revocations. For what the
/// app would do with the cookie, use [`SessionLayer::open`]. A layer with a signed cookie opens none.
///
/// The module's page has an [example](super).
#[must_use]
pub fn inspect(layer: &SessionLayer, value: &[u8], now: OffsetDateTime) -> Inspection {
    let config = layer.config();
    let now = clock::millis(now);
    let Opened { key, result } = config.codec.examine(value);
    let key = key.map(|(id, age)| InspectedKey { id, age });
    let timeouts = &config.rules.timeouts;
    let (rejected, session) = match result {
        Err(reason) => (Some(reason), None),
        Ok(Incoming { record, origin, .. }) => {
            let times = record.head.times;
            let checked = match record.stored {
                true => timeouts.check_ticket(times, now),
                false => timeouts.check(times, now),
            };
            let last = timeouts.last(times);
            let session = InspectedSession {
                ends: if record.stored {
                    last
                } else {
                    timeouts.end(times)
                },
                last,
                paired: origin == Origin::Paired,
                record,
            };
            (checked.err().map(Reason::from), Some(session))
        }
    };
    Inspection {
        rejected: rejected.map(Reason::name),
        len: value.len(),
        key,
        session,
    }
}

impl Inspection {
    /// Why the cookie is not accepted, with the names that the event `rejected` has: `garbage`,
    /// `version`, `unknown_key`, `forged`, `malformed`, `expired` or `future`. `None`: it is valid.
    #[must_use]
    pub fn rejected(&self) -> Option<&'static str> {
        self.rejected
    }

    /// The length of the value in bytes. Browsers take 4096 bytes together with the name.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "the length of a text, not of a collection"
    )]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The key that sealed the cookie. `None` if the value has not the form of a token.
    #[must_use]
    pub fn key(&self) -> Option<InspectedKey> {
        self.key
    }

    /// The session, if the cookie is authentic. It may have expired.
    #[must_use]
    pub fn session(&self) -> Option<&InspectedSession> {
        self.session.as_ref()
    }
}

impl InspectedKey {
    /// Whether that is the current key of the layer, or one of its fallbacks. `None`: the layer has
    /// no key with that id.
    #[must_use]
    pub fn is_current(self) -> Option<bool> {
        self.age.map(|age| age == Age::Current)
    }
}

/// The id: 8 hex digits, as in the event `unknown_keys`.
impl fmt::Display for InspectedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl InspectedSession {
    /// Its id. `Debug` of it shows what events show.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.record.head.id
    }

    /// Whether this is a ticket: the entries and the owner are in a store.
    #[must_use]
    pub fn is_ticket(&self) -> bool {
        self.record.stored
    }

    /// Whether the cookie was set together with a legacy cookie.
    #[must_use]
    pub fn is_paired(&self) -> bool {
        self.paired
    }

    /// Whether it has no idle timeout, see [`Session::remember`](crate::Session::remember).
    #[must_use]
    pub fn is_remembered(&self) -> bool {
        self.record.head.times.remembered
    }

    /// When it began.
    #[must_use]
    pub fn created_at(&self) -> OffsetDateTime {
        moment(self.record.head.times.created)
    }

    /// When its cookie was sealed, which is its last use, to a tenth of the idle timeout.
    #[must_use]
    pub fn sealed_at(&self) -> OffsetDateTime {
        moment(self.record.head.times.issued_at())
    }

    /// When it expires if it is not used before. Of a ticket, the store knows this, so here it is
    /// the end of its longest life.
    #[must_use]
    pub fn expires_at(&self) -> OffsetDateTime {
        moment(self.ends)
    }

    /// When it expires however often it is used.
    #[must_use]
    pub fn expires_at_last(&self) -> OffsetDateTime {
        moment(self.last)
    }

    /// The owner who is logged in.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.record.owner()
    }

    /// The keys of its entries, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.record.entries().iter().map(|(key, _)| key)
    }

    /// The value of an entry, as JSON text.
    #[must_use]
    pub fn json(&self, key: &str) -> Option<&str> {
        let json = self.record.entries().get(key)?;
        std::str::from_utf8(json).ok()
    }
}

impl fmt::Debug for InspectedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InspectedSession")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
