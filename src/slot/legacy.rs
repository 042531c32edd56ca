//! The old system's cookie beside ours, or instead of it.

use http::HeaderValue;

use super::{
    Slot,
    open::{Ambiguous, Look},
    settings::Form,
};
use crate::{
    clock::Millis,
    compat::{Companion, Legacy, Mode, Newest, Read},
    entries::Entries,
    error::Error,
    event::Event,
    expiry::SKEW,
    key::{Age, Keys},
    record::{Head, Record},
    session::{Base, Origin, State},
};

impl Slot {
    /// The session of either cookie.
    pub(super) fn load_either(
        &self,
        keys: &Keys,
        companion: &Companion,
        now: Millis,
        events: &mut Vec<Event<'static>>,
    ) -> Result<Look, Error> {
        let mut late = None;
        let valid = match self.find(keys, now, events, |expired| late = Some(expired)) {
            Ok(valid) => valid,
            Err(Ambiguous) => return Ok(Look::at(now, None)),
        };
        let legacy = &companion.legacy;
        if let (Mode::Migrate, Some(ours)) = (companion.mode, &valid)
            && ours.origin == Origin::Ours
        {
            return Ok(Look::at(now, valid));
        }
        let base = match (valid, self.newest(legacy, now, events)) {
            // while browsers keep it, it is gone by the old system's will alone
            (Some(ours), Newest::Absent)
                if ours.origin == Origin::Twin && now < ours.issued_at() + legacy.life() =>
            {
                let id = ours.record.head.id;
                events.push(Event::LegacyLoggedOut(id));
                return Ok(Look {
                    left: Some(id),
                    ..Look::at(now, None)
                });
            }
            (Some(ours), Newest::Absent) => Some(Base {
                origin: Origin::Alone,
                ..ours
            }),
            (valid, Newest::Absent | Newest::Refused) => valid,
            (Some(ours), Newest::Read(theirs)) => {
                Some(self.newer_of(ours, theirs, companion.mode)?)
            }
            (None, Newest::Read(theirs)) => Some(match late {
                Some(ours) => Base {
                    origin: Origin::Legacy,
                    ..self.newer_of(ours, theirs, companion.mode)?
                },
                None => self.adopt(theirs)?,
            }),
        };
        let timeouts = &self.settings.rules.timeouts;
        let base = base.filter(|base| match timeouts.check(base.record.head.times, now) {
            _ if base.record.stored => true,
            Ok(()) => true,
            Err(untimely) => {
                events.push(Event::LegacyRejected(untimely.into()));
                false
            }
        });
        if base
            .as_ref()
            .is_some_and(|base| base.origin == Origin::Legacy)
        {
            legacy.count_read(events);
        }
        Ok(Look::at(now, base))
    }

    /// The session of the old system's cookie, which is the only one.
    pub(super) fn find_signed(
        &self,
        legacy: &Legacy,
        now: Millis,
        events: &mut Vec<Event<'static>>,
    ) -> Result<Option<Base>, Error> {
        let Newest::Read(read) = self.newest(legacy, now, events) else {
            return Ok(None);
        };
        let rules = &self.settings.rules;
        let head = Head {
            id: rules.draw_id()?,
            times: rules.fresh(read.signed),
        };
        let owner = read.owner.as_deref();
        Ok(Some(base(head, owner, &read.entries, Origin::Shared)))
    }

    fn newest(&self, legacy: &Legacy, now: Millis, events: &mut Vec<Event<'static>>) -> Newest {
        let headers = self.cookies.iter();
        let values = headers.flat_map(|header| legacy.values(header.as_bytes()));
        legacy.newest(values, now, events)
    }

    /// A session that begins with the old system's cookie.
    fn adopt(&self, theirs: Read) -> Result<Base, Error> {
        let rules = &self.settings.rules;
        let owner = theirs.owner.as_deref();
        let head = Head {
            // see `LegacyCookie::owner`
            id: match owner {
                Some(_) => theirs.id,
                None => rules.draw_id()?,
            },
            times: rules.fresh(theirs.signed),
        };
        Ok(base(head, owner, &theirs.entries, Origin::Legacy))
    }

    /// The newer of two cookies that one browser sent. What the old system signed after ours was sealed is the same session,
    /// used there, unless its owner is another.
    fn newer_of(&self, mut ours: Base, theirs: Read, mode: Mode) -> Result<Base, Error> {
        let twins = ours.origin == Origin::Twin;
        let sealed = ours.issued_at() / 1000 * 1000;
        let mut head = ours.record.head;
        head.times.issue(theirs.signed);
        let entries = Entries::trusted(&theirs.entries);
        if ours.record.entries() == entries {
            let origin = match (mode, twins) {
                (Mode::Dual, false) => Origin::Legacy,
                _ => ours.origin,
            };
            ours.record.head = head;
            return Ok(Base { origin, ..ours });
        }
        let newer = match twins {
            // another one than was set along with ours came later, by whatever clock the old system has
            true => theirs.signed + SKEW >= sealed,
            false => theirs.signed > sealed,
        };
        if !newer {
            return Ok(Base {
                origin: Origin::Alone,
                ..ours
            });
        }
        let owner = theirs.owner.as_deref();
        match owner == ours.record.owner() {
            true => Ok(base(head, owner, &theirs.entries, Origin::Legacy)),
            false => self.adopt(theirs),
        }
    }

    /// The old cookie while it counts for this request.
    fn companion(&self, state: &State) -> Option<&Companion> {
        match &self.settings.form {
            Form::Sealed { companion, .. } => {
                let companion = companion.as_ref()?;
                (state.opened()? < companion.until).then_some(companion)
            }
            Form::Signed(_) => None,
        }
    }

    /// The header that sets or removes the old cookie, where ours is set at `now`; none to set where it is to be left as it is.
    pub(super) fn beside(
        &self,
        state: &State,
        head: Head,
        now: Millis,
        leave: bool,
    ) -> Result<Option<HeaderValue>, Error> {
        let Some(companion) = self.companion(state) else {
            return Ok(None);
        };
        let legacy = &companion.legacy;
        match companion.mode {
            Mode::Migrate => {
                let in_the_way = !companion.same_place && self.bears(legacy);
                Ok(in_the_way.then(|| legacy.template.remove()))
            }
            Mode::Dual if leave => Ok(None),
            Mode::Dual => {
                let max_age = self.settings.max_age(head, now);
                let json = state.object()?;
                let line = legacy.set(&json, head.times.issued_at(), max_age)?;
                Ok(Some(line))
            }
        }
    }

    /// The headers that remove both cookies, those last that came: curl keeps its jar as it was if what ends it is the removal
    /// of one that it has not.
    pub(super) fn removals(&self, state: &State) -> [Option<HeaderValue>; 2] {
        let ours = self.settings.template.remove();
        match self.companion(state) {
            Some(Companion {
                legacy,
                same_place: false,
                ..
            }) => {
                let old = legacy.template.remove();
                match self.bears(legacy) {
                    true => [Some(ours), Some(old)],
                    false => [Some(old), Some(ours)],
                }
            }
            _ => [Some(ours), None],
        }
    }

    fn bears(&self, legacy: &Legacy) -> bool {
        let headers = self.cookies.iter();
        let mut values = headers.flat_map(|header| legacy.values(header.as_bytes()));
        values.next().is_some()
    }
}

fn base(head: Head, owner: Option<&str>, entries: &[u8], origin: Origin) -> Base {
    Base {
        record: Record::of(head, owner, Entries::trusted(entries)),
        age: Age::Current,
        origin,
    }
}
