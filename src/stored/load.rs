//! Loading the session that a request's cookie names.

use super::{
    content::{Ending, Tombstone},
    errors::unreadable,
    found::Found,
    rows::Rows,
    storage::Mode,
};
use crate::{
    clock::Millis,
    error::Error,
    event::{EndReason, Event, Reason},
    expiry::Untimely,
    id::Serial,
    key::Age,
    record::{Head, Record},
    revocation::IN_FLIGHT,
    session::{Arrival, Fate, Incoming, Origin, Previous, RowRef, Stale},
};

/// A cookie that comes so long after its serial was replaced is a copy, or the response with the
/// new one was lost.
const COPIED: Millis = 60_000;

impl Rows<'_> {
    /// Whether the store has to be asked about what the cookies brought.
    pub(crate) fn has_to_load(&self, arrival: &Arrival) -> bool {
        arrival.incoming.as_ref().is_some_and(|incoming| {
            let is_known = incoming.origin != Origin::LegacyUnowned;
            incoming.record.stored || (self.storage.mode == Mode::Store && is_known)
        })
    }

    /// Loads the session that the cookies of a request name that came at `arrived`.
    pub(crate) async fn load(
        &self,
        arrival: Arrival,
        arrived: Option<Millis>,
        events: &mut Vec<Event<'static>>,
    ) -> Result<Arrival, Error> {
        let (Some(now), Some(incoming)) = (arrival.opened, arrival.incoming) else {
            return Ok(Arrival {
                incoming: None,
                ..arrival
            });
        };
        let cookie = incoming.record.head;
        let ticket = incoming.record.stored;
        // boxed, so that neither future has more than a kilobyte, which takes longer to allocate
        let found = Box::pin(self.follow(cookie.family())).await?;
        let family = cookie.family();
        let arrived = arrived.unwrap_or(now);
        let flies = |at| flies(arrived, at);
        let (reason, changes) = match found {
            Found::Absent if !ticket => return Ok(Arrival::new(now, Some(incoming))),
            // the pointer names a row that is gone
            Found::Absent | Found::Moved(_) => (Reason::Gone, Fate::Begin),
            // it may be a tombstone of this cookie
            Found::Unreadable(there) if !ticket && there == family => return Err(unreadable()),
            Found::Unreadable(_) => (Reason::Unreadable, Fate::Unreadable),
            Found::Ended(tombstone) => (Reason::Ended, fate(&tombstone, cookie.id.serial(), flies)),
            Found::Live(record, row) if record.head.id.serial() == cookie.id.serial() => {
                // it may have moved to another family
                let ticket = ticket && record.head.family() == family;
                let row = RowRef { ticket, ..row };
                return Ok(match self.incoming(record, row, now) {
                    Ok(incoming) => Arrival::new(now, Some(incoming)),
                    Err(untimely) => {
                        events.push(Event::Rejected(untimely.into()));
                        Arrival::new(now, None)
                    }
                });
            }
            Found::Live(record, row) => {
                Box::pin(self.outdated(cookie, record, row, arrived, events)).await?
            }
        };
        events.push(Event::Rejected(reason));
        Ok(Arrival {
            stale: Some(Box::new(Stale {
                family,
                changes,
                in_store: true,
            })),
            ..Arrival::new(now, None)
        })
    }

    /// Whether a session is still valid. `None`: the store does not know, so its cookie decides.
    pub(crate) async fn still_valid(
        &self,
        previous: Previous,
        now: Millis,
    ) -> Result<Option<bool>, Error> {
        let head = previous.head;
        Ok(match self.follow(head.family()).await? {
            Found::Live(record, row) => {
                let same = record.head.id.serial() == head.id.serial();
                Some(same && self.incoming(record, row, now).is_ok())
            }
            // the session is still in its cookie
            Found::Absent if previous.row.is_none() => None,
            _ => Some(false),
        })
    }

    /// Whether the store can know more of a session than its cookie.
    pub(crate) fn may_know(&self, previous: Previous) -> bool {
        previous.row.is_some() || self.storage.mode == Mode::Store
    }

    /// The session of a row, if it has not expired.
    pub(super) fn incoming(
        &self,
        mut record: Record,
        row: RowRef,
        now: Millis,
    ) -> Result<Incoming, Untimely> {
        let timeouts = &self.rules.timeouts;
        let times = record.head.times;
        timeouts.check_ticket(times, now)?;
        if now >= row.expires {
            return Err(Untimely::Expired);
        }
        record.head.times = timeouts.as_of(times, row.expires, now);
        Ok(Incoming {
            record,
            age: Age::Current,
            origin: Origin::Row,
            row: Some(Box::new(row)),
        })
    }

    /// Why a cookie with another serial than that of its row is rejected, and what happens to the
    /// changes of its request. Tells of one with a serial that was replaced long ago.
    async fn outdated(
        &self,
        cookie: Head,
        record: Record,
        row: RowRef,
        arrived: Millis,
        events: &mut Vec<Event<'static>>,
    ) -> Result<(Reason, Fate), Error> {
        let replaced = row.replaced.when(cookie.id.serial());
        let is_copy = replaced.is_some_and(|at| {
            cookie.times.issued_at() <= at && arrived >= at.saturating_add(COPIED)
        });
        if is_copy {
            let ends = self.rules.end_on_reuse;
            events.push(Event::Reused {
                session: cookie.id,
                ends,
            });
            if ends {
                self.end_always(record.head, row, arrived, EndReason::Reused)
                    .await?;
            }
        }
        Ok(match replaced {
            Some(at) if flies(arrived, at) => (Reason::Replaced, Fate::Fail),
            // the store lost the row of this ticket, and has an older one
            None if cookie.times.issued_at() >= record.head.times.issued_at() => {
                (Reason::RolledBack, Fate::Begin)
            }
            _ => (Reason::Replaced, Fate::Begin),
        })
    }
}

/// Whether a request may have been in flight at that time.
pub(super) fn flies(arrived: Millis, at: Millis) -> bool {
    arrived < at.saturating_add(IN_FLIGHT)
}

/// What happens to the changes of a request with a cookie of a session that has ended.
fn fate(tombstone: &Tombstone, serial: Serial, flies: impl Fn(Millis) -> bool) -> Fate {
    match tombstone.replaced.when(serial) {
        Some(at) if flies(at) || flies(tombstone.at) => match tombstone.ending {
            Ending::LoggedOut => Fate::Drop,
            Ending::LoggedIn | Ending::Moved => Fate::Fail,
        },
        _ => Fate::Begin,
    }
}
