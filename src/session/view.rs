use std::{fmt, time::Duration};

use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use super::handle::Session;
use crate::{error::Error, id::SessionId};

/// The session of a request that this layer does not answer, to be read only.
///
/// [`SessionLayer::open`](crate::SessionLayer::open) makes it. Its methods are those of [`Session`]
/// that change nothing. It shows the session as it was when it was opened. Clones are cheap.
#[derive(Clone)]
pub struct SessionView {
    session: Session,
}

impl SessionView {
    /// A view of a session that can no longer change.
    pub(crate) fn new(session: Session) -> Self {
        Self { session }
    }

    /// The value of an entry, see [`Session::get`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) if the entry has another type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        self.session.get(key)
    }

    /// The whole session as one struct, see [`Session::read`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) if the entries do not deserialize as a
    /// `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.session.read()
    }

    /// Whether there is an entry with that key.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.session.contains_key(key)
    }

    /// The keys of all entries, sorted.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.session.keys()
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.session.len()
    }

    /// Whether there are no entries. There may still be an owner.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.session.is_empty()
    }

    /// The session's id. `None` if the request brought no session.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        self.session.state().incoming_id()
    }

    /// When the session began, see [`Session::created_at`].
    #[must_use]
    pub fn created_at(&self) -> OffsetDateTime {
        self.session.created_at()
    }

    /// When the session expires if it is not used again. The view is no use of it.
    #[must_use]
    pub fn expires_at(&self) -> OffsetDateTime {
        self.session.expires_at()
    }

    /// The owner who is logged in, see [`Session::owner`].
    #[doc(alias = "user_id")]
    #[must_use]
    pub fn owner(&self) -> Option<String> {
        self.session.owner()
    }

    /// Whether the owner logged in at most `limit` ago, see [`Session::logged_in_within`].
    #[must_use]
    pub fn logged_in_within(&self, limit: Duration) -> bool {
        self.session.logged_in_within(limit)
    }

    /// Whether the session is still valid, see [`Session::still_valid`]. An empty session without
    /// an owner is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Clock`](crate::ErrorKind::Clock) if the clock shows a time before 1970, and
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if the store cannot be reached, or
    /// if the layer's check of owners gives no answer.
    pub async fn still_valid(&self) -> Result<bool, Error> {
        self.session.still_valid().await
    }
}

impl fmt::Debug for SessionView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionView")
            .field("entries", &self.len())
            .field("owned", &self.owner().is_some())
            .finish_non_exhaustive()
    }
}
