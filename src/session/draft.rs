//! What a request wants kept in a store, apart from the session that handlers hold, so that it can be made again on what
//! another request wrote meanwhile.

use std::sync::Arc;

use super::{
    base::{Held, Kept},
    outcome::{Change, Outcome},
    replay::{Op, replay},
    rules::Rules,
    state::{State, sizes},
};
use crate::{
    clock::Millis,
    entries::Entries,
    error::Error,
    record::{self, Head, Record, SessionId, Times},
};

/// The session that a request bore.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    pub(crate) head: Head,
    /// Its row; `None`: its state is in the cookie.
    pub(crate) held: Option<Held>,
}

impl Before {
    /// A session of which nothing else is known.
    pub(crate) fn of(head: Head) -> Self {
        Self { head, held: None }
    }
}

/// What is to be kept.
pub(crate) struct Draft {
    pub(crate) outcome: Outcome,
    pub(crate) before: Option<Before>,
    pub(crate) head: Head,
    pub(crate) owner: Option<Box<str>>,
    pub(crate) entries: Vec<u8>,
    /// What was asked for.
    ops: Vec<Arc<Op>>,
    remember: Option<Times>,
    logged_in: bool,
    /// The times as the request had them.
    seen: Times,
    seen_id: Option<SessionId>,
}

impl State {
    /// The session that is to be replaced: as it came, or as this request had it kept.
    pub(crate) fn borne(&self) -> Option<Before> {
        match &self.lock().kept {
            Some(kept) => Some(Before {
                head: kept.head,
                held: kept.held,
            }),
            None => self.base().map(|base| Before {
                head: base.record.head,
                held: base.held(),
            }),
        }
    }

    /// The row that has it now, as far as this request knows.
    pub(crate) fn held(&self) -> Option<Held> {
        self.borne()?.held
    }

    /// The session that a store can tell more of, if it is not over.
    pub(crate) fn followed(&self) -> Option<Before> {
        let before = self.borne()?;
        let changes = self.lock();
        (!changes.logged_out() && !changes.lost).then_some(before)
    }

    /// What has to be done, if the request ended now.
    pub(crate) fn pending(&self) -> Outcome {
        self.outcome(&self.lock())
    }

    /// How long a cookie would be, name and value, that holds it.
    pub(crate) fn cookie_len(&self, name_len: usize) -> usize {
        let changes = self.lock();
        let owner = self.current_owner(&changes);
        let entries = self.entries(&changes).as_bytes().len();
        Rules::cookie_len(name_len, owner, entries)
    }

    /// What is to be kept of it, used at `now`.
    pub(crate) fn draft(&self, rules: &Rules, now: Millis) -> Result<Draft, Error> {
        let before = self.borne();
        let mut changes = self.lock();
        let outcome = self.outcome(&changes);
        let was = before.map(|before| before.head);
        let id = match (outcome, was) {
            (Outcome::Keep | Outcome::Remove { .. }, Some(head)) => head.id,
            _ => changes.id(rules)?,
        };
        let mut times = changes.times;
        times.issue(now);
        let remembered = |before: Head| {
            (before.times.remembered, before.times.lifetime) != (times.remembered, times.lifetime)
        };
        let draft = Draft {
            outcome,
            before,
            head: Head { id, times },
            owner: self.current_owner(&changes).map(Into::into),
            entries: self.entries(&changes).as_bytes().to_vec(),
            ops: changes.log.clone(),
            remember: was.is_some_and(remembered).then_some(times),
            logged_in: changes.logged_in,
            seen: changes.times,
            seen_id: changes.id,
        };
        draft.check(rules)?;
        Ok(draft)
    }

