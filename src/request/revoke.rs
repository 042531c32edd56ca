//! What the log of revocations means for a request: it refuses what came in, and is told what the
//! response ends.

use super::{
    open::Reader,
    revoking::{Ending, Revoking},
    slot::Slot,
};
use crate::{
    clock::Millis,
    error::{Error, ErrorKind},
    event::{EndReason, Event, Reason},
    id::{Family, SessionId},
    record::Head,
    revocation::IN_FLIGHT,
    session::{Arrival, Change, Fate, Outcome, Stale, State},
    store::log::Revoked,
};

/// A cookie that comes so long after `renew` replaced it is a copy, or the response with the new one
/// was lost.
const COPIED: Millis = 60_000;

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
            if revoking.append(ending, now).await? {
                let (session, reason) = (SessionId::of(family), EndReason::Reused);
                Event::Ended { session, reason }.emit(&self.config.rules.metrics);
            }
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
            let appended = revoking.append(ending, now).await;
            appended.inspect_err(|_| revoking.append_later(ending, now))?;
        }
        let Some(ending) = next_of(revoking, state, outcome) else {
            return Ok(());
        };
        let is_new = revoking.append(ending, now).await?;
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
            revoking.append_later(ending, now);
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
        revoking.append(ending, now).await.map(drop)
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
