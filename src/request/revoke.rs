//! The log of revocations: checks what a request brought, and adds what its response ends.

use std::sync::Arc;

use super::{open::Reader, slot::Slot};
use crate::{
    clock::{self, Millis},
    error::{Error, ErrorKind},
    event::{Event, Reason},
    expiry::Timeouts,
    id::{Family, Serial},
    record::Head,
    revocation::{IN_FLIGHT, Revocations},
    session::{Arrival, Change, Fate, Outcome, Stale, State},
    store::{
        OwnerTag,
        log::{Entry, Name, Revoked, Subject, seconds},
    },
    stored::Vault,
};

/// How far apart the clocks of instances may be. An owner's sessions are ended up to this time
/// from now, since an instance whose clock is ahead may have begun one.
const AHEAD: Millis = 30_000;

/// A cookie that comes so long after `renew` replaced it is a copy, or the response with the new one
/// was lost.
const COPIED: Millis = 60_000;

/// The log of a layer.
#[derive(Clone)]
pub(crate) struct Revoking {
    log: Revocations,
    vault: Arc<Vault>,
    /// How long a session of the layer can live.
    life: Millis,
}

/// What ends with a response.
#[derive(Clone, Copy)]
struct Ending {
    subject: Subject,
    created: Millis,
}

impl Revoking {
    pub(crate) fn new(
        log: Revocations,
        vault: Arc<Vault>,
        clock: &clock::Source,
        timeouts: &Timeouts,
    ) -> Self {
        log.use_clock(clock);
        Self {
            log,
            vault,
            life: timeouts.absolute.max(timeouts.max_remember),
        }
    }

    /// The number of entries for owners that this instance has read, for [`earliest`](Self::earliest).
    pub(super) fn added(&self) -> u64 {
        self.log.set().added()
    }

    /// Fails if this instance has not read the log for too long.
    #[inline]
    fn check_current(&self) -> Result<(), Error> {
        match self.log.refuses() {
            true => Err(Error::stale_log()),
            false => Ok(()),
        }
    }

    /// Whether a session in a cookie, or its id, was revoked, and when.
    #[inline]
    fn find(&self, head: Head) -> Option<(Revoked, Millis)> {
        let set = self.log.set();
        if !set.has_sessions() {
            return None;
        }
        let (family, id) = self.names(head.family(), head.id.serial());
        set.find(family, id)
    }

    /// Whether the sessions of that owner, or all of the layer, were revoked that were created then.
    #[inline]
    fn has_revoked(&self, created: Millis, owner: Option<&str>) -> bool {
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
        let owners = owner.into_iter().flat_map(|owner| self.vault.tags(owner));
        let tags = owners.chain([self.vault.layer_tag()]);
        self.log.set().before(tags)
    }

