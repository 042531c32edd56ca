//! Loading the session that a request's cookie names.

use super::{
    rows::{Found, Rows},
    storage::Mode,
};
use crate::{
    clock::Millis,
    error::Error,
    event::{Event, Reason},
    expiry::Untimely,
    record::{Head, SessionId},
    session::{Arrival, Incoming, Origin, Previous, RowRef, Tombstone},
};

/// How long a request may be in flight that came with a session that has ended since. Its changes
/// are dropped: a new session with them would replace the cookie of the one that came after.
const IN_FLIGHT: Millis = 60_000;

impl Rows<'_> {
    /// Whether the store has to be asked about what the cookies brought.
    pub(crate) fn has_to_load(&self, arrival: &Arrival) -> bool {
        let incoming = arrival.incoming.as_ref();
        incoming.is_some_and(|incoming| incoming.record.stored || self.storage.mode == Mode::Store)
    }

    /// Loads the session that the cookies name.
    pub(crate) async fn load(
        &self,
        arrival: Arrival,
        events: &mut Vec<Event<'static>>,
    ) -> Result<Arrival, Error> {
        let (Some(now), Some(incoming)) = (arrival.opened, arrival.incoming) else {
            return Ok(Arrival {
                incoming: None,
                ..arrival
            });
        };
        let timeouts = &self.rules.timeouts;
        let mut ticket = incoming.record.stored;
        let mut id = incoming.record.head.id;
        let mut found = self.find(id).await?;
        if let Some(Found::Moved(head)) = found {
            (id, ticket) = (head.id, false);
            found = self.find(id).await?.or(Some(Found::Ended(head)));
        }
        let mut reject = |reason| {
            events.push(Event::Rejected(reason));
            Arrival::new(now, None)
        };
        Ok(match found {
            None if ticket => reject(Reason::Gone),
            None => Arrival::new(now, Some(incoming)),
            Some(Found::Unreadable | Found::Moved(_)) => reject(Reason::Unreadable),
            Some(Found::Ended(successor)) => Arrival {
                tombstone: Some(Box::new(Tombstone::new(id, successor, now))),
                ..reject(Reason::Ended)
            },
            Some(Found::Live(mut record, row)) => {
                let times = record.head.times;
                if timeouts.check_ticket(times, now).is_err() || now >= row.expires {
                    return Ok(reject(Untimely::Expired.into()));
                }
                record.head.times = timeouts.as_of(times, row.expires, now);
                let incoming = Incoming {
                    record,
                    age: incoming.age,
                    origin: Origin::Row(RowRef { ticket, ..row }),
                };
                Arrival::new(now, Some(incoming))
            }
        })
    }

    /// Whether a session is still valid. `None`: the store does not know, so its cookie decides.
    pub(crate) async fn still_valid(
        &self,
        previous: Previous,
        now: Millis,
    ) -> Result<Option<bool>, Error> {
        let found = match self.find(previous.head.id).await? {
            // the session has moved since
            Some(Found::Moved(head)) => self.find(head.id).await?.or(Some(Found::Ended(head))),
            found => found,
        };
        Ok(match found {
            Some(Found::Live(record, row)) => {
                let timely = self.rules.timeouts.check_ticket(record.head.times, now);
                Some(timely.is_ok() && now < row.expires)
            }
            // the session is still in its cookie
            None if previous.row.is_none() => None,
            _ => Some(false),
        })
    }

    /// Whether the store can know more of a session than its cookie.
    pub(crate) fn may_know(&self, previous: Previous) -> bool {
        previous.row.is_some() || self.storage.mode == Mode::Store
    }
}

impl Tombstone {
    fn new(id: SessionId, successor: Head, now: Millis) -> Self {
        Self {
            id,
            successor,
            fresh: now.saturating_sub(successor.times.issued_at()) < IN_FLIGHT,
        }
    }
}
