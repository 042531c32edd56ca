//! One session of one request: what came in, what changed, and what that means for the response.

use std::{
    borrow::Cow,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::rules::Rules;
use crate::{
    clock::Millis,
    entries::{Entries, MAX_VALUE_LEN, Splice},
    error::{Error, ErrorKind},
    event::Event,
    key::Age,
    record::{Record, SessionId, Times},
};

/// What came in, outside the lock, and what changed, inside.
///
/// No code of the user runs under the lock, so a panic cannot leave half a change behind.
pub(crate) struct State {
    opened: Millis,
    pub(super) base: Option<Base>,
    changes: Mutex<Changes>,
}

/// The session that a cookie brought.
pub(crate) struct Base {
    pub(crate) record: Record,
    pub(crate) age: Age,
}

/// `None` is as it came in.
pub(super) struct Changes {
    pub(super) phase: Phase,
    pub(super) id: Option<SessionId>,
    pub(super) times: Times,
    owner: Option<Box<str>>,
    entries: Option<Vec<u8>>,
    pub(super) logged_in: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    LoggedOut,
    Sent { logged_out: bool },
}

impl State {
    pub(crate) fn new(rules: &Rules, opened: Millis, base: Option<Base>) -> Self {
        let head = base.as_ref().map(|base| base.record.head);
        let changes = Changes {
            phase: Phase::Open,
            id: head.map(|head| head.id),
            times: head.map_or_else(|| rules.fresh(opened), |head| head.times),
            owner: None,
            entries: None,
            logged_in: false,
        };
        Self {
            opened,
            base,
            changes: Mutex::new(changes),
        }
    }

    pub(crate) fn opened(&self) -> Millis {
        self.opened
    }

    pub(crate) fn base(&self) -> Option<&Base> {
        self.base.as_ref()
    }

    /// The id that the request bore.
    pub(crate) fn base_id(&self) -> Option<SessionId> {
        self.base.as_ref().map(|base| base.record.head.id)
    }

    /// The JSON of an entry, borrowed from what came in where nothing changed.
    pub(super) fn value(&self, key: &str) -> Option<Cow<'_, [u8]>> {
        let changes = self.lock();
        match &changes.entries {
            None => self.base_entries().get(key).map(Cow::Borrowed),
            Some(bytes) => Entries::trusted(bytes)
                .get(key)
                .map(|value| Cow::Owned(value.to_vec())),
        }
    }

    /// A look at the entries under the lock.
    pub(super) fn inspect<T>(&self, look: impl FnOnce(Entries<'_>) -> T) -> T {
        look(self.entries(&self.lock()))
    }

    pub(super) fn owner(&self) -> Option<String> {
        self.current_owner(&self.lock()).map(str::to_owned)
    }

    /// The current id, drawn if there was none.
    pub(super) fn id(&self, rules: &Rules) -> Result<SessionId, Error> {
        let mut changes = self.lock();
        match changes.logged_out() {
            true => Err(ErrorKind::LoggedOut.into()),
            false => changes.id(rules),
        }
    }

    pub(super) fn created(&self) -> Millis {
        self.lock().times.created
    }

    /// Sets or removes one entry; the value was serialized outside the lock.
    pub(super) fn set(
        &self,
        rules: &Rules,
        method: &'static str,
        key: &str,
        value: Option<&[u8]>,
    ) -> Result<(), Error> {
        self.set_if(rules, method, key, value, |_| true).map(|_| ())
    }

    /// The same, if `unchanged` says so of the entry as it is. Otherwise `false`.
    pub(super) fn set_if(
        &self,
        rules: &Rules,
        method: &'static str,
        key: &str,
        value: Option<&[u8]>,
        unchanged: impl FnOnce(Option<&[u8]>) -> bool,
    ) -> Result<bool, Error> {
        let mut changes = self.lock();
        if !changes.writable(method)? {
            return Ok(true);
        }
        let entries = self.entries(&changes);
        if !unchanged(entries.get(key)) {
            return Ok(false);
        }
        let splice = Splice::new(entries, key, value);
        if value.is_some() {
            rules.check(self.current_owner(&changes), splice.len(), || {
                splice.sizes()
            })?;
        }
        let bytes = splice.apply();
        changes.entries = Some(bytes);
        Ok(true)
    }

    /// Sets and removes several entries, all or none.
    pub(super) fn set_all(
        &self,
        rules: &Rules,
        method: &'static str,
        values: &[(String, Option<Vec<u8>>)],
    ) -> Result<(), Error> {
        let mut changes = self.lock();
        if !changes.writable(method)? {
            return Ok(());
        }
        let owner = self.current_owner(&changes);
        let mut bytes = self.entries(&changes).as_bytes().to_vec();
        for (key, value) in values {
            let splice = Splice::new(Entries::trusted(&bytes), key, value.as_deref());
            if value
                .as_ref()
                .is_some_and(|value| value.len() > MAX_VALUE_LEN)
            {
                rules.check(owner, splice.len(), || splice.sizes())?;
            }
            bytes = splice.apply();
        }
        rules.check(owner, bytes.len(), || sizes(Entries::trusted(&bytes)))?;
        changes.entries = Some(bytes);
        Ok(())
    }

    pub(super) fn clear(&self) {
        let mut changes = self.lock();
        if changes.allows("clear") {
            changes.entries = Some(Vec::new());
        }
    }

    pub(super) fn login(&self, rules: &Rules, owner: &str) -> Result<(), Error> {
        if owner.is_empty() || owner.len() > 255 {
            return Err(ErrorKind::InvalidOwner.into());
        }
        let mut changes = self.lock();
        if !changes.writable("login")? {
            return Err(ErrorKind::LoggedOut.into());
        }
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
        }
        changes.id = None;
        changes.times = rules.fresh(self.opened);
        changes.owner = Some(owner.into());
        changes.logged_in = true;
        Ok(())
    }

    pub(super) fn renew(&self) {
        let mut changes = self.lock();
        if changes.allows("renew") {
            changes.id = None;
        }
    }

    pub(super) fn remember(&self, lifetime: Duration) {
        let mut changes = self.lock();
        if changes.allows("remember") {
            changes.times.remembered = true;
            changes.times.lifetime = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
        }
    }

    pub(super) fn logout(&self) {
        let mut changes = self.lock();
        if !changes.logged_out() && changes.allows("logout") {
            changes.phase = Phase::LoggedOut;
            changes.entries = Some(Vec::new());
            changes.times = Times {
                remembered: false,
                ..changes.times
            };
        }
    }

    pub(super) fn entries<'a>(&'a self, changes: &'a Changes) -> Entries<'a> {
        changes
            .entries
            .as_deref()
            .map_or_else(|| self.base_entries(), Entries::trusted)
    }

    fn base_entries(&self) -> Entries<'_> {
        self.base
            .as_ref()
            .map(|base| base.record.entries())
            .unwrap_or_default()
    }

    pub(super) fn current_owner<'a>(&'a self, changes: &'a Changes) -> Option<&'a str> {
        let base = || self.base.as_ref().and_then(|base| base.record.owner());
        match changes.logged_out() {
            true => None,
            false => changes.owner.as_deref().or_else(base),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    pub(super) fn logged_out(&self) -> bool {
        matches!(
            self.phase,
            Phase::LoggedOut | Phase::Sent { logged_out: true }
        )
    }

    /// Whether a change can be made; where it cannot, that is an event.
    fn allows(&self, method: &'static str) -> bool {
        let open = self.phase == Phase::Open;
        if !open {
            Event::LateWrite { method }.emit();
        }
        open
    }

    /// The same for methods that fail once the session was sent.
    fn writable(&self, method: &'static str) -> Result<bool, Error> {
        match (self.allows(method), self.phase) {
            (false, Phase::Sent { .. }) => Err(ErrorKind::Late.into()),
            (open, _) => Ok(open),
        }
    }

    pub(super) fn id(&mut self, rules: &Rules) -> Result<SessionId, Error> {
        match self.id {
            Some(id) => Ok(id),
            None => Ok(*self.id.insert(rules.draw_id()?)),
        }
    }
}

fn sizes(entries: Entries<'_>) -> Vec<(String, usize)> {
    entries
        .iter()
        .map(|(key, value)| (key.to_owned(), value.len()))
        .collect()
}
