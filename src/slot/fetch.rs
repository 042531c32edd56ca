//! The first door where a store has to be asked.

use std::sync::Arc;

use super::{
    Slot,
    open::Look,
    rows::{Found, Rows},
    storage::Mode,
};
use crate::{
    clock::Millis,
    error::{Error, ErrorKind},
    event::{Event, Reason},
    expiry::Untimely,
    record::{Head, SessionId},
    session::{Base, Before, Ended, Held, Origin, State},
};

/// So long may a request be in flight that bore a session which has ended: its changes are dropped rather than made a new
/// session of, whose cookie would take the place of the one that came after.
const IN_FLIGHT: Millis = 60_000;

impl Slot {
    /// Opens the session if that takes the store; extractors that race may ask twice, and the first to be answered counts.
    pub(super) async fn open_from(self: &Arc<Self>, rows: Rows<'_>) {
        let mut events = Vec::new();
        let opened = match self.look(&mut events) {
            Ok(look) if rows.are_asked(&look) => {
                Box::pin(self.fetch(rows, look, &mut events)).await
            }
            Ok(look) => self.opened_with(look),
            Err(error) => Err(error),
        };
        if self.opened.set(opened).is_ok() {
            events.into_iter().for_each(Event::emit);
        }
    }

    async fn fetch(
        &self,
        rows: Rows<'_>,
        look: Look,
        events: &mut Vec<Event<'static>>,
    ) -> Result<State, Error> {
        let (Some(now), Some(base)) = (look.now, look.base) else {
            return Ok(State::new(&self.settings.rules, look.now, None));
        };
        let rules = &self.settings.rules;
        let mut ticket = base.record.stored;
        let mut id = base.record.head.id;
        let mut found = rows.find(id).await.map_err(Error::store)?;
        if let Some(Found::Moved(head)) = found {
            (id, ticket) = (head.id, false);
            let there = rows.find(id).await.map_err(Error::store)?;
            found = there.or(Some(Found::Ended(head)));
        }
        let mut reject = |reason| {
            events.push(Event::Rejected(reason));
            State::new(rules, Some(now), None)
        };
        Ok(match found {
            None if ticket => reject(Reason::Gone),
            None => State::new(rules, Some(now), Some(base)),
            Some(Found::Unreadable | Found::Moved(_)) => reject(Reason::Unreadable),
            Some(Found::Ended(successor)) => {
                events.push(Event::Rejected(Reason::Ended));
                State::outliving(rules, now, Ended::new(id, successor, now))
            }
            Some(Found::Live(mut record, held)) => {
                let times = record.head.times;
                if rules.timeouts.check_ticket(times, now).is_err() || now >= held.expires {
                    return Ok(reject(Untimely::Expired.into()));
                }
                record.head.times = rules.timeouts.as_of(times, held.expires, now);
                let held = Held { ticket, ..held };
                let base = Base {
                    record,
                    age: base.age,
                    origin: Origin::Row(held),
                };
                State::new(rules, Some(now), Some(base))
            }
        })
    }

    /// Whether the session is valid now, by the store if it has a say.
    pub(super) async fn still_stored(&self, rows: Rows<'_>, before: Before) -> Result<bool, Error> {
        if before.held.is_none() && rows.storage.mode != Mode::Store {
            return self.stands();
        }
        let now = self.settings.clock.now().ok_or(ErrorKind::Clock)?;
        let timeouts = &self.settings.rules.timeouts;
        let find = async |id| rows.find(id).await.map_err(Error::store);
        let found = match find(before.head.id).await? {
            // it has moved since
            Some(Found::Moved(there)) => find(there.id).await?.or(Some(Found::Ended(there))),
            found => found,
        };
        match found {
            Some(Found::Live(record, held)) => {
                let timely = timeouts.check_ticket(record.head.times, now).is_ok();
                Ok(timely && now < held.expires)
            }
            // it is in its cookie yet
            None if before.held.is_none() => self.stands(),
            _ => Ok(false),
        }
    }
}

impl Rows<'_> {
    /// Whether the store has a say about what a request's cookies brought.
    fn are_asked(&self, look: &Look) -> bool {
        let base = look.base.as_ref();
        base.is_some_and(|base| base.record.stored || self.storage.mode == Mode::Store)
    }
}

impl Ended {
    fn new(id: SessionId, successor: Head, now: Millis) -> Self {
        Self {
            id,
            successor,
            fresh: now.saturating_sub(successor.times.issued_at()) < IN_FLIGHT,
        }
    }
}
