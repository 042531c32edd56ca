//! The legacy cookie beside ours, or instead of it.

use http::HeaderValue;

use super::{
    commit::Commit,
    open::{Ambiguous, Reader},
};
use crate::{
    clock::Millis,
    compat::{Companion, Legacy, Mode, Newest, Read},
    entries::Entries,
    error::Error,
    event::Event,
    expiry::SKEW,
    key::Age,
    record::{Head, Record},
    session::{Arrival, Incoming, Origin},
};

impl Reader<'_> {
    /// The session of our cookie or of the legacy cookie.
    pub(super) fn read_either(
        &mut self,
        found: Result<Option<Incoming>, Ambiguous>,
        companion: &Companion,
        now: Millis,
    ) -> Result<Arrival, Error> {
        let valid = match found {
            Ok(valid) => valid,
            Err(Ambiguous) => return Ok(Arrival::new(now, None)),
        };
        let legacy = &companion.legacy;
        if let (Mode::Migrate, Some(ours)) = (companion.mode, &valid)
            && ours.origin == Origin::Ours
        {
            return Ok(Arrival::new(now, valid));
        }
        let incoming = match (valid, self.newest(legacy, now)) {
            // the browser would still keep the legacy cookie if the legacy app had not removed it
            (Some(ours), Newest::Absent)
                if ours.origin == Origin::Paired && now < ours.issued_at() + legacy.life() =>
            {
                let head = ours.record.head;
                self.events.push(Event::LegacyLoggedOut(head.id));
                return Ok(Arrival {
                    legacy_logout: Some(head.family()),
                    ..Arrival::new(now, None)
                });
            }
            (Some(ours), Newest::Absent) => Some(Incoming {
                origin: Origin::Unpaired,
                ..ours
            }),
            (valid, Newest::Absent | Newest::Refused) => valid,
            (Some(ours), Newest::Read(theirs)) => {
                Some(self.newer_of(ours, theirs, companion.mode)?)
            }
            (None, Newest::Read(theirs)) => Some(match self.expired.take() {
                Some(ours) => {
                    let newer = self.newer_of(ours, theirs, companion.mode)?;
                    let origin = match newer.origin {
                        Origin::LegacyUnowned => Origin::LegacyUnowned,
                        _ => Origin::Legacy,
                    };
                    Incoming { origin, ..newer }
                }
                None => self.adopt(theirs)?,
            }),
        };
        let timeouts = &self.config.rules.timeouts;
        let incoming =
            incoming.filter(
                |incoming| match timeouts.check(incoming.record.head.times, now) {
                    _ if incoming.record.stored => true,
                    Ok(()) => true,
                    Err(untimely) => {
                        self.events.push(Event::LegacyRejected(untimely.into()));
                        false
                    }
                },
            );
        if incoming
            .as_ref()
            .is_some_and(|incoming| incoming.origin.is_legacy())
        {
            legacy.count_read(&mut self.events);
        }
        Ok(Arrival::new(now, incoming))
    }

    /// The session of the legacy cookie, if the layer has no cookie of its own.
    pub(super) fn read_signed(&mut self, legacy: &Legacy, now: Millis) -> Result<Arrival, Error> {
        let Newest::Read(read) = self.newest(legacy, now) else {
            return Ok(Arrival::new(now, None));
        };
        let rules = &self.config.rules;
        let head = Head {
            id: rules.draw_id()?,
            times: rules.new_times(read.signed),
        };
        let owner = read.owner.as_deref();
        let incoming = incoming(head, owner, &read.entries, Origin::Shared);
        Ok(Arrival::new(now, Some(incoming)))
    }

    fn newest(&mut self, legacy: &Legacy, now: Millis) -> Newest {
        let headers = self.cookies.iter();
        let values = headers.flat_map(|header| legacy.values(header.as_bytes()));
        legacy.newest(values, now, &mut self.events)
    }

    /// A session that begins with the legacy cookie.
    fn adopt(&self, theirs: Read) -> Result<Incoming, Error> {
        let rules = &self.config.rules;
        let owner = theirs.owner.as_deref();
        // see `LegacyCookie::owner`
        let (id, origin) = match owner {
            Some(_) => (theirs.id, Origin::Legacy),
            None => (rules.draw_id()?, Origin::LegacyUnowned),
        };
        let times = rules.new_times(theirs.signed);
        Ok(incoming(Head { id, times }, owner, &theirs.entries, origin))
    }

    /// The newer of our cookie and the legacy cookie. If the legacy app signed its cookie after
    /// ours was sealed, its content is the newer state of the same session, unless the owner
    /// differs.
    fn newer_of(&self, mut ours: Incoming, theirs: Read, mode: Mode) -> Result<Incoming, Error> {
        let paired = ours.origin == Origin::Paired;
        let sealed = ours.issued_at() / 1000 * 1000;
        let mut head = ours.record.head;
        head.times.issue(theirs.signed);
        let entries = Entries::trusted(&theirs.entries);
        if ours.record.entries() == entries {
            let origin = match (mode, paired) {
                (Mode::Dual, false) => Origin::Legacy,
                _ => ours.origin,
            };
            ours.record.head = head;
            return Ok(Incoming { origin, ..ours });
        }
        let newer = match paired {
            // it differs from the one that was set with ours, so it was signed later; its clock may
            // be behind
            true => theirs.signed + SKEW >= sealed,
            false => theirs.signed > sealed,
        };
        if !newer {
            return Ok(Incoming {
                origin: Origin::Unpaired,
                ..ours
            });
        }
        let owner = theirs.owner.as_deref();
        match owner == ours.record.owner() {
            true => Ok(incoming(head, owner, &theirs.entries, Origin::Legacy)),
            false => self.adopt(theirs),
        }
    }
}

