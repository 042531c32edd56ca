use super::Slot;
use crate::{
    clock::Millis,
    cookie::scan,
    error::{Error, ErrorKind},
    event::{Event, Reason},
    session::{Base, State},
};

/// Of several cookies with our name and a key that we know, so many are tried; whoever sends more is nobody.
const MAX_TRIED: usize = 4;

impl Slot {
    /// The session, and what there is to tell if this load is the one that counts.
    pub(super) fn load(&self, events: &mut Vec<Event<'static>>) -> Result<State, Error> {
        let rules = &self.settings.rules;
        let Some(now) = self.settings.clock.now() else {
            events.push(Event::Clock);
            return Ok(State::new(rules, None, None));
        };
        let base = self.find(now, events);
        if base.as_ref().is_some_and(|base| base.record.stored) {
            return Err(ErrorKind::Unavailable.into());
        }
        Ok(State::new(rules, Some(now), base))
    }

    /// The one valid session that the request bears. Everything else is an anonymous visitor, and an event.
    fn find(&self, now: Millis, events: &mut Vec<Event<'static>>) -> Option<Base> {
        let name = self.settings.template.name();
        let headers = self.cookies.iter();
        let tokens = headers.flat_map(|header| scan::values(header.as_bytes(), name));
        let mut found: Option<Base> = None;
        let mut foreign = None;
        let mut tried = [&b""[..]; MAX_TRIED];
        let mut count = 0;
        for token in tokens {
            if tried[..count].contains(&token) {
                continue;
            }
            let unsealed = self.settings.unseal(token, now);
            if let Err(reason) = unsealed
                && reason.is_foreign()
            {
                foreign.get_or_insert(reason);
                continue;
            }
            if count == MAX_TRIED {
                events.push(Event::Rejected(Reason::Ambiguous));
                return None;
            }
            (tried[count], count) = (token, count + 1);
            let base = match unsealed {
                Ok(base) => base,
                Err(reason) => {
                    events.push(Event::Rejected(reason));
                    continue;
                }
            };
            match &found {
                Some(other) if other.record.head.id != base.record.head.id => {
                    events.push(Event::Rejected(Reason::Ambiguous));
                    return None;
                }
                Some(other) if other.issued_at() >= base.issued_at() => {}
                _ => found = Some(base),
            }
        }
        if let (None, Some(reason)) = (&found, foreign) {
            events.push(Event::Rejected(reason));
        }
        found
    }
}

impl Reason {
    /// Of another key or program: such a cookie does not count.
    fn is_foreign(self) -> bool {
        matches!(self, Self::Garbage | Self::Version | Self::UnknownKey)
    }
}

impl Base {
    fn issued_at(&self) -> Millis {
        self.record.head.times.issued_at()
    }
}
