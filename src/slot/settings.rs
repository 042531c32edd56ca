#[cfg(any(feature = "starlette", feature = "store"))]
use std::sync::Arc;
use std::sync::Once;

use http::HeaderValue;

#[cfg(feature = "store")]
use super::{
    storage::{Mode, Storage},
    vault::Vault,
};
#[cfg(feature = "starlette")]
use crate::error::ErrorKind;
use crate::{
    clock::{self, Millis},
    cookie::Template,
    error::Error,
    event::{Event, Reason},
    expiry::Untimely,
    key::{Key, Keys},
    record::{Head, Record},
    seal::{self, Sealed, Unsealed},
    session::{Base, Origin, Rules, State},
};
#[cfg(feature = "starlette")]
use crate::{
    compat::{Companion, Legacy},
    key::Purpose,
};
#[cfg(feature = "store")]
use crate::{cookie::MAX_PAIR, record, session::Measure, store};

/// What a layer's builder settled on, ready for use by every request.
pub(crate) struct Settings {
    pub(crate) form: Form,
    pub(crate) template: Template,
    pub(crate) rules: Rules,
    pub(crate) browser_session: bool,
    pub(crate) clock: clock::Source,
    pub(crate) random: fn(&mut [u8]) -> Result<(), Error>,
    /// Tells once that the layer is ignored.
    pub(crate) nested: Once,
}

/// What the cookie's value is.
#[derive(Clone)]
pub(crate) enum Form {
    /// A token of these keys; maybe with the old system's cookie beside it.
    Sealed {
        keys: Keys,
        #[cfg(feature = "starlette")]
        companion: Option<Companion>,
        #[cfg(feature = "store")]
        vault: Arc<Vault>,
        #[cfg(feature = "store")]
        storage: Option<Storage>,
    },
    /// The old system's value.
    #[cfg(feature = "starlette")]
    Signed(Arc<Legacy>),
}

impl Form {
    #[cfg(test)]
    pub(super) fn keys(&self) -> &Keys {
        match self {
            Self::Sealed { keys, .. } => keys,
            #[cfg(feature = "starlette")]
            Self::Signed(_) => unreachable!("the test is of sealed cookies"),
        }
    }

    #[cfg(feature = "store")]
    fn mode(&self) -> Option<Mode> {
        match self {
            Self::Sealed { storage, .. } => Some(storage.as_ref()?.mode),
            #[cfg(feature = "starlette")]
            Self::Signed(_) => None,
        }
    }

    fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sealed { keys, .. }, Self::Sealed { keys: others, .. }) => {
                #[cfg(feature = "store")]
                if self.mode() != other.mode() {
                    return false;
                }
                keys.ids().eq(others.ids())
            }
            #[cfg(feature = "starlette")]
            _ => false,
        }
    }
}

#[cfg(feature = "store")]
impl Settings {
    /// The same with a store.
    pub(crate) fn with_storage(&self, with: Storage) -> Self {
        let mut form = self.form.clone();
        match &mut form {
            Form::Sealed { storage, .. } => *storage = Some(with.clone()),
            #[cfg(feature = "starlette")]
            Form::Signed(_) => unreachable!("such a layer takes no store"),
        }
        let mut rules = self.rules.clone();
        rules.replays = true;
        match with.mode {
            Mode::Store | Mode::Overflow => {
                (rules.measure, rules.limit) = (Measure::Stored, store::MAX_BYTES);
            }
            Mode::ReadFrom => {}
        }
        Self {
            form,
            template: self.template.clone(),
            rules,
            browser_session: self.browser_session,
            clock: self.clock.clone(),
            random: self.random,
            nested: Once::new(),
        }
    }

    pub(crate) fn storage(&self) -> Option<(&Vault, &Storage)> {
        match &self.form {
            Form::Sealed { vault, storage, .. } => Some((vault, storage.as_ref()?)),
            #[cfg(feature = "starlette")]
            Form::Signed(_) => None,
        }
    }

    pub(super) fn name_len(&self) -> usize {
        self.template.name().len()
    }

    /// Whether a session whose cookie would have that length goes into one. What is in the store comes back when it takes half
    /// the room, so that it does not go to and fro.
    pub(super) fn fits(&self, cookie_len: usize, in_store: bool) -> bool {
        cookie_len <= if in_store { MAX_PAIR / 2 } else { MAX_PAIR }
    }

