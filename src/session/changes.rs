//! The changes of a request, and the session under its lock.

use std::sync::MutexGuard;

use super::{
    incoming::{Incoming, Origin},
    outcome::{Comparison, Content, Outcome},
    progress::{Progress, SavedSession},
    rules::Rules,
};
use crate::{
    entries::{Edited, Entries},
    error::Error,
    id::{Family, SessionId},
    record::{Head, Times},
};

/// The changes of this request. If owner or entries are `None`, those that came in are used.
pub(super) struct Changes {
    pub(super) phase: Phase,
    /// How often `logout` was called. After the first time, what came in does not count.
    pub(super) logouts: u32,
    pub(super) id: Option<SessionId>,
    /// The family of the id that is drawn if there is none. `None`: a new one.
    pub(super) family: Option<[u8; Family::LEN]>,
    pub(super) times: Times,
    pub(super) owner: Option<Box<str>>,
    pub(super) entries: Option<Edited>,
    pub(super) logged_in: bool,
    /// The session could not be sent, or another request ended it.
    pub(super) lost: bool,
    /// What this request has saved to the store so far, and what it has to save.
    pub(super) progress: Option<Box<Progress>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    Sent,
}

/// The session under its lock.
pub(super) struct Locked<'a> {
    /// What came in. `None` after a logout.
    pub(super) incoming: Option<&'a Incoming>,
    pub(super) changes: MutexGuard<'a, Changes>,
}

impl Locked<'_> {
    pub(super) fn entries(&mut self) -> Entries<'_> {
        self.sort();
        self.sorted()
    }

    /// The owner and the entries.
    pub(super) fn content(&mut self) -> (Option<&str>, Entries<'_>) {
        self.sort();
        (self.owner(), self.sorted())
    }

    /// The value of one entry.
    pub(super) fn value(&mut self, key: &str) -> Option<&[u8]> {
        match &mut self.changes.entries {
            Some(edited) => edited.get(key),
            None => entries_of(self.incoming).get(key),
        }
    }

    fn sort(&mut self) {
        if let Some(edited) = &mut self.changes.entries {
            edited.sort();
        }
    }

    /// The entries, after [`sort`](Self::sort).
    fn sorted(&self) -> Entries<'_> {
        match &self.changes.entries {
            Some(edited) => edited.sorted(),
            None => entries_of(self.incoming),
        }
    }

    #[inline]
    pub(super) fn owner(&self) -> Option<&str> {
        let owner = self.changes.owner.as_deref();
        owner.or_else(|| self.incoming?.record.owner())
    }

    /// The current id. It is drawn if there is none.
    pub(super) fn id(&mut self, rules: &Rules) -> Result<SessionId, Error> {
        match self.changes.id {
            Some(id) => Ok(id),
            None => {
                let drawn = rules.draw_id()?;
                let id = self.changes.family.map(|family| drawn.with_family(family));
                Ok(*self.changes.id.insert(id.unwrap_or(drawn)))
            }
        }
    }

    /// Decides what the response has to do, from what changed.
    pub(super) fn outcome(&mut self) -> Outcome {
        self.sort();
        let changes = &*self.changes;
        let content_was_set = changes.owner.is_some() || changes.entries.is_some();
        if !content_was_set
            && !changes.logged_in
            && let Some(head) = self.head_before()
            && (changes.id, changes.times) == (Some(head.id), head.times)
        {
            // most requests: there is no content to compare
            return Outcome::NoChange;
        }
        let comparison = Comparison {
            before: self.before(),
            id: changes.id,
            times: changes.times,
            owner: self.owner(),
            entries: self.sorted(),
            content_was_set,
            logged_in: changes.logged_in,
            shared: self
                .incoming
                .is_some_and(|incoming| incoming.origin == Origin::Shared),
        };
        comparison.outcome()
    }

    /// The session as it came in, or as this request saved it.
    fn before(&self) -> Option<Content<'_>> {
        if let Some(saved) = self.saved() {
            return Some(Content {
                head: saved.head,
                owner: saved.owner.as_deref(),
                entries: Entries::trusted(&saved.entries),
            });
        }
        let record = &self.incoming?.record;
        Some(Content {
            head: record.head,
            owner: record.owner(),
            entries: record.entries(),
        })
    }

    fn head_before(&self) -> Option<Head> {
        match self.saved() {
            Some(saved) => Some(saved.head),
            None => Some(self.incoming?.record.head),
        }
    }

    pub(super) fn progress(&mut self) -> &mut Progress {
        self.changes.progress.get_or_insert_default()
    }

    pub(super) fn saved(&self) -> Option<&SavedSession> {
        self.changes.progress.as_deref()?.saved.as_ref()
    }

    /// Whether the session that a commit replaces has a row.
    pub(super) fn is_in_store(&self) -> bool {
        if self.changes.logged_out() || self.changes.lost {
            return false;
        }
        match (self.saved(), self.incoming) {
            (Some(saved), _) => saved.row.is_some(),
            (None, incoming) => incoming.is_some_and(|incoming| incoming.row.is_some()),
        }
    }

    pub(super) fn head(&mut self, rules: &Rules) -> Result<Head, Error> {
        Ok(Head {
            id: self.id(rules)?,
            times: self.changes.times,
        })
    }
}

impl Changes {
    pub(super) fn new(id: Option<SessionId>, times: Times) -> Self {
        Self {
            phase: Phase::Open,
            logouts: 0,
            id,
            family: None,
            times,
            owner: None,
            entries: None,
            logged_in: false,
            lost: false,
            progress: None,
        }
    }

    /// Leaves the session, and begins an empty one without an owner.
    pub(super) fn begin_anew(&mut self, times: Times) {
        self.logouts += 1;
        if let Some(progress) = &mut self.progress {
            progress.leave();
        }
        self.id = None;
        self.family = None;
        self.times = times;
        self.owner = None;
        self.entries = None;
        self.logged_in = false;
    }

    /// What shows whether another task changed the session meanwhile, beside its entries.
    pub(super) fn seen(&self) -> (Times, Option<SessionId>, u32) {
        (self.times, self.id, self.logouts)
    }

    /// Sets all entries at once.
    pub(super) fn set_entries(&mut self, bytes: Vec<u8>) {
        self.entries = Some(Edited::new(bytes));
    }

    pub(super) fn logged_out(&self) -> bool {
        self.logouts > 0
    }
}

pub(super) fn entries_of(incoming: Option<&Incoming>) -> Entries<'_> {
    incoming
        .map(|incoming| incoming.record.entries())
        .unwrap_or_default()
}