    /// When a session of that owner has to begin at the earliest, so that it is not revoked. `seen`
    /// is what [`added`](Self::added) was when the request came.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ended`] if the owner's sessions were revoked while the request of a login was in
    /// flight: it may have checked a password that is no longer valid.
    fn earliest(&self, owner: Option<&str>, created: Millis, seen: u64) -> Result<Millis, Error> {
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

    fn names(&self, family: Family, serial: Serial) -> (Name, Name) {
        let key = self.vault.key(family);
        let [first, last] = [&key.as_bytes()[..8], &key.as_bytes()[8..]]
            .map(|half| Name::from_be_bytes(half.try_into().expect("a key has 16 bytes")));
        (first, last ^ Name::from_be_bytes(serial.0))
    }

    fn family(&self, family: Family, revoked: Revoked) -> Ending {
        let (name, _) = self.names(family, Serial::default());
        Ending {
            subject: Subject::Session(name, revoked),
            created: family.created,
        }
    }

    fn id(&self, head: Head) -> Ending {
        let (_, name) = self.names(head.family(), head.id.serial());
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

    async fn append(&self, entries: &[Entry]) -> Result<u64, Error> {
        self.log.append(entries).await.map_err(Error::store)
    }

    /// Ends the sessions of an owner on every instance.
    #[cfg(feature = "store")]
    pub(crate) async fn revoke_owner(&self, owner: &str, now: Millis) -> Result<(), Error> {
        let known = self.before(Some(owner)).map_or(0, |(before, _)| before);
        self.revoke(self.vault.tags(owner), Subject::Owner, now, known)
            .await
    }

    /// Ends all sessions of the layer on every instance.
    #[cfg(feature = "store")]
    pub(crate) async fn revoke_everything(&self, now: Millis) -> Result<(), Error> {
        let known = self.log.set().latest();
        self.revoke([self.vault.layer_tag()], Subject::Layer, now, known)
            .await
    }

    /// `known` is the time of earlier entries. A later login begins at that time, see
    /// [`earliest`](Self::earliest), and it may be after the new one if a clock is behind.
    #[cfg(feature = "store")]
    async fn revoke(
        &self,
        tags: impl IntoIterator<Item = OwnerTag>,
        subject: fn(OwnerTag, Millis) -> Subject,
        now: Millis,
        known: Millis,
    ) -> Result<(), Error> {
        let before = match now.saturating_add(AHEAD) {
            before if before < known => known.saturating_add(1),
            before => before,
        };
        let entries = tags.into_iter().map(|tag| Entry {
            subject: subject(tag, before),
            at: seconds(now),
            until: seconds(before.saturating_add(self.life)),
        });
        let entries: Vec<_> = entries.collect();
        self.append(&entries).await.map(drop)
    }
}

impl Reader<'_> {
    /// The same arrival, without its session if the log says that it ended.
    #[inline(always)] // see `Reader::read`
    pub(super) fn unless_revoked(&mut self, arrival: Arrival) -> Result<Arrival, Error> {
        let (Some(revoking), Some(incoming)) = (&self.config.revoking, &arrival.incoming) else {
            return Ok(arrival);
        };
        revoking.check_current()?;
        let record = &incoming.record;
        if !record.stored
            && incoming.row.is_none()
            && let Some((revoked, at)) = revoking.find(record.head)
        {
            return Ok(self.revoked(arrival, revoked, at));
        }
        match revoking.has_revoked(record.head.times.created, record.owner()) {
            true => Ok(self.refused(arrival, Reason::Revoked, Fate::Begin)),
            false => Ok(arrival),
        }
    }

    #[cold]
    fn revoked(&mut self, arrival: Arrival, revoked: Revoked, at: Millis) -> Arrival {
        let arrived = self.arrived.or(arrival.opened).unwrap_or(0);
        let flies = arrived < at.saturating_add(IN_FLIGHT);
        let fate = match revoked {
            _ if !flies => Fate::Begin,
            Revoked::LoggedOut => Fate::Drop,
            Revoked::Continued | Revoked::Renewed => Fate::Fail,
        };
        if revoked != Revoked::Renewed {
            return self.refused(arrival, Reason::Ended, fate);
        }
        if let Some(incoming) = &arrival.incoming
            && incoming.issued_at() <= at
            && arrived >= at.saturating_add(COPIED)
        {
            let head = incoming.record.head;
            let ends = self.config.rules.end_on_reuse;
            let session = head.id;
            self.events.push(Event::Reused { session, ends });
            self.copied = ends.then_some(head.family());
        }
        self.refused(arrival, Reason::Replaced, fate)
    }

    fn refused(&mut self, mut arrival: Arrival, reason: Reason, changes: Fate) -> Arrival {
        self.events.push(Event::Rejected(reason));
        if let Some(incoming) = arrival.incoming.take() {
            arrival.stale = Some(Box::new(Stale {
                family: incoming.record.head.family(),
                changes,
                in_store: incoming.record.stored || incoming.row.is_some(),
            }));
        }
        arrival
    }
}

impl Slot {
    /// Ends a session of which a copy came.
    pub(super) async fn end_copied(&self, family: Family) -> Result<(), Error> {
        if let Some(revoking) = &self.config.revoking {
            let now = self.config.clock.now().ok_or(ErrorKind::Clock)?;
            let ending = revoking.family(family, Revoked::LoggedOut);
            revoking.append(&[revoking.entry(ending, now)]).await?;
        }
        Ok(())
    }

    /// Moves the beginning of a new session behind the revocation of earlier ones.
    pub(super) fn begin_unrevoked(&self, state: &State, outcome: Outcome) -> Result<(), Error> {
        let Some(revoking) = &self.config.revoking else {
            return Ok(());
        };
        let owner = match outcome {
            Outcome::Write(Change::LoggedIn) => state.owner(),
            Outcome::Write(Change::Created) => None,
            _ => return Ok(()),
        };
        let created = state.created();
        let earliest = revoking.earliest(owner.as_deref(), created, self.seen)?;
        state.begin_at(earliest);
        Ok(())
    }

