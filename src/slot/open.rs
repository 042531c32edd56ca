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
    pub(super) fn load(&self) -> (Result<State, Error>, Vec<Event<'static>>) {
        let rules = &self.settings.rules;
        let mut events = Vec::new();
        let Some(now) = self.settings.clock.now() else {
            events.push(Event::Clock);
            return (Ok(State::new(rules, None, None)), events);
        };
        let base = self.find(now, &mut events);
        let loaded = match &base {
            Some(base) if base.record.stored => Err(ErrorKind::Unavailable.into()),
            _ => Ok(State::new(rules, Some(now), base)),
        };
        (loaded, events)
    }

    /// The one valid session that the request bears. Everything else is an anonymous visitor, and an event.
    fn find(&self, now: Millis, events: &mut Vec<Event<'static>>) -> Option<Base> {
        let name = self.settings.template.name();
        let headers = self.cookies.as_slice().iter();
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
            match (unsealed, &found) {
                (Ok(base), Some(other)) if other.record.head.id != base.record.head.id => {
                    events.push(Event::Rejected(Reason::Ambiguous));
                    return None;
                }
                (Ok(base), Some(other)) if other.issued_at() >= base.issued_at() => {}
                (Ok(base), _) => found = Some(base),
                (Err(reason), _) => events.push(Event::Rejected(reason)),
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
