//! A [`LegacyCookie`] ready for use.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use http::HeaderValue;
use sha2::{Digest as _, Sha256};

use super::{
    cookie::{LegacyCookie, LegacyEntries, OwnerOf},
    format::{Format, Unreadable},
    json,
};
use crate::{
    clock::{self, Millis},
    cookie::{CookieName, Prefix, Template, scan},
    entries::Entries,
    error::{Error, ErrorKind},
    event::{Event, Reason},
    expiry::Timeouts,
    id::SessionId,
    record::Times,
};

/// The maximum number of cookies with the legacy name and a valid signature that are tried.
const MAX_TRIED: usize = 4;

/// The maximum number of cookies with another signature that are tried. Each costs a hash. There are
/// some by accident, such as those of sibling hosts.
const MAX_FORGED: usize = 64;

/// How the legacy cookie is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The legacy cookie is read if there is no cookie of ours, and then removed.
    Migrate,
    /// The newer of the two cookies is read, and both are written.
    Dual,
}

/// The legacy cookie beside ours.
#[derive(Clone)]
pub(crate) struct Companion {
    pub(crate) legacy: Arc<Legacy>,
    pub(crate) mode: Mode,
    /// From this time on, it is neither read nor written.
    pub(crate) until: Millis,
    /// Whether both cookies have the same name, path and domain, so that each replaces the other.
    pub(crate) same_place: bool,
}

/// A [`LegacyCookie`] ready for use.
pub(crate) struct Legacy {
    format: Arc<dyn Format>,
    owner: Option<Arc<OwnerOf>>,
    pub(crate) template: Template,
    /// In seconds.
    max_age: u32,
    browser_session: bool,
    reads: AtomicU64,
}

/// The content of a valid legacy cookie.
pub(crate) struct Read {
    /// The bytes of [`Entries`].
    pub(crate) entries: Vec<u8>,
    /// The result of the function in [`LegacyCookie::owner`].
    pub(crate) owner: Option<String>,
    /// A whole second.
    pub(crate) signed: Millis,
    /// A hash of the signed content.
    pub(crate) id: SessionId,
}

/// The legacy cookies of a request.
pub(crate) enum Newest {
    /// There are none.
    Absent,
    /// None is valid.
    Refused,
    Read(Read),
}

impl Newest {
    fn or_newer(self, read: Read) -> Self {
        match self {
            Self::Read(other) if other.signed > read.signed => Self::Read(other),
            _ => Self::Read(read),
        }
    }
}

impl Legacy {
    /// Checks the name. Returns `None` if it is invalid.
    pub(crate) fn new(cookie: LegacyCookie) -> Option<Self> {
        let name = CookieName::new(Prefix::None, &cookie.name)?;
        Some(Self {
            format: cookie.format,
            owner: cookie.owner,
            template: Template::new(name, &cookie.attributes),
            max_age: cookie.max_age,
            browser_session: cookie.browser_session,
            reads: AtomicU64::new(0),
        })
    }

