use super::{Slot, settings::Form};
#[cfg(feature = "starlette")]
use crate::record::SessionId;
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

/// What a request's cookies say.
#[derive(Default)]
pub(super) struct Look {
    /// `None` before 1970.
    pub(super) now: Option<Millis>,
    pub(super) base: Option<Base>,
    /// The session that the old system ended.
    #[cfg(feature = "starlette")]
    pub(super) left: Option<SessionId>,
}

impl Look {
    pub(super) fn at(now: Millis, base: Option<Base>) -> Self {
        Self {
            now: Some(now),
            base,
            #[cfg(feature = "starlette")]
            left: None,
        }
    }
}

/// The request bears different sessions, or too many cookies.
pub(super) struct Ambiguous;

impl Slot {
    /// The session, where no store has to be asked, and what there is to tell if this load is the one that counts.
    pub(super) fn load(&self, events: &mut Vec<Event<'static>>) -> Result<State, Error> {
        let look = self.look(events)?;
        self.opened_with(look)
    }

    /// What the request's cookies say.
    pub(super) fn look(&self, events: &mut Vec<Event<'static>>) -> Result<Look, Error> {
        let Some(now) = self.settings.clock.now() else {
            events.push(Event::Clock);
            return Ok(Look::default());
        };
        let base = match &self.settings.form {
            #[cfg(feature = "starlette")]
            Form::Signed(legacy) => self.find_signed(legacy, now, events)?,
            #[cfg(feature = "starlette")]
            Form::Sealed {
                keys,
                companion: Some(companion),
                ..
            } if now < companion.until => {
                return self.load_either(keys, companion, now, events);
            }
            Form::Sealed { keys, .. } => self.find(keys, now, events, |_| {}).unwrap_or(None),
        };
        Ok(Look::at(now, base))
    }

    pub(super) fn opened_with(&self, look: Look) -> Result<State, Error> {
        let rules = &self.settings.rules;
        #[cfg(feature = "starlette")]
        if let (Some(now), Some(left)) = (look.now, look.left) {
            return Ok(State::after(rules, now, left));
        }
        if look.base.as_ref().is_some_and(|base| base.record.stored) {
            return Err(ErrorKind::Unavailable.into());
        }
        Ok(State::new(rules, look.now, look.base))
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
            let times = base.record.head.times;
            let timely = match base.record.stored {
                // the rest is for its row to say
                true => settings.rules.timeouts.check_ticket(times, now),
                false => settings.rules.timeouts.check(times, now),
            };
            if let Err(untimely) = timely {
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
