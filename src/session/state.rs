//! One session of one request: what came in, what changed, and what that means for the response.

#[cfg(feature = "store")]
use std::sync::Arc;
use std::{
    borrow::Cow,
    sync::{Mutex, MutexGuard, PoisonError},
};

#[cfg(feature = "starlette")]
use super::whole;
use super::{base::Base, replay::Op, rules::Rules};
#[cfg(feature = "store")]
use super::{base::Kept, outcome::Change};
#[cfg(feature = "store")]
use crate::record::Head;
use crate::{
    clock::Millis,
    entries::Entries,
    error::{Error, ErrorKind},
    record::{SessionId, Times},
};

/// What came in, outside the lock, and what changed, inside.
///
/// No code of the user runs under the lock, events included, which subscribers may answer by looking at the
/// session: so a panic cannot leave half a change behind, and nobody waits for himself.
pub(crate) struct State {
    /// `None` before 1970.
    opened: Option<Millis>,
    pub(super) base: Option<Base>,
    /// The session that the old system ended, whose cookie is to go.
    #[cfg(feature = "starlette")]
    left: Option<SessionId>,
    /// The session whose ticket came, which has ended.
    #[cfg(feature = "store")]
    ended: Option<Ended>,
    changes: Mutex<Changes>,
}

/// `None` is as it came in.
pub(super) struct Changes {
    pub(super) phase: Phase,
    pub(super) id: Option<SessionId>,
    pub(super) times: Times,
    pub(super) owner: Option<Box<str>>,
    pub(super) entries: Option<Vec<u8>>,
    pub(super) logged_in: bool,
    /// What was asked of the entries since they were opened or kept.
    #[cfg(feature = "store")]
    pub(super) log: Vec<Arc<Op>>,
    /// What the store keeps by this request's own doing.
    #[cfg(feature = "store")]
    pub(super) kept: Option<Kept>,
    /// Why the response owes a cookie for that.
    #[cfg(feature = "store")]
    pub(super) owed: Option<Change>,
    /// The store was told of the logout.
    #[cfg(feature = "store")]
    pub(super) told: bool,
    /// It did not say whether it has what it was told.
    #[cfg(feature = "store")]
    pub(super) failed: Option<Error>,
    /// It was not sent, or was seen to be ended by another request.
    pub(super) lost: bool,
}

/// A session that ended while a visitor still bears it.
#[cfg(feature = "store")]
#[derive(Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) id: SessionId,
    /// Under what it went on: itself if it did not.
    pub(crate) successor: Head,
    /// Requests may still be in flight that bore it when it was alive.
    pub(crate) fresh: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    LoggedOut,
    Sent { logged_out: bool },
}

/// Why a change is not made.
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
    pub(crate) fn new(rules: &Rules, opened: Option<Millis>, base: Option<Base>) -> Self {
        let head = base.as_ref().map(|base| base.record.head);
        let changes = Changes {
            phase: Phase::Open,
            id: head.map(|head| head.id),
            times: head.map_or_else(|| rules.fresh(opened.unwrap_or(0)), |head| head.times),
            owner: None,
            entries: None,
            logged_in: false,
            #[cfg(feature = "store")]
            log: Vec::new(),
            #[cfg(feature = "store")]
            kept: None,
            #[cfg(feature = "store")]
            owed: None,
            #[cfg(feature = "store")]
            told: false,
            #[cfg(feature = "store")]
            failed: None,
            lost: false,
        };
        Self {
            opened,
            base,
            #[cfg(feature = "starlette")]
            left: None,
            #[cfg(feature = "store")]
            ended: None,
            changes: Mutex::new(changes),
        }
    }

    /// The empty session of a visitor whom the old system logged out of that one.
    #[cfg(feature = "starlette")]
    pub(crate) fn after(rules: &Rules, opened: Millis, left: SessionId) -> Self {
        Self {
            left: Some(left),
            ..Self::new(rules, Some(opened), None)
        }
    }

    #[cfg(feature = "starlette")]
    pub(crate) fn left(&self) -> Option<SessionId> {
        self.left
    }

    /// The empty session of a visitor whose session has ended.
    #[cfg(feature = "store")]
    pub(crate) fn outliving(rules: &Rules, opened: Millis, ended: Ended) -> Self {
        Self {
            ended: Some(ended),
            ..Self::new(rules, Some(opened), None)
        }
    }

    #[cfg(feature = "store")]
    pub(crate) fn ended(&self) -> Option<Ended> {
        self.ended
    }

    pub(crate) fn opened(&self) -> Option<Millis> {
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

    /// A look at the entries under the lock, by no code of the user's.
    pub(super) fn inspect<T>(&self, look: impl FnOnce(Entries<'_>) -> T) -> T {
        look(self.entries(&self.lock()))
    }

    /// The entries as the text of one JSON object.
    #[cfg(feature = "starlette")]
    pub(crate) fn object(&self) -> Result<String, Error> {
        let text = self.inspect(whole::to_object);
        String::from_utf8(text).map_err(|_| ErrorKind::Encoding.into())
    }

    /// A look at the entries outside the lock.
    #[cfg(feature = "starlette")]
    pub(crate) fn with_entries<T>(&self, look: impl FnOnce(Entries<'_>) -> T) -> T {
        let bytes = self.inspect(|entries| entries.as_bytes().to_vec());
        look(Entries::trusted(&bytes))
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

    /// Whether owner or entries were set, maybe to what they were.
    pub(super) fn any_content(&self) -> bool {
        self.owner.is_some() || self.entries.is_some()
    }

    /// Remembers what was asked, where it may have to be asked again.
    pub(super) fn note(&mut self, rules: &Rules, op: impl FnOnce() -> Op) {
        #[cfg(feature = "store")]
        if rules.replays {
            self.log.push(Arc::new(op()));
        }
        #[cfg(not(feature = "store"))]
        let _ = (rules, op);
    }

    pub(super) fn id(&mut self, rules: &Rules) -> Result<SessionId, Error> {
        match self.id {
            Some(id) => Ok(id),
            None => Ok(*self.id.insert(rules.draw_id()?)),
        }
    }
}

pub(super) fn sizes(entries: Entries<'_>) -> Vec<(String, usize)> {
    entries
        .iter()
        .map(|(key, value)| (key.to_owned(), value.len()))
        .collect()
}
