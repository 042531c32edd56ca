//! What handlers do to a session, under its lock: nothing here runs code of theirs.

use std::{sync::MutexGuard, time::Duration};

use super::{
    replay::Op,
    rules::Rules,
    state::{Changes, Phase, Refused, State, sizes},
};
use crate::{
    entries::{Entries, Merge, Splice},
    error::{Error, ErrorKind},
};

impl State {
    /// Sets one entry; the value was serialized outside the lock.
    pub(super) fn set(&self, rules: &Rules, key: &str, value: Vec<u8>) -> Result<(), Refused> {
        let mut changes = self.changeable()?;
        let splice = Splice::new(self.entries(&changes), key, Some(&value));
        self.check(rules, &changes, &splice)?;
        let bytes = splice.apply();
        changes.entries = Some(bytes);
        changes.note(rules, || Op::Set(key.into(), value));
        Ok(())
    }

    /// Sets or removes one entry if it is as it was `before`; else `false`.
    pub(super) fn replace(
        &self,
        rules: &Rules,
        key: &str,
        before: Option<&[u8]>,
        value: Option<&[u8]>,
        op: impl FnOnce() -> Op,
    ) -> Result<bool, Refused> {
        let mut changes = self.changeable()?;
        let entries = self.entries(&changes);
        if entries.get(key) != before {
            return Ok(false);
        }
        let splice = Splice::new(entries, key, value);
        if value.is_some() {
            self.check(rules, &changes, &splice)?;
        }
        let bytes = splice.apply();
        changes.entries = Some(bytes);
        changes.note(rules, op);
        Ok(true)
    }

    /// Removes one entry, and says whether there was one.
    pub(super) fn remove(&self, rules: &Rules, key: &str) -> Result<bool, Refused> {
        let mut changes = self.changeable()?;
        let entries = self.entries(&changes);
        if entries.get(key).is_none() {
            return Ok(false);
        }
        let bytes = Splice::new(entries, key, None).apply();
        changes.entries = Some(bytes);
        changes.note(rules, || Op::Remove(key.into()));
        Ok(true)
    }

    /// Sets and removes several entries, all or none. Of several for one key the last counts.
    pub(super) fn set_all(
        &self,
        rules: &Rules,
        values: Vec<(&str, Option<&[u8]>)>,
    ) -> Result<(), Refused> {
        let mut changes = self.changeable()?;
        let entries = self.entries(&changes);
        // what stays as it was is not asked for: another request may change it meanwhile
        let op = rules.replays().then(|| {
            let changed = |(key, value): &&(&str, Option<&[u8]>)| entries.get(key) != *value;
            Op::set_all(values.iter().filter(changed))
        });
        let merge = Merge::new(entries, values);
        let owner = self.current_owner(&changes);
        rules.check(owner, merge.len(), || merge.sizes())?;
        let bytes = merge.apply();
        changes.entries = Some(bytes);
        if let Some(op) = op {
            changes.note(rules, || op);
        }
        Ok(())
    }

    pub(super) fn clear(&self, rules: &Rules) -> Result<(), Refused> {
        let mut changes = self.changeable()?;
        changes.entries = Some(Vec::new());
        changes.note(rules, || Op::Clear);
        Ok(())
    }

    pub(super) fn login(&self, rules: &Rules, owner: &str) -> Result<(), Refused> {
        if owner.is_empty() || owner.len() > 255 {
            return Err(ErrorKind::InvalidOwner.into());
        }
        let mut changes = self.changeable()?;
        let times = rules.fresh(self.opened().ok_or(ErrorKind::Clock)?);
        let keeps = self
            .current_owner(&changes)
            .is_none_or(|current| current == owner);
        let entries = if keeps {
            self.entries(&changes)
        } else {
            Entries::default()
        };
        rules.check(Some(owner), entries.as_bytes().len(), || sizes(entries))?;
        if !keeps {
            changes.entries = Some(Vec::new());
            changes.note(rules, || Op::Clear);
        }
        changes.id = None;
        changes.times = times;
        changes.owner = Some(owner.into());
        changes.logged_in = true;
        Ok(())
    }

    pub(super) fn renew(&self) -> Result<(), Refused> {
        self.changeable()?.id = None;
        Ok(())
    }

    pub(super) fn remember(&self, lifetime: Duration) -> Result<(), Refused> {
        let mut changes = self.changeable()?;
        changes.times.remembered = true;
        changes.times.lifetime = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
        Ok(())
    }

    /// Logging out again is no change.
    pub(super) fn logout(&self) -> Result<(), Refused> {
        let mut changes = match self.changeable() {
            Err(Refused::LoggedOut) => return Ok(()),
            changes => changes?,
        };
        changes.phase = Phase::LoggedOut;
        changes.entries = Some(Vec::new());
        Ok(())
    }

    fn check(&self, rules: &Rules, changes: &Changes, splice: &Splice<'_>) -> Result<(), Error> {
        rules.check(self.current_owner(changes), splice.len(), || splice.sizes())
    }

    fn changeable(&self) -> Result<MutexGuard<'_, Changes>, Refused> {
        let changes = self.lock();
        match changes.phase {
            Phase::Open => Ok(changes),
            Phase::LoggedOut => Err(Refused::LoggedOut),
            Phase::Sent { .. } => Err(Refused::Sent),
        }
    }
}
