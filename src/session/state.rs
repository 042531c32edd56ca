//! The session of one request: what came in, and what changed since.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    fields,
    incoming::{Arrival, Incoming, Origin, Tombstone},
    journal::Op,
    outcome::Outcome,
    progress::Progress,
    rules::Rules,
};
use crate::{
    clock::Millis,
    entries::Entries,
    error::{Error, ErrorKind},
    key::Age,
    record::{self, Head, SessionId, Times},
};

/// What came in, outside the lock, and what changed, inside.
///
/// No code of the user runs under the lock, not even a subscriber of events, which may read the
/// session. So a panic cannot leave half a change behind, and no task can wait for itself.
pub(crate) struct State {
    arrival: Arrival,
    changes: Mutex<Changes>,
}

/// The changes of this request. `None` stands for "as it came in".
pub(super) struct Changes {
    pub(super) phase: Phase,
    pub(super) id: Option<SessionId>,
    pub(super) times: Times,
    pub(super) owner: Option<Box<str>>,
    pub(super) entries: Option<Vec<u8>>,
    pub(super) logged_in: bool,
    /// The session could not be sent, or another request ended it.
    pub(super) lost: bool,
    /// The changes of entries since the session was opened or last saved, to be replayed on what
    /// another request saved.
    pub(super) log: Vec<Arc<Op>>,
    /// What the store was told in this request.
    pub(super) progress: Option<Box<Progress>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    LoggedOut,
    Sent { logged_out: bool },
}

/// The session under its lock.
pub(super) struct Locked<'a> {
    pub(super) incoming: Option<&'a Incoming>,
    pub(super) changes: MutexGuard<'a, Changes>,
}

impl State {
    pub(crate) fn new(rules: &Rules, arrival: Arrival) -> Self {
        let head = arrival
            .incoming
            .as_ref()
            .map(|incoming| incoming.record.head);
        let begins = || rules.new_times(arrival.opened.unwrap_or(0));
        let changes = Changes {
            phase: Phase::Open,
            id: head.map(|head| head.id),
            times: head.map_or_else(begins, |head| head.times),
            owner: None,
            entries: None,
            logged_in: false,
            lost: false,
            log: Vec::new(),
            progress: None,
        };
        Self {
            arrival,
            changes: Mutex::new(changes),
        }
    }

    pub(crate) fn opened(&self) -> Option<Millis> {
        self.arrival.opened
    }

    pub(crate) fn incoming(&self) -> Option<&Incoming> {
        self.arrival.incoming.as_ref()
    }

    /// The id that the request brought.
    pub(crate) fn incoming_id(&self) -> Option<SessionId> {
        Some(self.incoming()?.record.head.id)
    }

    pub(crate) fn legacy_logout(&self) -> Option<SessionId> {
        self.arrival.legacy_logout
    }