    /// Whether the log has to be told before the response is sent.
    pub(super) fn has_to_revoke(&self, state: &State, outcome: Outcome) -> bool {
        let revoking = self.config.revoking.as_ref();
        revoking.is_some_and(|revoking| {
            self.log_out_of(revoking, state).is_some()
                || next_of(revoking, state, outcome).is_some()
        })
    }

    /// Tells the log what the response ends, and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`], and [`ErrorKind::Ended`] if another request renewed the same id.
    pub(super) async fn revoke(&self, state: &State, outcome: Outcome) -> Result<(), Error> {
        let Some(revoking) = &self.config.revoking else {
            return Ok(());
        };
        let now = self.config.clock.now().ok_or(ErrorKind::Clock)?;
        if let Some(ending) = self.log_out_of(revoking, state) {
            let entry = revoking.entry(ending, now);
            revoking.append(&[entry]).await.inspect_err(|_| {
                revoking.log.append_later(entry);
            })?;
        }
        let Some(ending) = next_of(revoking, state, outcome) else {
            return Ok(());
        };
        let is_new = revoking.append(&[revoking.entry(ending, now)]).await? > 0;
        match outcome {
            _ if is_new => {}
            Outcome::Write(Change::LoggedIn) => {
                // a request on another instance ended the session, so its entries must not come back
                if !self.knows_end(state) {
                    state.drop_carried();
                }
            }
            _ => return Err(ErrorKind::Ended.into()),
        }
        Ok(())
    }

    /// Tells the log of a logout whose request has no response.
    pub(super) fn log_out_later(&self, state: &State) {
        if let Some(revoking) = &self.config.revoking
            && let Some(ending) = self.log_out_of(revoking, state)
            && let Some(now) = self.config.clock.now()
        {
            revoking.log.append_later(revoking.entry(ending, now));
        }
    }

    /// Notes that a session moved from its cookie to the store.
    pub(super) async fn revoke_moved(&self, state: &State) -> Result<(), Error> {
        let (Some(revoking), Some(head)) = (&self.config.revoking, in_cookie(state)) else {
            return Ok(());
        };
        if self.config.keeps_all_in_store() {
            // the store is asked about its cookie
            return Ok(());
        }
        let now = self.config.clock.now().ok_or(ErrorKind::Clock)?;
        let ending = revoking.family(head.family(), Revoked::Continued);
        revoking
            .append(&[revoking.entry(ending, now)])
            .await
            .map(drop)
    }

    /// The session that a logout of this request ends, or that the legacy app ended.
    fn log_out_of(&self, revoking: &Revoking, state: &State) -> Option<Ending> {
        let family = match state.logged_out() {
            true => match state.incoming() {
                Some(_) => in_cookie(state).map(|head| head.family()),
                None => state
                    .stale_arrival()
                    .filter(|stale| !stale.in_store)
                    .map(|stale| stale.family),
            },
            false => state.legacy_logout(),
        };
        family.map(|family| revoking.family(family, Revoked::LoggedOut))
    }

    /// Whether this process knows how the session ended.
    fn knows_end(&self, state: &State) -> bool {
        let ended = &self.config.rules.ended;
        in_cookie(state).is_some_and(|head| {
            let end = ended.find(head.family(), head.id.serial(), state.flight());
            end.is_some_and(|end| end.family)
        })
    }
}

/// The session or the id that a login or a renewal replaces.
fn next_of(revoking: &Revoking, state: &State, outcome: Outcome) -> Option<Ending> {
    let Outcome::Write(change) = outcome else {
        return None;
    };
    let head = in_cookie(state).filter(|_| !state.logged_out())?;
    match change {
        Change::LoggedIn => Some(revoking.family(head.family(), Revoked::Continued)),
        Change::Renewed => Some(revoking.id(head)),
        Change::Created | Change::Content => None,
    }
}

/// The session that the request brought in its cookie.
fn in_cookie(state: &State) -> Option<Head> {
    let incoming = state.incoming()?;
    let in_cookie = !incoming.record.stored && incoming.row.is_none();
    (in_cookie && incoming.origin.has_own_id()).then_some(incoming.record.head)
}