    /// The `Set-Cookie` header of a ticket, which lives as long as its session may.
    pub(super) fn ticket(
        &self,
        state: &State,
        head: Head,
        now: Millis,
    ) -> Result<HeaderValue, Error> {
        let keys = match &self.form {
            Form::Sealed { keys, .. } => keys,
            #[cfg(feature = "starlette")]
            Form::Signed(_) => return Err(ErrorKind::Unavailable.into()),
        };
        let random = self.draw()?;
        let buffer = record::encode_ticket(head, seal::HEADROOM, seal::TAG_LEN);
        let bytes = seal::seal(self.sealing(keys, state), b"", &random, buffer);
        let write = |out: &mut Vec<u8>| seal::append_text(&bytes, out);
        let lasts = !self.browser_session || head.times.remembered;
        let max_age = lasts.then(|| self.rules.timeouts.max_age_of_ticket(head.times, now));
        Ok(self
            .template
            .set(seal::text_len(bytes.len()), write, max_age))
    }
}

impl Settings {
    /// Whether two layers would do the same.
    pub(super) fn agree(&self, other: &Self) -> bool {
        self.form.agrees(&other.form)
            && self.template == other.template
            && self.rules.timeouts == other.rules.timeouts
            && self.browser_session == other.browser_session
    }

    pub(super) fn tell_nested(&self) {
        let cookie = self.template.name();
        self.nested.call_once(|| Event::Nested { cookie }.emit());
    }

    /// The session's record as a token's bytes.
    pub(crate) fn seal(
        &self,
        keys: &Keys,
        state: &State,
        now: Millis,
    ) -> Result<(Head, Sealed), Error> {
        let random = self.draw()?;
        let (head, bytes) = state.encode(&self.rules, now, seal::HEADROOM, seal::TAG_LEN)?;
        let sealed = seal::seal(self.sealing(keys, state), b"", &random, bytes);
        Ok((head, sealed))
    }

    /// What a seal takes.
    pub(super) fn draw(&self) -> Result<[u8; seal::RANDOM_LEN], Error> {
        let mut random = [0; seal::RANDOM_LEN];
        (self.random)(&mut random)?;
        Ok(random)
    }

    /// The key that seals.
    fn sealing<'a>(&self, keys: &'a Keys, state: &State) -> &'a Key {
        #[cfg(feature = "starlette")]
        if let Form::Sealed {
            companion: Some(companion),
            ..
        } = &self.form
            && state
                .opened()
                .is_none_or(|opened| companion.until <= opened)
            && let Some(key) = keys.newest(Purpose::COOKIE)
        {
            // the old system's cookie is no longer set beside it
            return key;
        }
        #[cfg(not(feature = "starlette"))]
        let _ = state;
        keys.current()
    }

    /// The `Set-Cookie` header of a session used at `used`; the browser counts from `now` on.
    pub(crate) fn set_cookie(
        &self,
        state: &State,
        used: Millis,
        now: Millis,
    ) -> Result<(Head, HeaderValue), Error> {
        match &self.form {
            Form::Sealed { keys, .. } => {
                let (head, bytes) = self.seal(keys, state, used)?;
                let write = |out: &mut Vec<u8>| seal::append_text(&bytes, out);
                let len = seal::text_len(bytes.len());
                let max_age = self.max_age(head, now);
                Ok((head, self.template.set(len, write, max_age)))
            }
            #[cfg(feature = "starlette")]
            Form::Signed(legacy) => self.sign(legacy, state, now),
        }
    }

    /// The same, kept in the old system's cookie alone.
    #[cfg(feature = "starlette")]
    fn sign(
        &self,
        legacy: &Legacy,
        state: &State,
        now: Millis,
    ) -> Result<(Head, HeaderValue), Error> {
        let (head, login) = state.begin_anew(&self.rules, now)?;
        if login.is_some() && login != state.with_entries(|entries| legacy.owner_of(entries)) {
            return Err(ErrorKind::OwnerNotShared.into());
        }
        Ok((head, legacy.set(&state.object()?, now, Some(u64::MAX))?))
    }

    /// How long browsers are to keep the cookie, in seconds; `None`: until they close.
    pub(super) fn max_age(&self, head: Head, now: Millis) -> Option<u64> {
        let lasts = !self.browser_session || head.times.remembered;
        lasts.then(|| self.rules.timeouts.max_age(head.times, now))
    }

    /// The session that a token holds; whether it is valid now is not asked.
    // together with `Record::parse`: else the record is copied from room to room
    #[inline]
    pub(super) fn unseal(&self, keys: &Keys, token: &[u8]) -> Result<Base, Reason> {
        if token.len() > self.template.max_value() {
            return Err(Reason::Garbage);
        }
        let opened = seal::open(keys, b"", token)?;
        let plaintext = opened.plaintext();
        let record = Record::parse(opened.bytes, plaintext).map_err(|_| Reason::Malformed)?;
        Ok(Base {
            record,
            age: opened.age,
            #[cfg(not(feature = "starlette"))]
            origin: Origin::Ours,
            #[cfg(feature = "starlette")]
            origin: match opened.purpose {
                Purpose::TWIN => Origin::Twin,
                _ => Origin::Ours,
            },
        })
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
