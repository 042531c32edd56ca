//! The changes that handlers make to a session, under its lock. No code of the user that could
//! reach the session runs here.

use std::{sync::Arc, time::Duration};

use super::{
    changes::{Locked, Phase},
    journal::Op,
    rules::Rules,
    state::State,
};
use crate::{
    entries::{Entries, Merge, Splice},
    error::{Error, ErrorKind},
};

/// Why a change was refused.
pub(super) enum Refused {
    Sent,
    LoggedOut,
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
    pub(super) fn edit(&self) -> Result<Locked<'_>, Refused> {
        let session = self.lock();
        match session.changes.phase {
            Phase::Open => Ok(session),
            Phase::LoggedOut => Err(Refused::LoggedOut),
            Phase::Sent { .. } => Err(Refused::Sent),
        }
    }

    pub(super) fn login(&self, rules: &Rules, owner: &str) -> Result<(), Refused> {
        if owner.is_empty() || owner.len() > 255 {
            return Err(ErrorKind::InvalidOwner.into());
        }
        let mut session = self.edit()?;
        let times = rules.new_times(self.opened().ok_or(ErrorKind::Clock)?);
        let keeps = session.owner().is_none_or(|current| current == owner);
        let entries = match keeps {
            true => session.entries(),
            false => Entries::default(),
        };
        rules
            .limits
            .check(Some(owner), entries.as_bytes().len(), || entries.sizes())?;
        if !keeps {
            session.set_entries(Vec::new());
            session.log(rules, || Op::Clear);
        }
        session.changes.id = None;
        session.changes.times = times;
        session.changes.owner = Some(owner.into());
        session.changes.logged_in = true;
        Ok(())
    }

    pub(super) fn renew(&self) -> Result<(), Refused> {
        self.edit()?.changes.id = None;
        Ok(())
    }

    pub(super) fn remember(&self, lifetime: Duration) -> Result<(), Refused> {
        let mut session = self.edit()?;
        let times = &mut session.changes.times;
        times.remembered = true;
        times.lifetime = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
        Ok(())
    }

    /// Ends the session. A second logout changes nothing.
    pub(super) fn logout(&self) -> Result<(), Refused> {
        let mut session = match self.edit() {
            Err(Refused::LoggedOut) => return Ok(()),
            session => session?,
        };
        session.changes.phase = Phase::LoggedOut;
        session.set_entries(Vec::new());
        Ok(())
    }

    pub(super) fn clear(&self, rules: &Rules) -> Result<(), Refused> {
        let mut session = self.edit()?;
        session.set_entries(Vec::new());
        session.log(rules, || Op::Clear);
        Ok(())
    }

    /// Sets an entry to a value that was serialized outside the lock.
    pub(super) fn set(&self, rules: &Rules, key: &str, value: Vec<u8>) -> Result<(), Refused> {
        let mut session = self.edit()?;
        let splice = Splice::new(session.entries(), key, Some(&value));
        session.check_splice(rules, &splice)?;
        let bytes = splice.apply();
        session.set_entries(bytes);
        session.log(rules, || Op::Set(key.into(), value));
        Ok(())
    }

    /// Sets or removes an entry if its value still is `before`; otherwise returns `false`.
    pub(super) fn replace(
        &self,
        rules: &Rules,
        key: &str,
        before: Option<&[u8]>,
        value: Option<&[u8]>,
        op: impl FnOnce() -> Op,
    ) -> Result<bool, Refused> {
        let mut session = self.edit()?;
        let entries = session.entries();
        if entries.get(key) != before {
            return Ok(false);
        }
        let splice = Splice::new(entries, key, value);
        if value.is_some() {
            session.check_splice(rules, &splice)?;
        }
        let bytes = splice.apply();
        session.set_entries(bytes);
        session.log(rules, op);
        Ok(true)
    }

    /// Removes an entry. Returns whether there was one.
    pub(super) fn remove(&self, rules: &Rules, key: &str) -> Result<bool, Refused> {
        let mut session = self.edit()?;
        let entries = session.entries();
        if entries.get(key).is_none() {
            return Ok(false);
        }
        let bytes = Splice::new(entries, key, None).apply();
        session.set_entries(bytes);
        session.log(rules, || Op::Remove(key.into()));
        Ok(true)
    }

    /// Sets and removes several entries, all or none. For a repeated key, the last value counts.
    pub(super) fn set_all(
        &self,
        rules: &Rules,
        values: Vec<(&str, Option<&[u8]>)>,
    ) -> Result<(), Refused> {
        let mut session = self.edit()?;
        let entries = session.entries();
        // an equal value is not logged: its replay would undo a change by another request
        let op = rules.logs_changes.then(|| {
            let changed = |(key, value): &&(&str, Option<&[u8]>)| entries.get(key) != *value;
            Op::set_all(values.iter().filter(changed))
        });
        let merge = Merge::new(entries, values);
        rules
            .limits
            .check(session.owner(), merge.len(), || merge.sizes())?;
        let bytes = merge.apply();
        session.set_entries(bytes);
        session.changes.log.extend(op.map(Arc::new));
        Ok(())
    }
}

impl Locked<'_> {
    fn set_entries(&mut self, bytes: Vec<u8>) {
        self.changes.entries = Some(bytes);
    }

    /// Adds a change to the log if it may have to be replayed.
    fn log(&mut self, rules: &Rules, op: impl FnOnce() -> Op) {
        if rules.logs_changes {
            self.changes.log.push(Arc::new(op()));
        }
    }

    fn check_splice(&self, rules: &Rules, splice: &Splice<'_>) -> Result<(), Error> {
        rules
            .limits
            .check(self.owner(), splice.len(), || splice.sizes())
    }
}
