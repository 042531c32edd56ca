//! The log of revocations of a layer: what it says of a session, and what is added to it.

use super::names::Names;
use crate::{
    clock::{self, Millis},
    error::{Error, ErrorKind},
    expiry::{SKEW, Timeouts},
    id::{Family, Serial},
    record::Head,
    revocation::Revocations,
    store::log::{Entry, Name, Revoked, Subject, seconds},
    stored::Vault,
};

/// How far apart the clocks of instances may be. An owner's sessions are ended up to this time
/// from now, since an instance whose clock is ahead may have begun one.
const AHEAD: Millis = 30_000;

/// The log of a layer.
#[derive(Clone)]
pub(crate) struct Revoking {
    log: Revocations,
    names: Names,
    /// How long a session of the layer can live, also on an instance whose clock is behind.
    life: Millis,
}

/// What ends with a response.
#[derive(Clone, Copy)]
pub(super) struct Ending {
    subject: Subject,
    created: Millis,
}

impl Revoking {
    pub(crate) fn new(
        log: Revocations,
        vault: &Vault,
        clock: &clock::Source,
        timeouts: &Timeouts,
    ) -> Self {
        log.use_clock(clock);
        Self {
            log,
            names: Names::new(vault),
            life: timeouts.absolute.max(timeouts.max_remember) + SKEW,
        }
    }

    /// The number of entries for owners that this instance has read, for [`earliest`](Self::earliest).
    pub(super) fn added(&self) -> u64 {
        self.log.set().added()
    }

    /// Fails if this instance has not read the log for too long.
    #[inline]
    pub(super) fn check_current(&self) -> Result<(), Error> {
        match self.log.refuses() {
            true => Err(Error::stale_log()),
            false => Ok(()),
        }
    }

    /// Whether a session in a cookie, or its id, was revoked, and when.
    #[inline]
    pub(super) fn find(&self, head: Head) -> Option<(Revoked, Millis)> {
        let set = self.log.set();
        if !set.has_sessions() {
            return None;
        }
        let (session, id) = self.names.session(head.family(), head.id.serial());
        set.find(session, id)
    }

    /// Whether the sessions of that owner, or all of the layer, were revoked that were created then.
    #[inline]
    pub(crate) fn has_revoked(&self, created: Millis, owner: Option<&str>) -> bool {
        self.log.set().concerns(created)
            && self
                .before(owner)
                .is_some_and(|(before, _)| created < before)
    }

    /// Why a session that was opened can no longer be used.
    ///
    /// # Errors
    ///
    /// If this instance has not read the log for too long.
    pub(super) fn ended(
        &self,
        head: Head,
        owner: Option<&str>,
        in_cookie: bool,
    ) -> Result<Option<Revoked>, Error> {
        self.check_current()?;
        let found = self.find(head).filter(|_| in_cookie);
        let revoked = || {
            let revoked = self.has_revoked(head.times.created, owner);
            revoked.then_some(Revoked::LoggedOut)
        };
        Ok(found.map(|(revoked, _)| revoked).or_else(revoked))
    }

    fn before(&self, owner: Option<&str>) -> Option<(Millis, u64)> {
        let owners = owner.into_iter().flat_map(|owner| self.names.owner(owner));
        self.log.set().before(owners.chain([self.names.layer()]))
    }

    /// When a session of that owner has to begin at the earliest, so that it is not revoked. `seen`
    /// is what [`added`](Self::added) was when the request came.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ended`] if the owner's sessions were revoked while the request of a login was in
    /// flight: it may have checked a password that is no longer valid.
    pub(super) fn earliest(
        &self,
        owner: Option<&str>,
        created: Millis,
        seen: u64,
    ) -> Result<Millis, Error> {
        if !self.log.set().concerns(created) {
            return Ok(created);
        }
        match self.before(owner) {
            Some((before, _)) if before <= created => Ok(created),
            Some((_, number)) if owner.is_some() && number > seen => Err(ErrorKind::Ended.into()),
            Some((before, _)) => Ok(before),
            None => Ok(created),
        }
    }

    pub(super) fn family(&self, family: Family, revoked: Revoked) -> Ending {
        let (name, _) = self.names.session(family, Serial::default());
        Ending {
            subject: Subject::Session(name, revoked),
            created: family.created,
        }
    }

    pub(super) fn id(&self, head: Head) -> Ending {
        let (_, name) = self.names.session(head.family(), head.id.serial());
        Ending {
            subject: Subject::Session(name, Revoked::Renewed),
            created: head.times.created,
        }
    }

    fn entry(&self, ending: Ending, now: Millis) -> Entry {
        Entry {
            subject: ending.subject,
            at: seconds(now),
            until: seconds(ending.created.saturating_add(self.life)),
        }
    }

    /// Adds an ending, and waits for the answer. Returns whether it was new.
    pub(super) async fn append(&self, ending: Ending, now: Millis) -> Result<bool, Error> {
        let added = self.log.append(&[self.entry(ending, now)]).await;
        Ok(added.map_err(Error::log)? > 0)
    }

    /// Adds an ending in the background.
    pub(super) fn append_later(&self, ending: Ending, now: Millis) {
        self.log.append_later(self.entry(ending, now));
    }

    /// Ends the sessions of an owner on every instance.
    #[cfg(feature = "store")]
    pub(crate) async fn revoke_owner(&self, owner: &str, now: Millis) -> Result<(), Error> {
        let known = self.before(Some(owner)).map_or(0, |(before, _)| before);
        self.revoke(self.names.owner(owner), now, known).await
    }

    /// Ends all sessions of the layer on every instance.
    #[cfg(feature = "store")]
    pub(crate) async fn revoke_everything(&self, now: Millis) -> Result<(), Error> {
        let known = self.log.set().latest();
        self.revoke([self.names.layer()], now, known).await
    }

    /// Ends the sessions of the layer that were created before that time, on every instance.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidTime`] if it is later than that of
    /// [`revoke_everything`](Self::revoke_everything). A later login begins at that time, so other
    /// instances might refuse it as one from the future.
    #[cfg(feature = "store")]
    pub(crate) async fn revoke_everything_before(
        &self,
        before: Millis,
        now: Millis,
    ) -> Result<(), Error> {
        if before > now.saturating_add(AHEAD) {
            return Err(ErrorKind::InvalidTime.into());
        }
        self.end_before([self.names.layer()], before, now).await
    }

    /// `known` is the time of earlier entries. A later login begins at that time, see
    /// [`earliest`](Self::earliest), and it may be after the new one if a clock is behind.
    #[cfg(feature = "store")]
    async fn revoke(
        &self,
        names: impl IntoIterator<Item = Name>,
        now: Millis,
        known: Millis,
    ) -> Result<(), Error> {
        let before = now.saturating_add(AHEAD).max(known.saturating_add(1));
        self.end_before(names, before, now).await
    }

    /// Adds an entry for each name. It lives for as long as a session can live from now on, also if
    /// the time is long ago: another instance may have longer timeouts.
    #[cfg(feature = "store")]
    async fn end_before(
        &self,
        names: impl IntoIterator<Item = Name>,
        before: Millis,
        now: Millis,
    ) -> Result<(), Error> {
        let entries = names.into_iter().map(|name| Entry {
            subject: Subject::Before(name, before),
            at: seconds(now),
            until: seconds(before.max(now).saturating_add(self.life)),
        });
        let entries: Vec<_> = entries.collect();
        let added = self.log.append(&entries).await;
        added.map(drop).map_err(Error::log)
    }
}
