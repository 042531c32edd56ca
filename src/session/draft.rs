//! A copy of the session, to be saved to a store. If another request saved first, the changes are
//! applied again to what it saved.

use std::sync::Arc;

use super::{
    incoming::RowRef,
    journal::Journal,
    outcome::{Change, Outcome},
    progress::{Previous, SavedSession},
    rules::Rules,
    state::State,
};
use crate::{
    clock::Millis,
    entries::Entries,
    error::Error,
    id::{Replaced, SessionId},
    record::{self, Head, Record, Times},
};

/// A session to save.
pub(crate) struct Draft {
    pub(crate) outcome: Outcome,
    pub(crate) previous: Option<Previous>,
    pub(crate) head: Head,
    pub(crate) owner: Option<Box<str>>,
    pub(crate) entries: Vec<u8>,
    /// The changes of entries.
    journal: Arc<Journal>,
    /// Whether the changes were applied again to what another request saved.
    replayed: bool,
    /// The lifetime that `remember` set.
    remember: Option<Times>,
    logged_in: bool,
    /// Times, id and logouts of the request's session when the draft was made.
    seen: (Times, Option<SessionId>, u32),
}

impl Draft {
    /// The session with its changes, used at `now`. Boxed, so that the futures of a commit stay small.
    pub(crate) fn new(state: &State, rules: &Rules, now: Millis) -> Result<Box<Self>, Error> {
        let previous = state.previous();
        let mut session = state.lock();
        let outcome = session.outcome();
        let was = previous.map(|previous| previous.head);
        let id = match (outcome, was) {
            (Outcome::NoChange | Outcome::Emptied, Some(head)) => head.id,
            _ => session.id(rules)?,
        };
        let mut times = session.changes.times;
        times.issue(now);
        let remembered = |before: Head| {
            (before.times.remembered, before.times.lifetime) != (times.remembered, times.lifetime)
        };
        let (owner, entries) = session.content();
        let (owner, entries) = (owner.map(Into::into), entries.as_bytes().to_vec());
        let progress = session.progress();
        let later = std::mem::take(&mut progress.journal);
        Arc::make_mut(&mut progress.drafted).extend(later);
        let journal = progress.drafted.clone();
        let draft = Box::new(Self {
            outcome,
            previous,
            head: Head { id, times },
            owner,
            entries,
            journal,
            replayed: false,
            remember: was.is_some_and(remembered).then_some(times),
            logged_in: session.changes.logged_in,
            seen: session.changes.seen(),
        });
        draft.check_size(rules)?;
        Ok(draft)
    }

    /// Notes in the session that the draft was saved, and where. The response has to set a cookie
    /// for `unsent`.
    pub(crate) fn note_saved(self, state: &State, row: Option<RowRef>, unsent: Option<Change>) {
        let draft = self;
        loop {
            // changes that other tasks made after the draft; replayed outside the lock, since a
            // replay runs code of the user
            let replayed = draft.replayed.then(|| {
                let later = state.lock().progress().journal.clone();
                // a change that can no longer be applied is left out
                let entries = later.replay_possible(Entries::trusted(&draft.entries));
                (later.count(), entries)
            });
            let mut session = state.lock();
            let count = session.progress().journal.count();
            if replayed
                .as_ref()
                .is_some_and(|(before, _)| *before != count)
            {
                continue;
            }
            let (seen_times, seen_id, seen_logouts) = draft.seen;
            if session.changes.logouts != seen_logouts {
                // the session was left while it was saved
                let head = draft.head;
                session.progress().left.push(Previous { head, row });
                session.progress().incoming_ended = true;
                return;
            }
            let changes = &mut *session.changes;
            if let Some((_, entries)) = replayed {
                changes.set_entries(entries);
            }
            if changes.times == seen_times {
                changes.times = draft.head.times;
            }
            if changes.id == seen_id {
                changes.id = Some(draft.head.id);
            }
            if !changes.logged_in || changes.owner == draft.owner {
                changes.logged_in = false;
                changes.owner.clone_from(&draft.owner);
            }
            let progress = session.progress();
            progress.drafted = Arc::default();
            progress.unsent = match (progress.unsent, unsent) {
                (Some(Change::LoggedIn), _) => Some(Change::LoggedIn),
                (before, new) => new.or(before),
            };
            progress.saved = Some(SavedSession {
                head: draft.head,
                owner: draft.owner,
                entries: draft.entries,
                row,
            });
            return;
        }
    }