impl Commit<'_> {
    /// The header that sets or removes the legacy cookie when ours is set at `now`. With `keep`,
    /// the legacy cookie is up to date and is not set again.
    pub(super) fn legacy_line(
        &self,
        head: Head,
        now: Millis,
        keep: bool,
    ) -> Result<Option<HeaderValue>, Error> {
        let Some(companion) = self.companion() else {
            return Ok(self.old_id_removal());
        };
        let legacy = &companion.legacy;
        match companion.mode {
            Mode::Migrate => {
                let remains = !companion.same_place && self.has_legacy_cookie(legacy);
                Ok(remains.then(|| legacy.template.remove()))
            }
            Mode::Dual if keep => Ok(None),
            Mode::Dual => {
                let max_age = self.config.codec.max_age(&self.config.rules, head, now);
                let json = self.state.object()?;
                let line = legacy.set(&json, head.times.issued_at(), max_age)?;
                Ok(Some(line))
            }
        }
    }

    /// The headers that remove both cookies. If the request has the legacy cookie, it is removed
    /// last, otherwise ours is: curl does not save its cookie file if the last `Set-Cookie` removes
    /// a cookie that curl does not have.
    pub(super) fn removals(&self) -> [Option<HeaderValue>; 2] {
        let ours = self.config.codec.template.remove();
        match self.companion() {
            Some(Companion {
                legacy,
                same_place: false,
                ..
            }) => {
                let old = legacy.template.remove();
                match self.has_legacy_cookie(legacy) {
                    true => [Some(ours), Some(old)],
                    false => [Some(old), Some(ours)],
                }
            }
            _ => [Some(ours), self.old_id_removal()],
        }
    }

    /// The header that removes the cookie of an old system, if the request has it.
    fn old_id_removal(&self) -> Option<HeaderValue> {
        let old = self.config.old_ids.as_ref()?;
        let mut sent = self.cookies.values(old.name());
        let used = self.state.opened()? < old.until;
        (used && sent.next().is_some()).then(|| old.template.remove())
    }

    /// The legacy cookie, if it is still used for this request.
    fn companion(&self) -> Option<&Companion> {
        let companion = self.config.companion.as_ref()?;
        (self.state.opened()? < companion.until).then_some(companion)
    }

    fn has_legacy_cookie(&self, legacy: &Legacy) -> bool {
        let headers = self.cookies.iter();
        let mut values = headers.flat_map(|header| legacy.values(header.as_bytes()));
        values.next().is_some()
    }
}

fn incoming(head: Head, owner: Option<&str>, entries: &[u8], origin: Origin) -> Incoming {
    Incoming {
        record: Record::of(head, owner, Entries::trusted(entries)),
        age: Age::Current,
        origin,
        row: None,
    }
}
