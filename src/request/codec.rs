//! The session cookie: its value is opened to a session, and a session is sealed to `Set-Cookie`.

use std::sync::Arc;

use http::HeaderValue;

use crate::{
    clock::Millis,
    compat::Legacy,
    cookie::Template,
    error::{Error, ErrorKind},
    event::Reason,
    expiry::Untimely,
    key::{Age, Key, KeyId, Keys, Purpose},
    metrics::Metric,
    record::{self, Head, Record},
    seal::{self, Sealed},
    session::{Incoming, Origin, Rules, State},
};

/// The session cookie of a layer.
#[derive(Clone)]
pub(crate) struct Codec {
    /// Name and attributes.
    pub(crate) template: Template,
    /// Whether the cookie has no `Max-Age`, unless the session is remembered.
    pub(crate) browser_session: bool,
    pub(crate) value: Value,
}

/// What [`Codec::examine`] finds in a value.
pub(crate) struct Opened {
    /// The id of the key that the value names, and the key's age if it is on the ring.
    pub(crate) key: Option<(KeyId, Option<Age>)>,
    pub(crate) result: Result<Incoming, Reason>,
}

/// The format of the cookie's value.
#[derive(Clone)]
pub(crate) enum Value {
    /// A token that these keys seal.
    Sealed {
        keys: Keys,
        /// Before this time, a legacy cookie is set together with ours.
        paired_until: Option<Millis>,
    },
    /// The legacy format, signed but not encrypted.
    Signed(Arc<Legacy>),
}

impl Codec {
    pub(crate) fn name(&self) -> &str {
        self.template.name()
    }

    /// Opens a token. This does not check its times.
    #[inline(always)] // as `Record::parse` is, otherwise the record is copied several times
    pub(super) fn open(&self, keys: &Keys, token: &[u8]) -> Result<Incoming, Reason> {
        if token.len() > self.template.max_value() {
            return Err(Reason::Garbage);
        }
        let opened = seal::open(keys, b"", token)?;
        let plaintext = opened.plaintext();
        let record = Record::parse(opened.bytes, plaintext).map_err(|_| Reason::Malformed)?;
        Ok(Incoming {
            record,
            age: opened.age,
            origin: match opened.purpose {
                Purpose::PAIRED => Origin::Paired,
                _ => Origin::Ours,
            },
            row: None,
        })
    }

    /// What a value is: the key that it names, and what opening it gives. This is not for requests.
    pub(crate) fn examine(&self, value: &[u8]) -> Opened {
        let Value::Sealed { keys, .. } = &self.value else {
            return Opened {
                key: None,
                result: Err(Reason::Garbage),
            };
        };
        let key = seal::key_id(value).map(|id| {
            let age = keys.by_id(id).next().map(|(age, _)| age);
            (id, age)
        });
        let result = self.open(keys, value);
        Opened { key, result }
    }

    /// The `Set-Cookie` header with the session. `used` is sealed as the time of the last use.
    /// `Max-Age` counts from `now`.
    pub(crate) fn set(
        &self,
        rules: &Rules,
        state: &State,
        used: Millis,
        now: Millis,
    ) -> Result<(Head, HeaderValue), Error> {
        let keys = match &self.value {
            Value::Sealed { keys, .. } => keys,
            Value::Signed(legacy) => return sign(legacy, rules, state, now),
        };
        let random = rules.draw_hedge()?;
        let (head, bytes) = state.encode(rules, used, seal::HEADROOM, seal::TAG_LEN)?;
        let sealed = seal::seal(self.key(keys, state.opened()), b"", &random, bytes);
        let max_age = self.max_age(rules, head, now);
        Ok((head, self.set_token(rules, &sealed, max_age)))
    }

    /// The `Set-Cookie` header with a ticket. Its `Max-Age` is the longest life that the session
    /// can have.
    pub(super) fn set_ticket(
        &self,
        rules: &Rules,
        opened: Option<Millis>,
        head: Head,
        now: Millis,
    ) -> Result<HeaderValue, Error> {
        let Value::Sealed { keys, .. } = &self.value else {
            return Err(ErrorKind::Unavailable.into());
        };
        let random = rules.draw_hedge()?;
        let bytes = record::encode_ticket(head, seal::HEADROOM, seal::TAG_LEN);
        let sealed = seal::seal(self.key(keys, opened), b"", &random, bytes);
        let max_age = self
            .is_kept(head)
            .then(|| rules.timeouts.max_age_of_ticket(head.times, now));
        Ok(self.set_token(rules, &sealed, max_age))
    }

    /// The cookie's `Max-Age` in seconds. `None`: the browser drops the cookie when it closes.
    pub(super) fn max_age(&self, rules: &Rules, head: Head, now: Millis) -> Option<u64> {
        self.is_kept(head)
            .then(|| rules.timeouts.max_age(head.times, now))
    }

    /// Whether two layers use the same cookie and keys.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        let (Value::Sealed { keys, .. }, Value::Sealed { keys: others, .. }) =
            (&self.value, &other.value)
        else {
            return false;
        };
        keys.ids().eq(others.ids())
            && self.template == other.template
            && self.browser_session == other.browser_session
    }

    /// The id of the key that seals new cookies.
    pub(super) fn current_key(&self) -> Option<KeyId> {
        match &self.value {
            Value::Sealed { keys, .. } => Some(keys.current().id),
            Value::Signed(_) => None,
        }
    }

    fn set_token(&self, rules: &Rules, sealed: &Sealed, max_age: Option<u64>) -> HeaderValue {
        let write = |out: &mut Vec<u8>| seal::append_text(sealed, out);
        let len = seal::text_len(sealed.len());
        let size = self.name().len() + len;
        rules.metrics.sample(Metric::CookieBytes, size as f64);
        self.template.set(len, write, max_age)
    }

    /// Whether browsers keep the cookie when they close.
    fn is_kept(&self, head: Head) -> bool {
        !self.browser_session || head.times.remembered
    }

    /// The key that seals the cookie of a session that was opened at `opened`.
    fn key<'a>(&self, keys: &'a Keys, opened: Option<Millis>) -> &'a Key {
        let Value::Sealed {
            paired_until: Some(until),
            ..
        } = self.value
        else {
            return keys.current();
        };
        let unpaired = opened.is_none_or(|opened| until <= opened);
        let key = unpaired.then(|| keys.newest(Purpose::COOKIE)).flatten();
        key.unwrap_or(keys.current())
    }
}

/// The `Set-Cookie` header of a session in the legacy format.
fn sign(
    legacy: &Legacy,
    rules: &Rules,
    state: &State,
    now: Millis,
) -> Result<(Head, HeaderValue), Error> {
    let (head, login) = state.begin(rules, now)?;
    if login.is_some() && login != state.with_entries(|entries| legacy.owner_of(entries)) {
        return Err(ErrorKind::OwnerNotShared.into());
    }
    Ok((head, legacy.set(&state.object()?, now, Some(u64::MAX))?))
}

impl From<Untimely> for Reason {
    fn from(untimely: Untimely) -> Self {
        match untimely {
            Untimely::Expired => Self::Expired,
            Untimely::Future => Self::Future,
        }
    }
}