    pub(crate) fn tombstone(&self) -> Option<Tombstone> {
        self.arrival.tombstone.as_deref().copied()
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        Locked {
            incoming: self.incoming(),
            changes: self.changes.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// The JSON of an entry, borrowed from what came in if no entry changed.
    pub(super) fn value(&self, key: &str) -> Option<Cow<'_, [u8]>> {
        let session = self.lock();
        match &session.changes.entries {
            None => entries_of(self.incoming()).get(key).map(Cow::Borrowed),
            Some(bytes) => {
                let value = Entries::trusted(bytes).get(key);
                value.map(|value| Cow::Owned(value.to_vec()))
            }
        }
    }

    /// Reads the entries under the lock: not by code of the user.
    pub(super) fn inspect<T>(&self, read: impl FnOnce(Entries<'_>) -> T) -> T {
        read(self.lock().entries())
    }

    /// Reads a copy of the entries outside the lock.
    pub(crate) fn with_entries<T>(&self, read: impl FnOnce(Entries<'_>) -> T) -> T {
        let bytes = self.inspect(|entries| entries.as_bytes().to_vec());
        read(Entries::trusted(&bytes))
    }

    /// The entries as the text of one JSON object.
    pub(crate) fn object(&self) -> Result<String, Error> {
        let text = self.inspect(fields::to_object);
        String::from_utf8(text).map_err(|_| ErrorKind::Encoding.into())
    }

    /// The id to judge the session by, and its times. `None` if it is over.
    pub(crate) fn standing(&self) -> Option<(Option<SessionId>, Times)> {
        let session = self.lock();
        let changes = &*session.changes;
        let id = match changes.phase {
            Phase::Sent { .. } => changes.id,
            _ => self.incoming_id(),
        };
        (!changes.logged_out() && !changes.lost).then_some((id, changes.times))
    }

    /// When the session expires if it is not used again, by the times that it has or would be sealed
    /// with.
    pub(super) fn end(&self, rules: &Rules) -> Millis {
        let session = self.lock();
        let mut times = session.changes.times;
        if let (Phase::Open, Some(opened)) = (session.changes.phase, self.opened())
            && (Outcome::of(&session) != Outcome::NoChange || self.refresh_due(rules, opened))
        {
            times.issue(opened);
        }
        rules.timeouts.end(times)
    }

    /// Whether the session is due to be sealed again if nothing changes, or its row to be touched.
    pub(crate) fn refresh_due(&self, rules: &Rules, opened: Millis) -> bool {
        let Some(incoming) = self.incoming() else {
            return false;
        };
        let (times, timeouts) = (incoming.record.head.times, &rules.timeouts);
        if let Some(row) = incoming.row() {
            return timeouts.touch_due(times, row.expires, opened);
        }
        let fallback = incoming.age == Age::Fallback || incoming.origin.has_legacy_cookie();
        !incoming.is_vacant() && timeouts.refresh_due(times, fallback, opened)
    }

    /// Decides what the response has to do. After this, nothing changes any more.
    pub(crate) fn settle(&self) -> Outcome {
        let mut session = self.lock();
        let outcome = Outcome::of(&session);
        session.changes.phase = Phase::Sent {
            logged_out: session.changes.logged_out(),
        };
        outcome
    }

    /// What the response would have to do if the handler ended now.
    pub(crate) fn pending(&self) -> Outcome {
        Outcome::of(&self.lock())
    }

    /// Notes that the session could not be sent, or that another request ended it.
    pub(crate) fn lose(&self) {
        self.lock().changes.lost = true;
    }

    pub(crate) fn is_sent(&self) -> bool {
        matches!(self.lock().changes.phase, Phase::Sent { .. })
    }

    /// The record to seal at `now`, after `headroom` bytes and with capacity for `tail` more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`]: mutators check the size, but another writer of the format may have
    /// padded the record less than it is padded here.
    pub(crate) fn encode(
        &self,
        rules: &Rules,
        now: Millis,
        headroom: usize,
        tail: usize,
    ) -> Result<(Head, Vec<u8>), Error> {
        let mut session = self.lock();
        session.check_size(rules)?;
        session.changes.times.issue(now);
        let head = session.head(rules)?;
        let (owner, entries) = (session.owner(), session.entries());
        Ok((head, record::encode(head, owner, entries, headroom, tail)))
    }

    /// The head of a session that is signed at `now` and begins then, and the owner who logged in.
    pub(crate) fn begin(
        &self,
        rules: &Rules,
        now: Millis,
    ) -> Result<(Head, Option<String>), Error> {
        let mut session = self.lock();
        let entries = session.entries();
        rules.check_size(None, entries.as_bytes().len(), || entries.sizes())?;
        session.changes.times = rules.new_times(now);
        let head = session.head(rules)?;
        Ok((head, session.changes.owner.as_deref().map(str::to_owned)))
    }
}

impl<'a> Locked<'a> {
    pub(super) fn entries(&self) -> Entries<'_> {
        match self.changes.entries.as_deref() {
            Some(bytes) => Entries::trusted(bytes),
            None => entries_of(self.incoming),
        }
    }

    pub(super) fn owner(&self) -> Option<&str> {
        match self.changes.logged_out() {
            true => None,
            false => self
                .changes
                .owner
                .as_deref()
                .or_else(|| self.incoming?.record.owner()),
        }
    }

    /// The current id. It is drawn if there is none.
    pub(super) fn id(&mut self, rules: &Rules) -> Result<SessionId, Error> {
        match self.changes.id {
            Some(id) => Ok(id),
            None => Ok(*self.changes.id.insert(rules.draw_id()?)),
        }
    }

    /// Whether the entries name the owner, so that a session without entries has none.
    pub(super) fn is_shared(&self) -> bool {
        self.incoming
            .is_some_and(|incoming| incoming.origin == Origin::Shared)
    }

    /// The session before the changes: as it came in, or as the store has it by this request.
    pub(super) fn before(&self) -> Option<(Head, Option<&str>, Entries<'_>)> {
        if let Some(progress) = &self.changes.progress
            && let Some(saved) = &progress.saved
        {
            let entries = Entries::trusted(&saved.entries);
            return Some((saved.head, saved.owner.as_deref(), entries));
        }
        let record = &self.incoming?.record;
        Some((record.head, record.owner(), record.entries()))
    }

    pub(super) fn check_size(&self, rules: &Rules) -> Result<(), Error> {
        let entries = self.entries();
        rules.check_size(self.owner(), entries.as_bytes().len(), || entries.sizes())
    }

    fn head(&mut self, rules: &Rules) -> Result<Head, Error> {
        Ok(Head {
            id: self.id(rules)?,
            times: self.changes.times,
        })
    }
}

impl Changes {
    pub(super) fn logged_out(&self) -> bool {
        matches!(
            self.phase,
            Phase::LoggedOut | Phase::Sent { logged_out: true }
        )
    }

    /// Whether owner or entries were set, perhaps to what they were before.
    pub(super) fn any_content(&self) -> bool {
        self.owner.is_some() || self.entries.is_some()
    }
}

fn entries_of(incoming: Option<&Incoming>) -> Entries<'_> {
    incoming
        .map(|incoming| incoming.record.entries())
        .unwrap_or_default()
}
