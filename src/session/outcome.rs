//! Decides what a response has to do about a session.

use crate::{
    entries::Entries,
    id::SessionId,
    record::{Head, Times},
};

/// What a response has to do about a session. After a logout, about the new one that began then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    NoChange,
    Write(Change),
    /// The session has neither entries nor an owner any more.
    Emptied,
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Created,
    Content,
    Renewed,
    LoggedIn,
}

/// The content of a session.
pub(super) struct Content<'a> {
    pub(super) head: Head,
    pub(super) owner: Option<&'a str>,
    pub(super) entries: Entries<'a>,
}

/// A session before and after the changes of its request.
pub(super) struct Comparison<'a> {
    /// `None` for a new session.
    pub(super) before: Option<Content<'a>>,
    /// `None` if a new id is still to be drawn.
    pub(super) id: Option<SessionId>,
    pub(super) times: Times,
    pub(super) owner: Option<&'a str>,
    pub(super) entries: Entries<'a>,
    /// Whether owner or entries were set, even if to the same value.
    pub(super) content_was_set: bool,
    pub(super) logged_in: bool,
    /// Whether the owner is read from the entries. Then a session without entries has no owner.
    pub(super) shared: bool,
}

impl Comparison<'_> {
    /// What the response has to do.
    pub(super) fn outcome(&self) -> Outcome {
        let vacant = self.entries.as_bytes().is_empty() && (self.owner.is_none() || self.shared);
        let Some(before) = &self.before else {
            return match vacant {
                true => Outcome::NoChange,
                false if self.logged_in => Outcome::Write(Change::LoggedIn),
                false => Outcome::Write(Change::Created),
            };
        };
        let same_content =
            !self.content_was_set || (self.owner == before.owner && self.entries == before.entries);
        if vacant {
            return match same_content {
                true => Outcome::NoChange,
                false => Outcome::Emptied,
            };
        }
        if self.logged_in {
            return Outcome::Write(Change::LoggedIn);
        }
        if self.id != Some(before.head.id) {
            return Outcome::Write(Change::Renewed);
        }
        match same_content && self.times == before.head.times {
            true => Outcome::NoChange,
            false => Outcome::Write(Change::Content),
        }
    }
}
