//! The old system's cookie beside ours, or instead of it.

use http::HeaderValue;

use super::{Settings, Slot, open::Ambiguous, settings::Form};
use crate::{
    clock::Millis,
    compat::{Companion, Legacy, Mode, Read},
    entries::Entries,
    error::{Error, ErrorKind},
    event::Event,
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
    ) -> Result<State, Error> {
        let mut late: Option<Base> = None;
        let newer = |base: Base| {
            if late
                .as_ref()
                .is_none_or(|late| late.issued_at() < base.issued_at())
            {
                late = Some(base);
            }
        };
        let valid = match self.find(keys, now, events, newer) {
            Ok(valid) => valid,
            Err(Ambiguous) => return self.opened_with(None, now),
        };
        let legacy = &companion.legacy;
        if let (Mode::Migrate, Some(ours)) = (companion.mode, &valid)
            && ours.origin == Origin::Ours
        {
            return self.opened_with(valid, now);
        }
        let valid_id = valid.as_ref().map(|ours| ours.record.head.id);
        let theirs = self.newest(legacy, now, events);
        let base = match (valid.or(late), theirs) {
            (None, None) => None,
            (None, Some(theirs)) => Some(self.adopt(theirs)?),
            (Some(ours), None) if ours.origin == Origin::Twin => {
                let Some(id) = valid_id else {
                    return self.opened_with(None, now);
                };
                events.push(Event::LegacyLoggedOut(id));
                return Ok(State::after(&self.settings.rules, now, id));
            }
            (Some(ours), None) => Some(Base {
                origin: Origin::Alone,
                ..ours
            }),
            (Some(ours), Some(theirs)) => Some(self.newer_of(ours, theirs, companion)?),
        };
        let timeouts = &self.settings.rules.timeouts;
        let base = base.filter(|base| match timeouts.check(base.record.head.times, now) {
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
        self.opened_with(base, now)
    }

    /// The session of the old system's cookie, which is the only one.
    pub(super) fn find_signed(
        &self,
        legacy: &Legacy,
        now: Millis,
        events: &mut Vec<Event<'static>>,
    ) -> Result<Option<Base>, Error> {
        let Some(read) = self.newest(legacy, now, events) else {
            return Ok(None);
        };
        let rules = &self.settings.rules;
        let head = Head {
            id: rules.draw_id()?,
            times: rules.fresh(read.signed),
        };
        let owner = read.owner.flatten();
        Ok(Some(base(
            head,
            owner.as_deref(),
            &read.entries,
            Origin::Ours,
        )))
    }

    fn newest(
        &self,
        legacy: &Legacy,
        now: Millis,
        events: &mut Vec<Event<'static>>,
    ) -> Option<Read> {
        let headers = self.cookies.iter();
        let values = headers.flat_map(|header| legacy.values(header.as_bytes()));
        legacy.newest(values, now, events)
    }

    /// A session that begins with the old system's cookie.
    fn adopt(&self, theirs: Read) -> Result<Base, Error> {
        let rules = &self.settings.rules;
        let owner = theirs.owner.flatten();
        let head = Head {
            // see `LegacyCookie::owner`
            id: match owner {
                Some(_) => theirs.id,
                None => rules.draw_id()?,
            },
            times: rules.fresh(theirs.signed),
        };
        Ok(base(
            head,
            owner.as_deref(),
            &theirs.entries,
            Origin::Legacy,
        ))
    }

    /// The newer of two cookies that one browser sent. What the old system signed after ours was sealed is the same session,
    /// used there, unless its owner is another.
    fn newer_of(&self, ours: Base, theirs: Read, companion: &Companion) -> Result<Base, Error> {
        let twins = ours.origin == Origin::Twin;
        let sealed = ours.issued_at() / 1000 * 1000;
        let mut head = ours.record.head;
        head.times.issue(theirs.signed);
        let entries = Entries::trusted(&theirs.entries);
        if ours.record.entries() == entries {
            let origin = match (companion.mode, twins) {
                (Mode::Dual, false) => Origin::Legacy,
                _ => ours.origin,
            };
            let mut ours = ours;
            ours.record.head = head;
            return Ok(Base { origin, ..ours });
        }
        // a twin is set along with the old cookie: another one came later
        if theirs.signed < sealed || (theirs.signed == sealed && !twins) {
            return Ok(Base {
                origin: Origin::Alone,
                ..ours
            });
        }
        let owner = theirs.owner.as_ref().map(Option::as_deref);
        match owner.is_none_or(|owner| owner == ours.record.owner()) {
            true => Ok(base(
                head,
                ours.record.owner(),
                &theirs.entries,
                Origin::Legacy,
            )),
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
                let headers = self.cookies.iter();
                let mut borne = headers.flat_map(|header| legacy.values(header.as_bytes()));
                let in_the_way = !companion.same_place && borne.next().is_some();
                Ok(in_the_way.then(|| legacy.template.remove()))
            }
            Mode::Dual if leave => Ok(None),
            Mode::Dual => {
                let max_age = self.settings.max_age(head, now);
                let json = object(state)?;
                let line = legacy.set(&json, head.times.issued_at(), max_age)?;
                Ok(Some(line))
            }
        }
    }

    /// The header that removes the old cookie along with ours.
    pub(super) fn beside_removal(&self, state: &State) -> Option<HeaderValue> {
        let companion = self.companion(state)?;
        (!companion.same_place).then(|| companion.legacy.template.remove())
    }
}

/// The `Set-Cookie` header of a session that is kept in the old system's cookie alone.
pub(super) fn sign(
    settings: &Settings,
    legacy: &Legacy,
    state: &State,
    now: Millis,
) -> Result<(Head, HeaderValue), Error> {
    let (head, owner) = state.begin_anew(&settings.rules, now)?;
    let json = object(state)?;
    let told = state
        .with_entries(|entries| legacy.owner_of(entries))
        .flatten();
    if owner != told {
        return Err(ErrorKind::OwnerNotShared.into());
    }
    Ok((head, legacy.set(&json, now, None)?))
}

fn object(state: &State) -> Result<String, Error> {
    String::from_utf8(state.object()).map_err(|_| ErrorKind::Encoding.into())
}

fn base(head: Head, owner: Option<&str>, entries: &[u8], origin: Origin) -> Base {
    Base {
        record: Record::of(head, owner, Entries::trusted(entries)),
        age: Age::Current,
        origin,
    }
}
