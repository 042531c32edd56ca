//! Reading the cookies of a request.

use http::{HeaderMap, HeaderValue, header::COOKIE};

use super::{codec::Value, config::Config};
use crate::{
    clock::Millis,
    cookie::scan,
    error::Error,
    event::{Event, Reason},
    expiry::Untimely,
    id::Family,
    key::{Age, Keys},
    revocation::{Ended, Why},
    session::{Arrival, Fate, Incoming, Stale},
};

/// The maximum number of cookies with our name and a known key that are tried. If there are more,
/// the visitor is anonymous.
const MAX_TRIED: usize = 4;

/// The unchanged `Cookie` headers of a request. There is almost always one.
pub(super) struct CookieHeaders {
    first: Option<HeaderValue>,
    more: Vec<HeaderValue>,
}

/// Reads the cookies of a request.
pub(super) struct Reader<'a> {
    pub(super) config: &'a Config,
    pub(super) cookies: &'a CookieHeaders,
    /// If extractors race, only the events of the read that is used are emitted.
    pub(super) events: Vec<Event<'static>>,
    /// An expired session of ours, which a legacy cookie may continue.
    pub(super) expired: Option<Incoming>,
    /// When the request came, if there is a store.
    pub(super) arrived: Option<Millis>,
    /// The key that opened the session in our cookies.
    pub(super) age: Option<Age>,
    /// A session that is to end, since a copy of its cookie came.
    pub(super) copied: Option<Family>,
}

/// The cookies are valid for different sessions, or there are too many.
pub(super) struct Ambiguous;

impl CookieHeaders {
    pub(super) fn new(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(COOKIE).iter();
        let first = values.next().cloned();
        // a loop, since `collect` costs more if there is only one header
        let mut more = Vec::new();
        for value in values {
            more.push(value.clone());
        }
        Self { first, more }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &HeaderValue> {
        self.first.iter().chain(&self.more)
    }

    /// The values of the cookies with that name, each without the quotes around it.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let headers = self.iter();
        headers.flat_map(move |header| scan::tokens(header.as_bytes(), name))
    }
}

impl Reader<'_> {
    /// The session that the cookies contain, or whose ticket they contain. With a ticket, the
    /// session still has to be loaded.
    #[inline(always)] // otherwise the session is copied once more
    pub(super) fn read(&mut self) -> Result<Arrival, Error> {
        let Some(now) = self.config.clock.now() else {
            self.events.push(Event::Clock);
            return Ok(Arrival::default());
        };
        let keys = match &self.config.codec.value {
            Value::Sealed { keys, .. } => keys,
            Value::Signed(legacy) => return self.read_signed(legacy, now),
        };
        let found = self.find(keys, now);
        let arrival = match &self.config.companion {
            Some(companion) if now < companion.until => self.read_either(found, companion, now)?,
            _ => Arrival::new(now, found.unwrap_or(None)),
        };
        let arrival = self.unless_ended(arrival);
        self.unless_revoked(arrival)
    }

    /// The same arrival, without its session if this process ended that a short time ago. With a
    /// store for all sessions, the store knows.
    #[inline(always)] // see `read`
    fn unless_ended(&mut self, mut arrival: Arrival) -> Arrival {
        let ended = &self.config.rules.ended;
        let Some(incoming) = &arrival.incoming else {
            return arrival;
        };
        if incoming.record.stored || self.config.keeps_all_in_store() {
            return arrival;
        }
        let flight = ended.enter();
        let head = incoming.record.head;
        let found = ended.find(head.family(), head.id.serial(), Some(&flight));
        arrival.flight = Some(flight);
        match found {
            Some(end) if end.family => self.without_session(arrival, end),
            _ => arrival,
        }
    }

    #[cold]
    fn without_session(&mut self, mut arrival: Arrival, end: Ended) -> Arrival {
        self.events.push(Event::Rejected(Reason::Ended));
        if let Some(Incoming { record, .. }) = arrival.incoming.take() {
            arrival.stale = Some(Box::new(Stale {
                family: record.head.family(),
                changes: match (end.in_flight, end.why) {
                    (false, _) => Fate::Begin,
                    (true, Why::LoggedOut) => Fate::Drop,
                    (true, Why::Renewed | Why::LoggedIn(_)) => Fate::Fail,
                },
                in_store: false,
            }));
            arrival.ended = Some(Box::new((record, end.why)));
        }
        arrival
    }

    /// The one valid session of our cookies, if there is one. Each rejected cookie with a known key
    /// is an event. If there are only foreign ones, the first is an event.
    #[inline(always)] // see `read`
    fn find(&mut self, keys: &Keys, now: Millis) -> Result<Option<Incoming>, Ambiguous> {
        let Config { codec, rules, .. } = self.config;
        let tokens = self.cookies.values(codec.name());
        let mut found: Option<Incoming> = None;
        let mut foreign = None;
        let mut tried = [&b""[..]; MAX_TRIED];
        let mut count = 0;
        for token in tokens {
            if tried[..count].contains(&token) {
                continue;
            }
            let opened = codec.open(keys, token);
            if let Err(reason) = opened
                && reason.is_foreign()
            {
                foreign.get_or_insert(reason);
                continue;
            }
            if count == MAX_TRIED {
                self.events.push(Event::Rejected(Reason::Ambiguous));
                return Err(Ambiguous);
            }
            (tried[count], count) = (token, count + 1);
            let incoming = match opened {
                Ok(incoming) => incoming,
                Err(reason) => {
                    self.events.push(Event::Rejected(reason));
                    continue;
                }
            };
            let times = incoming.record.head.times;
            let timely = match incoming.record.stored {
                // the time of last use is in the row
                true => rules.timeouts.check_ticket(times, now),
                false => rules.timeouts.check(times, now),
            };
            if let Err(untimely) = timely {
                self.events.push(Event::Rejected(untimely.into()));
                if untimely == Untimely::Expired {
                    self.expired = Some(incoming);
                }
                continue;
            }
            match &found {
                Some(other) if other.record.head.id != incoming.record.head.id => {
                    self.events.push(Event::Rejected(Reason::Ambiguous));
                    return Err(Ambiguous);
                }
                Some(other) if other.issued_at() >= incoming.issued_at() => {}
                _ => found = Some(incoming),
            }
        }
        self.age = found.as_ref().map(|incoming| match incoming.age {
            // a layer has two keys of its current secret
            Age::Fallback if keys.has_fallbacks() => Age::Fallback,
            _ => Age::Current,
        });
        if let (None, Some(reason)) = (&found, foreign) {
            self.events.push(Event::Rejected(reason));
        }
        Ok(found)
    }
}

impl Reason {
    /// Whether the cookie was made with another key or by another program. Such cookies do not
    /// count towards [`MAX_TRIED`].
    fn is_foreign(self) -> bool {
        matches!(self, Self::Garbage | Self::Version | Self::UnknownKey(_))
    }
}
