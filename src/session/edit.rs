//! The changes that handlers make to a session, under its lock. No code of the user that could
//! reach the session runs here.

use std::time::Duration;

use super::{
    changes::{Locked, Phase, entries_of},
    journal::Journal,
    rules::Rules,
    state::State,
};
use crate::{
    entries::{Edited, Entries, Merge},
    error::{Error, ErrorKind},
};

/// Why a change was refused.
pub(super) enum Refused {
    Sent,
    Failed(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ErrorKind> for Refused {
    fn from(kind: ErrorKind) -> Self {
        Self::Failed(kind.into())
    }
}

impl State {
    /// The session, if it can still change.
    #[inline]
    pub(super) fn edit(&self) -> Result<Locked<'_>, Refused> {
        let session = self.lock();
        match session.changes.phase {
            Phase::Open => Ok(session),
            Phase::Sent => Err(Refused::Sent),
        }
    }

    pub(super) fn log_in(&self, rules: &Rules, owner: &str) -> Result<(), Refused> {
        if owner.is_empty() || owner.len() > 255 {
            return Err(ErrorKind::InvalidOwner.into());
        }
        let mut session = self.edit()?;
        let times = rules.new_times(self.opened().ok_or(ErrorKind::Clock)?);
        let in_store = session.is_in_store();
        let keeps = session.owner().is_none_or(|current| current == owner);
        let entries = match keeps {
            true => session.entries(),
            false => Entries::default(),
        };
        rules.limits.check(
            in_store,
            Some(owner.len()),
            entries.as_bytes().len(),
            || entries.sizes(),
        )?;
        if !keeps {
            session.changes.set_entries(Vec::new());
            session.log(rules, Journal::clear);
        } else if !session.changes.logged_out()
            && let Some(before) = self.ended_by_login(rules, owner)
        {
            session.carry(rules, before.entries(), owner);
        }
        session.changes.id = None;
        session.changes.family = None;
        session.changes.times = times;
        session.changes.owner = Some(owner.into());
        session.changes.logged_in = true;
        Ok(())
    }

    pub(super) fn renew(&self) -> Result<(), Refused> {
        let mut session = self.edit()?;
        if let Some(id) = session.changes.id.take() {
            session.changes.family = Some(id.family());
        }
        Ok(())
    }

    pub(super) fn remember(&self, lifetime: Duration) -> Result<(), Refused> {
        let mut session = self.edit()?;
        let times = &mut session.changes.times;
        times.remembered = true;
        times.lifetime = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
        Ok(())
    }

    /// Marks the request as no activity.
    pub(super) fn passive(&self) -> Result<(), Refused> {
        drop(self.edit()?);
        self.set_passive();
        Ok(())
    }

    /// Ends the session, and begins an empty one.
    pub(super) fn logout(&self, rules: &Rules) -> Result<(), Refused> {
        let times = rules.new_times(self.opened().unwrap_or(0));
        self.edit()?.changes.begin_anew(times);
        Ok(())
    }

    pub(super) fn clear(&self, rules: &Rules) -> Result<(), Refused> {
        let mut session = self.edit()?;
        session.changes.set_entries(Vec::new());
        session.log(rules, Journal::clear);
        Ok(())
    }

    /// Sets an entry to a value that was serialized outside the lock.
    pub(super) fn set(&self, rules: &Rules, key: &str, value: &[u8]) -> Result<(), Refused> {
        let mut session = self.edit()?;
        session.set_entry(rules, key, Some(value))?;
        session.log(rules, |journal| journal.set(key, Some(value.to_vec())));
        Ok(())
    }

    /// Sets or removes an entry if its value still is `before`; otherwise returns `false`. `log`
    /// gets the new value.
    pub(super) fn replace(
        &self,
        rules: &Rules,
        key: &str,
        before: Option<&[u8]>,
        value: Option<Vec<u8>>,
        log: impl FnOnce(&mut Journal, Option<Vec<u8>>),
    ) -> Result<bool, Refused> {
        let mut session = self.edit()?;
        if session.value(key) != before {
            return Ok(false);
        }
        session.set_entry(rules, key, value.as_deref())?;
        session.log(rules, |journal| log(journal, value));
        Ok(true)
    }

    /// Removes an entry. Returns whether there was one.
    pub(super) fn remove(&self, rules: &Rules, key: &str) -> Result<bool, Refused> {
        let mut session = self.edit()?;
        if session.value(key).is_none() {
            return Ok(false);
        }
        session.set_entry(rules, key, None)?;
        session.log(rules, |journal| journal.set(key, None));
        Ok(true)
    }

    /// Sets and removes several entries, all or none. For a repeated key, the last value counts.
    pub(super) fn set_all(
        &self,
        rules: &Rules,
        values: Vec<(&str, Option<&[u8]>)>,
    ) -> Result<(), Refused> {
        let mut session = self.edit()?;
        let in_store = session.is_in_store();
        let (owner, entries) = session.content();
        // an equal value is not logged: its replay would undo a change by another request
        let changed = |(key, value): &&(&str, Option<&[u8]>)| entries.get(key) != *value;
        let owned = |(key, value): &(&str, Option<&[u8]>)| {
            (Box::<str>::from(*key), value.map(<[u8]>::to_vec))
        };
        let logged: Vec<_> = match rules.logs_changes {
            true => values.iter().filter(changed).map(owned).collect(),
            false => Vec::new(),
        };
        let merge = Merge::new(entries, values);
        rules
            .limits
            .check(in_store, owner.map(str::len), merge.len(), || merge.sizes())?;
        let bytes = merge.apply();
        session.changes.set_entries(bytes);
        session.log(rules, |journal| {
            for (key, value) in logged {
                journal.set(&key, value);
            }
        });
        Ok(())
    }
}

impl Locked<'_> {
    /// Sets or removes one entry.
    #[inline]
    fn set_entry(&mut self, rules: &Rules, key: &str, value: Option<&[u8]>) -> Result<(), Error> {
        let (limits, owner) = (&rules.limits, self.owner().map(str::len));
        let (incoming, in_store) = (self.incoming, self.is_in_store());
        let edited = &mut self.changes.entries;
        let edited = edited.get_or_insert_with(|| Edited::copy(entries_of(incoming)));
        let plan = edited.plan(key, value);
        if value.is_some() {
            limits.check(in_store, owner, plan.len, || edited.sizes_with(key, value))?;
        }
        edited.make(plan, key, value);
        Ok(())
    }

    /// Adds entries that are not there yet, if all of them fit.
    fn carry(&mut self, rules: &Rules, before: Entries<'_>, owner: &str) {
        let in_store = self.is_in_store();
        let own = self.entries();
        let own = own.iter().map(|(key, value)| (key, Some(value)));
        let merge = Merge::new(before, own.collect());
        let fits = rules
            .limits
            .check(in_store, Some(owner.len()), merge.len(), || merge.sizes());
        if fits.is_ok() {
            let bytes = merge.apply();
            self.changes.set_entries(bytes);
        }
    }

    /// Adds a change to the journal if it may have to be replayed.
    #[inline]
    fn log(&mut self, rules: &Rules, note: impl FnOnce(&mut Journal)) {
        if rules.logs_changes {
            note(&mut self.progress().journal);
        }
    }
}
