use super::{Slot, settings::Form};
use crate::{
    clock::Millis,
    cookie::scan,
    error::{Error, ErrorKind},
    event::{Event, Reason},
    expiry::Untimely,
    key::Keys,
    session::{Base, State},
};

/// Of several cookies with our name and a key that we know, so many are tried; whoever sends more is nobody.
const MAX_TRIED: usize = 4;

/// The request bears different sessions, or too many cookies.
pub(super) struct Ambiguous;

impl Slot {
    /// The session, and what there is to tell if this load is the one that counts.
    pub(super) fn load(&self, events: &mut Vec<Event<'static>>) -> Result<State, Error> {
        let rules = &self.settings.rules;
        let Some(now) = self.settings.clock.now() else {
            events.push(Event::Clock);
            return Ok(State::new(rules, None, None));
        };
        let base = match &self.settings.form {
            #[cfg(feature = "starlette")]
            Form::Signed(legacy) => self.find_signed(legacy, now, events)?,
            #[cfg(feature = "starlette")]
            Form::Sealed {
                keys,
                companion: Some(companion),
            } if now < companion.until => {
                return self.load_either(keys, companion, now, events);
            }
            Form::Sealed { keys, .. } => self.find(keys, now, events, |_| {}).unwrap_or(None),
        };
        self.opened_with(base, now)
    }

    pub(super) fn opened_with(&self, base: Option<Base>, now: Millis) -> Result<State, Error> {
        if base.as_ref().is_some_and(|base| base.record.stored) {
            return Err(ErrorKind::Unavailable.into());
        }
        Ok(State::new(&self.settings.rules, Some(now), base))
    }

    /// The one valid session that the request bears. Everything else is an anonymous visitor, and an event; those that have
    /// expired are handed to `expired` as well.
    pub(super) fn find(
        &self,
        keys: &Keys,
        now: Millis,
        events: &mut Vec<Event<'static>>,
        mut expired: impl FnMut(Base),
    ) -> Result<Option<Base>, Ambiguous> {
        let settings = &self.settings;
        let headers = self.cookies.iter();
        let tokens =
            headers.flat_map(|header| scan::values(header.as_bytes(), settings.template.name()));
        let mut found: Option<Base> = None;
        let mut foreign = None;
        let mut tried = [&b""[..]; MAX_TRIED];
        let mut count = 0;
        for token in tokens {
            if tried[..count].contains(&token) {
                continue;
            }
            let unsealed = settings.unseal(keys, token);
            if let Err(reason) = unsealed
                && reason.is_foreign()
            {
                foreign.get_or_insert(reason);
                continue;
            }
            if count == MAX_TRIED {
                events.push(Event::Rejected(Reason::Ambiguous));
                return Err(Ambiguous);
            }
            (tried[count], count) = (token, count + 1);
            let base = match unsealed {
                Ok(base) => base,
                Err(reason) => {
                    events.push(Event::Rejected(reason));
                    continue;
                }
            };
            if let Err(untimely) = settings.rules.timeouts.check(base.record.head.times, now) {
                events.push(Event::Rejected(untimely.into()));
                if untimely == Untimely::Expired {
                    expired(base);
                }
                continue;
            }
            match &found {
                Some(other) if other.record.head.id != base.record.head.id => {
                    events.push(Event::Rejected(Reason::Ambiguous));
                    return Err(Ambiguous);
                }
                Some(other) if other.issued_at() >= base.issued_at() => {}
                _ => found = Some(base),
            }
        }
        if let (None, Some(reason)) = (&found, foreign) {
            events.push(Event::Rejected(reason));
        }
        Ok(found)
    }
}

impl Reason {
    /// Of another key or program: such a cookie does not count.
    fn is_foreign(self) -> bool {
        matches!(self, Self::Garbage | Self::Version | Self::UnknownKey)
    }
}

impl Base {
    pub(super) fn issued_at(&self) -> Millis {
        self.record.head.times.issued_at()
    }
}
