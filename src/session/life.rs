use std::{fmt, time::Duration};

use time::OffsetDateTime;

use super::Session;
use crate::{
    clock::moment,
    error::{Error, ErrorKind},
    record::SessionId,
};

/// # Identity and life
impl Session {
    /// The session's id, which is drawn when first asked for, or when the session is first sent.
    ///
    /// It is kept only if the session is, that is, if it has an entry or an owner.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Entropy`] if the operating system gives no randomness, [`ErrorKind::LoggedOut`] after `logout`.
    pub fn id(&self) -> Result<SessionId, Error> {
        self.state().id(self.rules())
    }

    /// When the session began: at its login, else at the request that first used it.
    pub fn created_at(&self) -> OffsetDateTime {
        moment(self.state().created())
    }

    /// When the session ends if it is not used again, by the layer's timeouts of today.
    pub fn expires_at(&self) -> OffsetDateTime {
        moment(self.state().end(self.rules()))
    }

    /// Whose session it is: what was given to [`login`](Self::login).
    #[doc(alias = "user_id")]
    pub fn owner(&self) -> Option<String> {
        self.state().owner()
    }

    /// Makes the session that of `owner`, under a new id and with a new life that begins now.
    ///
    /// The entries stay if the session had no owner or the same one, as with a cart that was filled before;
    /// another owner's are dropped. It is not remembered: call [`remember`](Self::remember) after it.
    ///
    /// ```
    /// # let session = tower_sealed_session::testing::example();
    /// session.insert("cart", ["tea"])?;
    /// session.login("user-42")?;
    /// assert_eq!(session.owner().as_deref(), Some("user-42"));
    /// assert!(session.contains_key("cart"));
    /// # Ok::<(), tower_sealed_session::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOwner`], [`ErrorKind::TooLarge`], [`ErrorKind::Late`], [`ErrorKind::Clock`], and
    /// [`ErrorKind::LoggedOut`] after `logout` in the same request; nothing is changed then.
    ///
    /// # Security
    ///
    /// Call it on every authentication, also on a step up: the old id is ended, so that responses to requests
    /// still in flight under it cannot undo the login, within this process and for a minute.
    pub fn login(&self, owner: impl fmt::Display) -> Result<(), Error> {
        let login = self.state().login(self.rules(), &owner.to_string());
        match self.change("login", login)? {
            Some(()) => Ok(()),
            None => Err(ErrorKind::LoggedOut.into()),
        }
    }

    /// Gives the session a new id and keeps all else: for a change of privilege.
    ///
    /// If another request renewed or ended the session meanwhile, this request's changes are dropped, with an event.
    /// So are those of a request that bears the old id within a minute, though it reads what that holds.
    #[doc(alias = "cycle_id")]
    #[doc(alias = "regenerate")]
    pub fn renew(&self) {
        let _ = self.change("renew", self.state().renew());
    }

    /// Lets the session live for `lifetime` from its creation, with no idle limit.
    ///
    /// Whole seconds count. The layer's [`max_remember`](crate::SessionLayerBuilder::max_remember) is the limit. What
    /// is over before the response is cannot be kept: the response is an error.
    pub fn remember(&self, lifetime: Duration) {
        let _ = self.change("remember", self.state().remember(lifetime));
    }

    /// Ends the session: it is empty from here on, and the response removes the cookie.
    ///
    /// Nothing brings it back in this request: later changes are an event and change nothing, and `login` fails. To
    /// change from one owner to another, call `login` alone: what is another's is dropped.
    ///
    /// # Security
    ///
    /// Responses to requests in flight cannot bring it back either, within this process and for a minute. A copy of the cookie
    /// that someone made before remains valid until it expires: nothing on the server knows that it ended. With a
    /// store a logout is final, on every instance; if the store cannot be told, the response is a 503.
    #[doc(alias = "flush")]
    #[doc(alias = "purge")]
    #[doc(alias = "destroy")]
    #[doc(alias = "delete")]
    pub fn logout(&self) {
        let _ = self.change("logout", self.state().logout());
    }

    /// Makes sure that what changed is kept before the handler goes on.
    ///
    /// With the state in the cookie there is nothing to wait for, since the response itself carries it. With a store that has the session, it
    /// is told now, and what changes later is told with the response. A session that is emptied without a logout goes with the response.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Late`] if the response's head has been sent; with a store [`ErrorKind::Unavailable`], and
    /// [`ErrorKind::Ended`] if another request ended the session.
    pub async fn commit(&self) -> Result<(), Error> {
        self.home.commit().done().await
    }

    /// Whether the session is valid now: for a task that holds one longer than a request takes, such as a socket.
    ///
    /// It is not after its time, which a socket's own traffic does not extend, and once another request in this
    /// process has ended it by `login`, `renew` or `logout`. That is remembered for a minute: ask more often. Nor is it
    /// if its own request changed it and was cancelled, or failed to keep it. An empty session of nobody is valid. With a store it is
    /// the store that is asked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Clock`] if the clock shows a moment before 1970, and [`ErrorKind::Unavailable`] if the store cannot be asked.
    pub async fn still_valid(&self) -> Result<bool, Error> {
        self.home.still_valid().done().await
    }
}