    /// Applies the changes again to the session that another request saved. The draft continues
    /// that session, in that row.
    pub(crate) fn rebase(
        &mut self,
        rules: &Rules,
        now: Millis,
        record: &Record,
        row: RowRef,
    ) -> Result<(), Error> {
        self.entries = self.journal.replay(record.entries())?;
        self.replayed = true;
        if !self.logged_in {
            let serial = match self.renews() {
                true => self.head.id.serial(),
                false => record.head.id.serial(),
            };
            self.head.id = record.head.id.with_serial(serial);
            self.owner = record.owner().map(Into::into);
            self.head.times = record.head.times;
            if let Some(remember) = self.remember {
                self.head.times.remembered = remember.remembered;
                self.head.times.lifetime = remember.lifetime;
            }
            self.head.times.issue(now);
        }
        self.previous = Some(Previous {
            head: record.head,
            row: Some(row),
        });
        if self.owner.is_none() && self.entries.is_empty() {
            self.outcome = Outcome::Emptied;
        } else if self.outcome == Outcome::Emptied {
            self.outcome = Outcome::Write(Change::Content);
        }
        self.check_size(rules)
    }

    /// Applies the changes again to an empty session, for a login whose previous session has ended.
    pub(crate) fn orphan(&mut self, rules: &Rules) -> Result<(), Error> {
        self.previous = None;
        self.entries = self.journal.replay(Entries::default())?;
        self.replayed = true;
        self.check_size(rules)
    }

    pub(crate) fn is_login(&self) -> bool {
        self.logged_in
    }

    /// Whether the session that it replaces has a row.
    pub(crate) fn is_in_store(&self) -> bool {
        self.previous.is_some_and(|previous| previous.row.is_some())
    }

    /// Whether the session gets a new serial.
    pub(crate) fn renews(&self) -> bool {
        let serial = self.head.id.serial();
        !self.logged_in
            && self
                .previous
                .is_some_and(|old| old.head.id.serial() != serial)
    }

    /// The serials that were replaced, with the one that this draft replaces at `now`.
    pub(crate) fn replaced(&self, now: Millis) -> Replaced {
        let Some(Previous { head, row }) = self.previous.filter(|_| !self.logged_in) else {
            return Replaced::default();
        };
        let mut replaced = row.map(|row| row.replaced).unwrap_or_default();
        if self.renews() {
            replaced.push(head.id.serial(), now);
        }
        replaced
    }

    /// Whether id and lifetime are those of the previous session.
    pub(crate) fn stays(&self) -> bool {
        self.previous.is_some_and(|Previous { head, .. }| {
            let (was, is) = (head.times, self.head.times);
            head.id == self.head.id
                && (was.remembered, was.lifetime) == (is.remembered, is.lifetime)
        })
    }

    /// The record, after `headroom` bytes and with capacity for `tail` more.
    pub(crate) fn encode(&self, headroom: usize, tail: usize) -> Vec<u8> {
        let entries = Entries::trusted(&self.entries);
        record::encode(self.head, self.owner.as_deref(), entries, headroom, tail)
    }

    /// The length of a cookie, name and value, that holds the session.
    pub(crate) fn cookie_len(&self, rules: &Rules) -> usize {
        let owner = self.owner.as_deref().map(str::len);
        rules.limits.cookie_len(owner, self.entries.len())
    }

    fn check_size(&self, rules: &Rules) -> Result<(), Error> {
        let owner = self.owner.as_deref().map(str::len);
        let entries = Entries::trusted(&self.entries);
        let in_store = self.is_in_store();
        let len = self.entries.len();
        rules.limits.check(in_store, owner, len, || entries.sizes())
    }
}
