use std::{fmt, time::Duration};

use time::OffsetDateTime;

use super::{
    handle::Session,
    incoming::{Incoming, Origin},
    state::State,
};
use crate::{
    clock::{Millis, moment},
    error::Error,
    expiry::is_within,
    id::SessionId,
};

/// # Identity and life
impl Session {
    /// The session's id. It is drawn when it is first read or when the session is first sent.
    ///
    /// A session that has neither entries nor an owner is not sent, and its id is not used again.
    /// After [`logout`](Self::logout), it is the id of the new session.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Entropy`](crate::ErrorKind::Entropy) if the system's random source fails.
    pub fn id(&self) -> Result<SessionId, Error> {
        self.state().lock().id(self.rules())
    }

    /// When the session began: at its login, or at the request that first used it.
    pub fn created_at(&self) -> OffsetDateTime {
        moment(self.state().lock().changes.times.created)
    }

    /// When the session expires if it is not used again. The layer's current timeouts apply.
    pub fn expires_at(&self) -> OffsetDateTime {
        moment(self.state().end(self.rules()))
    }

    /// The owner that was given to [`login`](Self::login).
    #[doc(alias = "user_id")]
    pub fn owner(&self) -> Option<String> {
        self.state().owner()
    }

    /// Whether the owner logged in at most `limit` ago: for a page that asks for the password again
    /// before a change that matters.
    ///
    /// The layer's clock is read at each call. `false` if there is no owner, and after a logout.
    /// [`login`](Self::login) counts from now on, also if the same owner logs in again. `renew` and
    /// the use of the session do not count.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_sealed_session::{Error, Session};
    ///
    /// async fn delete_account(session: Session) -> &'static str {
    ///     if !session.logged_in_within(Duration::from_secs(10 * 60)) {
    ///         return "please enter your password again";
    ///     }
    ///     "deleted"
    /// }
    ///
    /// // of the form with the password, after the password was checked
    /// async fn confirm(session: Session) -> Result<(), Error> {
    ///     let owner = session.owner().unwrap_or_default();
    ///     session.login(owner)
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// # let session = tower_sealed_session::testing::example();
    /// # assert_eq!(delete_account(session.clone()).await, "please enter your password again");
    /// # session.login("ada")?;
    /// # confirm(session.clone()).await?;
    /// # assert_eq!(delete_account(session).await, "deleted");
    /// # Ok(()) }
    /// ```
    ///
    /// # Security
    ///
    /// A legacy cookie says when the legacy app signed it, not when its visitor logged in. So this
    /// is `false` for a session that began with a legacy cookie (`migrate`, `dual_write`,
    /// `SignedSessionLayer`), until `login` is called here. A layer with `migrate` or `dual_write`
    /// recognizes such a session because it was created at a whole second. One login in a thousand
    /// is too, so it has to be repeated. Keep the setting for longer than `limit` after its
    /// `until`.
    #[doc(alias = "sudo")]
    #[doc(alias = "step_up")]
    pub fn logged_in_within(&self, limit: Duration) -> bool {
        let login = self.state().login_time(self.request.reads_legacy());
        let (Some(login), Some(now)) = (login, self.request.now()) else {
            return false;
        };
        is_within(login, limit, now)
    }

    /// Logs `owner` in: the session gets a new id, and its life begins now.
    ///
    /// The entries, such as a cart, stay if the session had no owner or the same one. The entries
    /// of another owner are dropped. The session is not remembered: call
    /// [`remember`](Self::remember) afterwards.
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
    /// [`InvalidOwner`](crate::ErrorKind::InvalidOwner), [`TooLarge`](crate::ErrorKind::TooLarge),
    /// [`Late`](crate::ErrorKind::Late) and [`Clock`](crate::ErrorKind::Clock). Nothing is changed
    /// then.
    ///
    /// # Security
    ///
    /// Call it on every authentication, including a step-up. It ends the session that came in, so
    /// that requests that are still in flight with its cookie can neither undo the login nor use
    /// the new session. For a session in its cookie, this holds within this process, or with a log
    /// on every instance. If another request ended the session meanwhile, the login does not bring
    /// its entries back.
    ///
    /// A visitor who did not get the answer of a login, or who sent it twice, finds the cart again:
    /// a repeated login of the same owner with the same cookie keeps the entries. With a store, it
    /// continues the session of the login before, and ends that one.
    pub fn login(&self, owner: impl fmt::Display) -> Result<(), Error> {
        let login = self.state().log_in(self.rules(), &owner.to_string());
        self.change("login", login)
    }

    /// Gives the session a new id and changes nothing else. Use it when privileges change.
    ///
    /// Of two concurrent renewals, one succeeds. The other request fails with
    /// [`ErrorKind::Ended`](crate::ErrorKind::Ended), which is a 503, and so does every other
    /// request in flight that changes the session. The browser has the new cookie then, so a retry
    /// succeeds. If the response with the new cookie is lost, a visitor with a session in its
    /// cookie can use the old one again after ten seconds. With a ticket or a log, the visitor
    /// begins a new session then.
    #[doc(alias = "cycle_id")]
    #[doc(alias = "regenerate")]
    pub fn renew(&self) {
        let _ = self.change("renew", self.state().renew());
    }

    /// Lets the session live for `lifetime` from its creation, without an idle timeout.
    ///
    /// `lifetime` is rounded down to whole seconds, and limited by the layer's
    /// [`max_remember`](crate::SessionLayerBuilder::max_remember). If it has passed before the
    /// response is sent although the session was valid without it, the response is an error.
    pub fn remember(&self, lifetime: Duration) {
        let _ = self.change("remember", self.state().remember(lifetime));
    }

