use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tower_cookies::cookie::SameSite;

use super::{
    format::{Format, Unreadable},
    json,
};
use crate::{
    clock::{self, Millis},
    cookie::{Attributes, CookieName, Prefix, Template, scan},
    entries::Entries,
    error::{Error, ErrorKind},
    event::{Event, Reason},
    expiry::Timeouts,
    record::{SessionId, Times},
};

/// How many cookies of the name are looked at.
const MAX_TRIED: usize = 4;

/// The session cookie of the app that is to be replaced, as it was set up there.
///
/// Its settings are those of Starlette's `SessionMiddleware`, with its defaults.
#[derive(Clone)]
#[must_use]
pub struct LegacyCookie {
    format: Arc<dyn Format>,
    max_age: u32,
    pub(crate) name: String,
    pub(crate) attributes: Attributes,
    browser_session: bool,
    owner: Option<Arc<OwnerOf>>,
}

type OwnerOf = dyn Fn(&LegacyEntries<'_>) -> Option<String> + Send + Sync;

impl LegacyCookie {
    /// A cookie of that format, no older than `max_age` when it is read, whole seconds counted. Give one also where the old
    /// app had none (`max_age=None`): its cookies never expired there.
    pub fn new(format: impl Format, max_age: Duration) -> Self {
        Self {
            format: Arc::new(format),
            max_age: u32::try_from(max_age.as_secs()).unwrap_or(u32::MAX),
            name: "session".to_owned(),
            attributes: Attributes {
                path: "/".to_owned(),
                domain: None,
                same_site: SameSite::Lax,
                secure: false,
                partitioned: false,
            },
            browser_session: false,
            owner: None,
        }
    }

    /// The old `session_cookie`. Default: `session`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The old `path`. Default: `/`.
    ///
    /// Browsers keep cookies of other paths or domains apart: with other settings than the old app's, the old cookie is
    /// not replaced and not removed.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.attributes.path = path.into();
        self
    }

    /// The old `domain`. Default: none.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.attributes.domain = Some(domain.into());
        self
    }

    /// The old `same_site`. Default: `Lax`.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.attributes.same_site = same_site;
        self
    }

    /// The old `https_only`. Default: `false`.
    pub fn https_only(mut self, https_only: bool) -> Self {
        self.attributes.secure = https_only;
        self
    }

    /// The old `partitioned`. Default: `false`.
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.attributes.partitioned = partitioned;
        self
    }

    /// Whether the old app had `max_age=None`, so that browsers forget the cookie when they close. Default: `false`.
    pub fn browser_session(mut self, browser_session: bool) -> Self {
        self.browser_session = browser_session;
        self
    }

    /// Whose session it is, by what the old app kept in it: what [`Session::owner`](crate::Session::owner) then says.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tower_sealed_session::compat::{LegacyCookie, Starlette};
    /// # let cookie = LegacyCookie::new(Starlette::new(["s"])?, Duration::from_secs(1));
    /// cookie.owner(|entries| entries.get::<u64>("user_id").map(|id| id.to_string()));
    /// # Ok::<(), tower_sealed_session::compat::EmptySecret>(())
    /// ```
    ///
    /// Without it, sessions that come from the old app have no owner, and their ids are drawn for each request that brings
    /// one: with it, all requests that bring one cookie have one id, so that a logout or login in one of them ends it
    /// for those in flight.
    pub fn owner(
        mut self,
        owner: impl Fn(&LegacyEntries<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.owner = Some(Arc::new(owner));
        self
    }

    /// `None` if the name is not one.
    pub(crate) fn resolve(self) -> Option<Legacy> {
        let name = CookieName::new(Prefix::None, &self.name)?;
        Some(Legacy {
            format: self.format,
            owner: self.owner,
            template: Template::new(name, &self.attributes),
            max_age: self.max_age,
            browser_session: self.browser_session,
            reads: AtomicU64::new(0),
        })
    }
}