    /// The newest valid value. Of two values of the same second, the last one, as in Starlette. All
    /// forged values are one event.
    pub(crate) fn newest<'a>(
        &self,
        values: impl Iterator<Item = &'a [u8]>,
        now: Millis,
        events: &mut Vec<Event<'static>>,
    ) -> Newest {
        let mut newest = Newest::Absent;
        // browsers keep these values if Starlette removes the cookie with other attributes
        let values = values.filter(|value| !matches!(*value, b"" | b"null"));
        let (mut signed, mut forged) = (0, 0);
        for value in values {
            let read = self.read(value, now, events);
            match read {
                Err(Reason::Forged) => forged += 1,
                _ => signed += 1,
            }
            newest = match (read, newest) {
                (Ok(read), newest) => newest.or_newer(read),
                (Err(reason), newest) => {
                    if reason != Reason::Forged || forged == 1 {
                        events.push(Event::LegacyRejected(reason));
                    }
                    match newest {
                        Newest::Absent => Newest::Refused,
                        other => other,
                    }
                }
            };
            if signed == MAX_TRIED || forged == MAX_FORGED {
                break;
            }
        }
        newest
    }

    /// Counts a session that was read from the legacy cookie.
    pub(crate) fn count_read(&self, events: &mut Vec<Event<'static>>) {
        let count = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        events.push(Event::LegacyRead { count });
    }

    fn read(
        &self,
        value: &[u8],
        now: Millis,
        events: &mut Vec<Event<'static>>,
    ) -> Result<Read, Reason> {
        let signed = self.format.open(value).map_err(|why| match why {
            Unreadable::Forged => Reason::Forged,
            Unreadable::Undecodable => Reason::Malformed,
        })?;
        let seconds = u64::try_from(signed.at.unix_timestamp()).map_err(|_| Reason::Malformed)?;
        let millis = seconds.saturating_mul(1000);
        self.timeouts().check(times(millis, self.max_age), now)?;
        let members = json::parse(&signed.json).ok_or(Reason::Malformed)?;
        if members.left_out {
            events.push(Event::LegacyLeftOut);
        }
        let entries = Entries::trusted(&members.entries);
        let owner = self.owner_of(entries);
        let hash = Sha256::new()
            .chain_update(b"tower-sealed-session/v1 legacy\0")
            .chain_update(seconds.to_be_bytes())
            .chain_update(&signed.json)
            .finalize();
        Ok(Read {
            owner,
            signed: millis,
            id: SessionId::new(*hash.first_chunk().expect("a hash is longer")),
            entries: members.entries,
        })
    }

    /// The timeouts of a legacy session. As in Starlette, a cookie is valid until the end of the
    /// second in which it is `max_age` old.
    pub(crate) fn timeouts(&self) -> Timeouts {
        Timeouts {
            idle: None,
            absolute: self.life(),
            max_remember: 0,
        }
    }

    /// How long a cookie is valid after it was signed.
    pub(crate) fn life(&self) -> Millis {
        (Millis::from(self.max_age) + 1) * 1000
    }

    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// The values of the legacy cookie in a `Cookie` header.
    pub(crate) fn values<'a>(&'a self, header: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        scan::values(header, self.template.name())
    }

    /// The length of name and value for a JSON object of that length.
    pub(crate) fn pair_len(&self, json: usize) -> usize {
        self.template.name().len() + self.format.len(json)
    }

    /// The owner that the entries name, if it is a valid one.
    pub(crate) fn owner_of(&self, entries: Entries<'_>) -> Option<String> {
        let owner = self.owner.as_ref()?;
        owner(&LegacyEntries(entries)).filter(|owner| (1..=255).contains(&owner.len()))
    }

    /// The header that sets the legacy cookie, signed at the second of `at`. Its `Max-Age` is the
    /// smaller of `max_age` and the legacy one, in seconds. It has none if `max_age` is `None` or
    /// if the legacy app set none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`] if the format returns a value that is not valid in a cookie.
    pub(crate) fn set(
        &self,
        json: &str,
        at: Millis,
        max_age: Option<u64>,
    ) -> Result<HeaderValue, Error> {
        let value = self.format.seal(json, clock::moment(at));
        if !value.bytes().all(is_cookie_octet) {
            return Err(ErrorKind::Encoding.into());
        }
        let max_age = max_age.filter(|_| !self.browser_session);
        let max_age = max_age.map(|seconds| seconds.min(self.max_age.into()));
        let write = |out: &mut Vec<u8>| out.extend_from_slice(value.as_bytes());
        Ok(self.template.set(value.len(), write, max_age))
    }
}

/// Whether a cookie's value may have this byte (RFC 6265 §4.1.1).
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}

/// The times of a session that was signed at `signed`.
pub(crate) fn times(signed: Millis, lifetime: u32) -> Times {
    Times {
        created: signed,
        issued: 0,
        lifetime: lifetime.saturating_add(1),
        remembered: false,
    }
}
