//! The decision what a response has to do about a session.

use super::state::Locked;

/// What a response has to do about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    NoChange,
    Write(Change),
    /// The session ended, or it has neither entries nor an owner any more.
    Remove {
        logged_out: bool,
    },
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Created,
    Content,
    Renewed,
    LoggedIn,
}

impl Outcome {
    pub(crate) const LOGGED_OUT: Self = Self::Remove { logged_out: true };
    pub(crate) const EMPTIED: Self = Self::Remove { logged_out: false };

    /// Compares the session with what came in, or with what the store has by this request.
    pub(super) fn of(session: &Locked<'_>) -> Self {
        let changes = &*session.changes;
        if changes.logged_out() {
            return Self::LOGGED_OUT;
        }
        let (owner, entries) = (session.owner(), session.entries());
        let vacant = entries.as_bytes().is_empty() && (owner.is_none() || session.is_shared());
        let Some((head, owner_before, entries_before)) = session.before() else {
            return match vacant {
                true => Self::NoChange,
                false if changes.logged_in => Self::Write(Change::LoggedIn),
                false => Self::Write(Change::Created),
            };
        };
        let same_content =
            !changes.any_content() || (owner == owner_before && entries == entries_before);
        if vacant {
            return match same_content {
                true => Self::NoChange,
                false => Self::EMPTIED,
            };
        }
        if changes.logged_in {
            return Self::Write(Change::LoggedIn);
        }
        if changes.id != Some(head.id) {
            return Self::Write(Change::Renewed);
        }
        match same_content && changes.times == head.times {
            true => Self::NoChange,
            false => Self::Write(Change::Content),
        }
    }
}