impl fmt::Debug for LegacyCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LegacyCookie")
            .field("name", &self.name)
            .field("attributes", &self.attributes)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

/// What the old app kept in a session, for [`LegacyCookie::owner`].
pub struct LegacyEntries<'a>(Entries<'a>);

impl LegacyEntries<'_> {
    /// An entry's value; `None` if there is none, or if it is of another type.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_slice(self.0.get(key)?).ok()
    }
}

impl fmt::Debug for LegacyEntries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What becomes of the old cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is read where there is none of ours, and removed.
    Migrate,
    /// The newer one is read, and both are written.
    Dual,
}

/// The old cookie beside ours.
pub(crate) struct Companion {
    pub(crate) legacy: Arc<Legacy>,
    pub(crate) mode: Mode,
    /// From then on it is neither read nor written.
    pub(crate) until: Millis,
    /// Whether it has the place of our own cookie in browsers, so that the one replaces the other.
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

/// What a valid old cookie held.
pub(crate) struct Read {
    /// The bytes of [`Entries`].
    pub(crate) entries: Vec<u8>,
    /// By [`LegacyCookie::owner`].
    pub(crate) owner: Option<String>,
    /// A whole second.
    pub(crate) signed: Millis,
    /// A hash of what was signed.
    pub(crate) id: SessionId,
}

/// What a request brought of old cookies.
pub(crate) enum Newest {
    /// None at all.
    Absent,
    /// None that is valid.
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
    /// The newest valid one of the values; of two of one second the last, which upstream takes.
    pub(crate) fn newest<'a>(
        &self,
        values: impl Iterator<Item = &'a [u8]>,
        now: Millis,
        events: &mut Vec<Event<'static>>,
    ) -> Newest {
        let mut newest = Newest::Absent;
        // what upstream leaves where a removal did not fit
        let values = values.filter(|value| !matches!(*value, b"" | b"null"));
        for value in values.take(MAX_TRIED) {
            match self.read(value, now, events) {
                Ok(read) => newest = newest.or_newer(read),
                Err(reason) => {
                    events.push(Event::LegacyRejected(reason));
                    if let Newest::Absent = newest {
                        newest = Newest::Refused;
                    }
                }
            }
        }
        newest
    }

    /// Counts a session that was taken from the old cookie.
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

    /// A cookie is valid to the end of the second in which it is `max_age` old, as upstream counts.
    pub(crate) fn timeouts(&self) -> Timeouts {
        Timeouts {
            idle: None,
            absolute: (Millis::from(self.max_age) + 1) * 1000,
            max_remember: 0,
        }
    }

    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// The values of the old cookie in a `Cookie` header.
    pub(crate) fn values<'a>(&'a self, header: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        scan::values(header, self.template.name())
    }

    /// How long name and value are for an object of so many bytes.
    pub(crate) fn pair_len(&self, json: usize) -> usize {
        self.template.name().len() + self.format.len(json)
    }

    /// Whose session it is that has such entries, by what an owner can be.
    pub(crate) fn owner_of(&self, entries: Entries<'_>) -> Option<String> {
        let owner = self.owner.as_ref()?;
        owner(&LegacyEntries(entries)).filter(|owner| (1..=255).contains(&owner.len()))
    }

    /// The header that sets the old cookie, signed at the second that `at` is in. Browsers forget it after `max_age` seconds,
    /// or the old app's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encoding`] if the format makes what cannot stand in a cookie.
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
        let max_age = match self.browser_session {
            true => None,
            false => Some(max_age.unwrap_or(u64::MAX).min(self.max_age.into())),
        };
        let write = |out: &mut Vec<u8>| out.extend_from_slice(value.as_bytes());
        Ok(self.template.set(value.len(), write, max_age))
    }
}

/// RFC 6265 §4.1.1.
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}

/// The times of a session that was signed once.
pub(crate) fn times(signed: Millis, lifetime: u32) -> Times {
    Times {
        created: signed,
        issued: 0,
        lifetime: lifetime.saturating_add(1),
        remembered: false,
    }
}