    /// Marks this request as no activity of the visitor, so that it does not extend the session.
    /// Use it for a page that polls, or that shows how much time is left.
    ///
    /// The idle timeout goes on as if the request had not come, and
    /// [`expires_at`](Self::expires_at) returns the end without this request. So call this method
    /// first. It holds for the whole request, and for this session only if there are several layers
    /// around the handler.
    ///
    /// A change is sent all the same, and is activity. A session that comes in a legacy cookie, or
    /// that is to move to a store, moves as ever and keeps the time of its last use. A cookie that
    /// was sealed with a fallback secret may stay as it is.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tower_sealed_session::Session;
    ///
    /// /// The page asks for it once a minute.
    /// async fn seconds_left(session: Session) -> String {
    ///     session.passive();
    ///     let left = session.expires_at() - SystemTime::now();
    ///     left.whole_seconds().to_string()
    /// }
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # let left = runtime.block_on(seconds_left(tower_sealed_session::testing::example()));
    /// # assert!((3500..=3600).contains(&left.parse().unwrap()), "{left}");
    /// ```
    #[doc(alias = "no_refresh")]
    pub fn passive(&self) {
        let _ = self.change("passive", self.state().passive());
    }

    /// Ends the session, and begins an empty one without an owner.
    ///
    /// The response removes the cookie. If the handler writes something after the logout, such as a
    /// notice, the response sets the cookie of the new session instead, which holds only that.
    ///
    /// To change from one owner to another, call only `login`: it drops the entries of the other
    /// owner.
    ///
    /// ```
    /// # let session = tower_sealed_session::testing::example();
    /// # session.login("ada")?;
    /// session.logout();
    /// session.insert("notice", "See you soon")?;
    /// assert_eq!(session.owner(), None);
    /// # Ok::<(), tower_sealed_session::Error>(())
    /// ```
    ///
    /// # Security
    ///
    /// Within this process, responses to requests in flight cannot bring the session back, however
    /// long they take. Requests with its cookie that come within a minute are anonymous. After
    /// that, and on other instances, a copy of the cookie is valid until it expires, since the
    /// server keeps no record of ended sessions. With a log (`Revocations`), it is refused on every
    /// instance until it expires. A layer that shares the cookie of a legacy app
    /// (`SignedSessionLayer`) cannot recognize the ended session at all.
    ///
    /// With a store or a log, a logout is final on every instance. It ends the session under all ids
    /// that it had since its login. If the store or the log cannot be reached, the response is a
    /// 503. If the client disconnects before the response, a task of its own tells them.
    #[doc(alias = "flush")]
    #[doc(alias = "purge")]
    #[doc(alias = "destroy")]
    #[doc(alias = "delete")]
    pub fn logout(&self) {
        let _ = self.change("logout", self.state().logout(self.rules()));
    }

    /// Saves the changes to the store before the handler continues.
    ///
    /// Without a store this does nothing, since the response carries the session; but with a log of
    /// revocations, a `logout` is added to it now. With a store, the
    /// changes so far are saved now and later ones with the response. After a `logout`, the session
    /// before it is ended first. If the session is empty but not logged out, that is saved with the
    /// response.
    ///
    /// If the store does not answer, or if the handler drops this call before its end, nobody knows
    /// whether the changes were saved. So that no change is made twice, the request then saves no
    /// more, and its response is a 503. Only a `logout` is still tried.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Late`](crate::ErrorKind::Late) if the response's head has been sent. With a
    /// store, [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if it cannot be reached,
    /// [`ErrorKind::Ended`](crate::ErrorKind::Ended) if another request ended the session or gave
    /// it another id, and [`ErrorKind::Expired`](crate::ErrorKind::Expired).
    pub async fn commit(&self) -> Result<(), Error> {
        self.request.commit().wait().await
    }

    /// Whether the session is still valid. Use it in tasks that run longer than a request, such as
    /// one that serves a WebSocket.
    ///
    /// It is not valid after it has expired; the traffic of a socket does not extend it. It is not
    /// valid after its own request called `logout`, or after another request of this process has
    /// ended it by `login`, `renew` or `logout`. The process remembers that for a minute, so call
    /// this more than once a minute. With a log of revocations (`Revocations`), it is not valid after
    /// a request on any instance has ended it, or all sessions of its owner. It is also not valid if
    /// its own request changed it and then was cancelled or could not save it. An empty session
    /// without an owner is valid. With a store, the store is asked. If the layer has a check of
    /// owners (`SessionLayer::check`), it runs again, and the session is not valid if it says no.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Clock`](crate::ErrorKind::Clock) if the clock shows a time before 1970, and
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if the store cannot be reached, if
    /// the log was not read for too long, or if the check gives no answer.
    pub async fn still_valid(&self) -> Result<bool, Error> {
        Ok(
            self.request.still_valid().wait().await?
                && self.request.still_admitted().wait().await?,
        )
    }
}

impl State {
    /// When the owner logged in. `None` if there is no owner, or if the login is not known.
    ///
    /// A session that began with a legacy cookie was created at the whole second of its signature.
    fn login_time(&self, reads_legacy: bool) -> Option<Millis> {
        let session = self.lock();
        session.owner()?;
        let created = session.changes.times.created;
        let unknown = |incoming: &Incoming| match incoming.origin {
            Origin::Shared => true,
            _ => {
                reads_legacy
                    && created.is_multiple_of(1000)
                    && created == incoming.record.head.times.created
            }
        };
        let known = session.changes.logged_in || !self.incoming().is_some_and(unknown);
        known.then_some(created)
    }
}