    /// Notes that a draft was kept, and where. The response owes a cookie for it if there is a change to tell.
    pub(crate) fn keep(&self, draft: Draft, held: Option<Held>, owed: Option<Change>) {
        let entries_after = |rest: &[Arc<Op>]| {
            rest.iter().fold(draft.entries.clone(), |bytes, op| {
                // what cannot be made of it any more is left out
                replay(std::slice::from_ref(op), Entries::trusted(&bytes)).unwrap_or(bytes)
            })
        };
        let made = draft.ops.len();
        loop {
            // what other tasks of the request asked for meanwhile; not under the lock, since it is code of the user's
            let rest = self.lock().log[made..].to_vec();
            let entries = entries_after(&rest);
            let mut changes = self.lock();
            if changes.log.len() != made + rest.len() {
                continue;
            }
            changes.log = rest;
            if !changes.logged_out() {
                changes.entries = Some(entries);
            }
            if changes.times == draft.seen {
                changes.times = draft.head.times;
            }
            if changes.id == draft.seen_id {
                changes.id = Some(draft.head.id);
            }
            if !changes.logged_in || changes.owner == draft.owner {
                changes.logged_in = false;
                changes.owner.clone_from(&draft.owner);
            }
            changes.owed = match (changes.owed, owed) {
                (Some(Change::LoggedIn), _) => Some(Change::LoggedIn),
                (before, new) => new.or(before),
            };
            changes.kept = Some(Kept {
                head: draft.head,
                owner: draft.owner,
                entries: draft.entries,
                held,
            });
            return;
        }
    }

    /// Notes that the store did not say whether it has what it was told.
    pub(crate) fn fail(&self, error: Error) {
        let mut changes = self.lock();
        changes.failed = Some(error);
        changes.lost = true;
    }

    pub(crate) fn failed(&self) -> Option<Error> {
        self.lock().failed.clone()
    }

    /// Notes that the store was told of the logout.
    pub(crate) fn note_told(&self) {
        self.lock().told = true;
    }

    /// Whether the store was told of the logout.
    pub(crate) fn is_told(&self) -> bool {
        self.lock().told
    }

    /// Why the response owes a cookie, if it does.
    pub(crate) fn owed(&self) -> Option<Change> {
        self.lock().owed
    }
}

impl Draft {
    /// Makes it again on what another request wrote.
    pub(crate) fn rebase(
        &mut self,
        rules: &Rules,
        now: Millis,
        record: &Record,
        held: Held,
    ) -> Result<(), Error> {
        self.entries = replay(&self.ops, record.entries())?;
        if !self.logged_in {
            self.owner = record.owner().map(Into::into);
            self.head.times = record.head.times;
            if let Some(remember) = self.remember {
                self.head.times.remembered = remember.remembered;
                self.head.times.lifetime = remember.lifetime;
            }
            self.head.times.issue(now);
        }
        self.before = self.before.map(|before| Before {
            head: Head {
                id: before.head.id,
                times: record.head.times,
            },
            held: Some(held),
        });
        if self.owner.is_none() && self.entries.is_empty() {
            self.outcome = Outcome::Remove { logged_out: false };
        } else if self.outcome == (Outcome::Remove { logged_out: false }) {
            self.outcome = Outcome::Write(Change::Content);
        }
        self.check(rules)
    }

    /// Makes it again on nothing: a login goes on without what it would have carried over.
    pub(crate) fn orphan(&mut self, rules: &Rules) -> Result<(), Error> {
        self.before = None;
        self.entries = replay(&self.ops, Entries::default())?;
        self.check(rules)
    }

    /// Whether it only goes from its cookie to the store, or back: the same session under another id.
    pub(crate) fn moves(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Keep | Outcome::Write(Change::Content)
        )
    }

    /// Goes on from the session of that id, and under it if it `stays` the same session.
    pub(crate) fn follow(&mut self, id: SessionId, stays: bool) {
        if let Some(before) = &mut self.before {
            before.head.id = id;
        }
        if stays {
            self.head.id = id;
        }
    }

    /// Whether it goes on under its id, for as long as before.
    pub(crate) fn stays(&self) -> bool {
        self.before.is_some_and(|Before { head, .. }| {
            let (was, is) = (head.times, self.head.times);
            head.id == self.head.id
                && (was.remembered, was.lifetime) == (is.remembered, is.lifetime)
        })
    }

    /// The record, after `headroom` bytes and with room for `tail` more.
    pub(crate) fn encode(&self, headroom: usize, tail: usize) -> Vec<u8> {
        let entries = Entries::trusted(&self.entries);
        record::encode(self.head, self.owner.as_deref(), entries, headroom, tail)
    }

    /// How long a cookie's name and value would be that holds it.
    pub(crate) fn cookie_len(&self, name_len: usize) -> usize {
        Rules::cookie_len(name_len, self.owner.as_deref(), self.entries.len())
    }

    fn check(&self, rules: &Rules) -> Result<(), Error> {
        let entries = Entries::trusted(&self.entries);
        rules.check(self.owner.as_deref(), self.entries.len(), || sizes(entries))
    }
}
