use std::sync::Once;

use http::HeaderValue;

use crate::{
    clock::{self, Millis},
    cookie::Template,
    error::Error,
    event::{Event, Reason},
    expiry::Untimely,
    key::Keys,
    record::{Head, Record},
    seal::{self, Sealed, Unsealed},
    session::{Base, Rules, State},
};

/// What a layer's builder settled on, ready for use by every request.
pub(crate) struct Settings {
    pub(crate) keys: Keys,
    pub(crate) template: Template,
    pub(crate) rules: Rules,
    pub(crate) browser_session: bool,
    pub(crate) clock: clock::Source,
    pub(crate) random: fn(&mut [u8]) -> Result<(), Error>,
    /// Tells once that the layer is ignored.
    pub(crate) nested: Once,
}

impl Settings {
    /// Whether two layers would do the same.
    pub(super) fn agree(&self, other: &Self) -> bool {
        self.keys.ids().eq(other.keys.ids())
            && self.template == other.template
            && self.rules.timeouts == other.rules.timeouts
            && self.browser_session == other.browser_session
    }

    pub(super) fn tell_nested(&self) {
        let cookie = self.template.name();
        self.nested.call_once(|| Event::Nested { cookie }.emit());
    }

    /// The session's record as a token's bytes.
    pub(crate) fn seal(&self, state: &State, now: Millis) -> Result<(Head, Sealed), Error> {
        let mut random = [0; seal::RANDOM_LEN];
        (self.random)(&mut random)?;
        let (head, bytes) = state.encode(&self.rules, now, seal::HEADROOM, seal::TAG_LEN)?;
        let sealed = seal::seal(self.keys.current(), b"", &random, bytes);
        Ok((head, sealed))
    }

    /// The session that a token holds, if it is valid now.
    // together with `Record::parse`: else the record is copied from room to room
    #[inline]
    pub(super) fn unseal(&self, token: &[u8], now: Millis) -> Result<Base, Reason> {
        if token.len() > self.template.max_value() {
            return Err(Reason::Garbage);
        }
        let opened = seal::open(&self.keys, b"", token)?;
        let plaintext = opened.plaintext();
        let record = Record::parse(opened.bytes, plaintext).map_err(|_| Reason::Malformed)?;
        self.rules.timeouts.check(record.head.times, now)?;
        Ok(Base {
            record,
            age: opened.age,
        })
    }

    pub(super) fn set_cookie(&self, head: Head, bytes: &[u8], now: Millis) -> HeaderValue {
        let lasts = !self.browser_session || head.times.remembered;
        let max_age = lasts.then(|| self.rules.timeouts.max_age(head.times, now));
        let write = |out: &mut Vec<u8>| seal::append_text(bytes, out);
        self.template
            .set(seal::text_len(bytes.len()), write, max_age)
    }
}

impl From<Unsealed> for Reason {
    fn from(unsealed: Unsealed) -> Self {
        match unsealed {
            Unsealed::Garbage => Self::Garbage,
            Unsealed::Version => Self::Version,
            Unsealed::UnknownKey => Self::UnknownKey,
            Unsealed::Forged => Self::Forged,
        }
    }
}

impl From<Untimely> for Reason {
    fn from(untimely: Untimely) -> Self {
        match untimely {
            Untimely::Expired => Self::Expired,
            Untimely::Future => Self::Future,
        }
    }
}
