//! The setting that makes sessions in cookies revocable, and the revocation of many at once.

use time::OffsetDateTime;

use super::{builder::SessionLayerBuilder, error::ConfigError, session_layer::SessionLayer};
use crate::{
    clock::Millis,
    error::{Error, ErrorKind},
    request::Revoking,
    revocation::Revocations,
};

/// # With a log of revocations
///
/// Needs the feature `store`, or one that includes it.
impl SessionLayer {
    /// Makes a logout final on every instance, although sessions are in cookies; see
    /// [`Revocations`].
    ///
    /// `logout`, `login` and `renew` then wait for the log before the response is sent. A copy of
    /// the cookie that they replace is refused by this instance at once, and by the others within
    /// a second, for the rest of its life.
    ///
    /// With a [`store`](Self::store), the store decides about its sessions, and the log is asked
    /// about cookies that have not moved into it, and about
    /// [`revoke_owner`](Self::revoke_owner) and [`revoke_everything`](Self::revoke_everything).
    ///
    /// ```no_run
    /// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_sealed_session::{Revocations, SessionLayer};
    ///
    /// let log = Revocations::connect("redis://localhost:6379/0").await?;
    /// let sessions = SessionLayer::from_env()?.revocations(log);
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// If the layer has a log already.
    #[must_use]
    #[track_caller]
    pub fn revocations(self, log: Revocations) -> Self {
        valid(self.with_revocations(Some(log)))
    }

    /// Ends all sessions of an owner on every instance: those in cookies, and with a store, those
    /// in the store as well. Use it for "log out everywhere", after a change of password, or after
    /// the loss of a device.
    ///
    /// It ends the sessions that began before it returns. To keep that of the visitor who asks,
    /// let them log in again.
    ///
    /// A login whose request came before is a 503, since it may have checked the old password. One
    /// that comes later begins a new session. If the clocks of two instances differ by more than
    /// 30 seconds, a session that began on the one that is ahead may stay.
    ///
    /// ```no_run
    /// # use tower_sealed_session::{Error, Session, SessionLayer};
    /// async fn log_out_everywhere(sessions: &SessionLayer, session: Session) -> Result<(), Error> {
    ///     if let Some(owner) = session.owner() {
    ///         sessions.revoke_owner(&owner).await?;
    ///         session.logout();
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] if the layer has no log, or if the log or the store cannot be
    /// reached. Some sessions may still be valid then. [`ErrorKind::Clock`] if the clock shows a
    /// time before 1970.
    pub async fn revoke_owner(&self, owner: &str) -> Result<(), Error> {
        let config = self.config();
        let now = config.clock.now().ok_or(ErrorKind::Clock)?;
        self.revoking()?.revoke_owner(owner, now).await?;
        if let Some(rows) = config.rows() {
            rows.delete_owner(owner, &[]).await?;
        }
        Ok(())
    }

    /// Ends all sessions of this layer on every instance, in cookies and in a store: after a backup
    /// with old sessions was restored, or after sessions have leaked. If a secret has leaked,
    /// replace the secret instead.
    ///
    /// Every visitor has to log in again. Layers with another cookie name or audience keep their
    /// sessions.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] if the layer has no log, or if it cannot be reached.
    /// [`ErrorKind::Clock`] if the clock shows a time before 1970.
    pub async fn revoke_everything(&self) -> Result<(), Error> {
        let now = self.config().clock.now().ok_or(ErrorKind::Clock)?;
        self.revoking()?.revoke_everything(now).await
    }

    /// Ends the sessions of this layer that began before a time, on every instance, in cookies and
    /// in a store. Those that began at that time or later stay. Use it if sessions may have leaked
    /// until then, such as with a backup of that time.
    ///
    /// The time is that of [`Session::created_at`](crate::Session::created_at), by the clock of the
    /// instance on which the session began, and is rounded up to a millisecond. If clocks may
    /// differ, add the difference to the time. A login within 30 seconds after
    /// [`revoke_owner`](Self::revoke_owner) or [`revoke_everything`](Self::revoke_everything)
    /// begins up to 30 seconds later than it was made. To end all sessions that exist now, use
    /// [`revoke_everything`](Self::revoke_everything).
    ///
    /// The log decides, also about sessions in a store. Their rows stay there until they expire,
    /// and are refused.
    ///
    /// ```no_run
    /// # use tower_sealed_session::{Error, OffsetDateTime, SessionLayer};
    /// async fn after_the_loss_of_a_backup(
    ///     sessions: &SessionLayer,
    ///     made: OffsetDateTime,
    /// ) -> Result<(), Error> {
    ///     sessions.revoke_everything_before(made).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidTime`] if the time is before 1970, or more than 30 seconds ahead of the
    /// clock. Otherwise the same as for [`revoke_everything`](Self::revoke_everything).
    pub async fn revoke_everything_before(&self, time: OffsetDateTime) -> Result<(), Error> {
        let revoking = self.revoking()?;
        let now = self.config().clock.now().ok_or(ErrorKind::Clock)?;
        let before = millis_after(time).ok_or(ErrorKind::InvalidTime)?;
        revoking.revoke_everything_before(before, now).await
    }

    fn revoking(&self) -> Result<&Revoking, Error> {
        let revoking = self.config().revoking.as_ref();
        revoking.ok_or_else(Error::no_log)
    }
}

/// # With a log of revocations
///
/// With the feature `store`.
impl SessionLayerBuilder {
    /// Makes a logout final on every instance; see [`SessionLayer::revocations`]. The last log that
    /// is set counts.
    pub fn revocations(mut self, log: Revocations) -> Self {
        self.revocations = Some(log);
        self
    }
}

/// The first millisecond that is not before a time. `None` before 1970.
fn millis_after(time: OffsetDateTime) -> Option<Millis> {
    let nanos = u128::try_from(time.unix_timestamp_nanos()).ok()?;
    Millis::try_from(nanos.div_ceil(1_000_000)).ok()
}

#[track_caller]
fn valid(layer: Result<SessionLayer, ConfigError>) -> SessionLayer {
    match layer {
        Ok(layer) => layer,
        Err(error) => panic!("{error}"),
    }
}
