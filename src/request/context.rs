//! What a session asks of its request.

use super::slot::Slot;
use crate::{
    clock::Millis,
    error::{Error, ErrorKind},
    record::Head,
    session::{Answer, Claim, Outcome, RequestContext, Rules, State},
};

impl RequestContext for Slot {
    fn rules(&self) -> &Rules {
        &self.config.rules
    }

    fn state(&self) -> &State {
        match self.opened.get() {
            Some(Ok(state)) => state,
            _ => unreachable!("only an opened slot makes a session"),
        }
    }

    fn now(&self) -> Option<Millis> {
        self.config.clock.now()
    }

    fn reads_legacy(&self) -> bool {
        self.config.companion.is_some() || self.config.old_ids.is_some()
    }

    fn commit(&self) -> Answer<'_, ()> {
        let state = self.state();
        if state.is_sent() {
            return Answer::Ready(Err(ErrorKind::Late.into()));
        }
        let (rows, revokes) = (self.config.rows(), self.config.revoking.is_some());
        if rows.is_none() && !revokes {
            return Answer::Ready(Ok(()));
        }
        Answer::Later(Box::pin(async move {
            if revokes {
                let outcome = match rows {
                    Some(_) => state.pending(),
                    // the response carries the session; only a logout comes before it
                    None => Outcome::NoChange,
                };
                self.begin_unrevoked(state, outcome)?;
                Box::pin(self.revoke(state, outcome)).await?;
            }
            match rows {
                Some(rows) => {
                    rows.commit_early(state, &self.lane, &self.config.clock)
                        .await
                }
                None => Ok(()),
            }
        }))
    }

    fn still_valid(&self) -> Answer<'_, bool> {
        let Some((rows, previous)) = self.config.rows().zip(self.state().followed()) else {
            return Answer::Ready(self.is_valid_here());
        };
        if !rows.may_know(previous) {
            return Answer::Ready(self.is_valid_here());
        }
        Answer::Later(Box::pin(async move {
            let now = self.config.clock.now().ok_or(ErrorKind::Clock)?;
            match rows.still_valid(previous, now).await? {
                Some(valid) => Ok(valid && !self.is_revoked(previous.head, false)?),
                None => self.is_valid_here(),
            }
        }))
    }

    fn claim_import(&self, owner: String) -> Answer<'_, Option<Claim>> {
        let Some(rows) = self.config.rows() else {
            return Answer::Ready(Err(Error::no_store()));
        };
        Answer::Later(Box::pin(async move {
            let now = self.config.clock.now().ok_or(ErrorKind::Clock)?;
            rows.claim_import(&owner, now).await
        }))
    }

    fn finish_import(&self, claim: Claim) -> Answer<'_, ()> {
        let Some(rows) = self.config.rows() else {
            return Answer::Ready(Err(Error::no_store()));
        };
        Answer::Later(Box::pin(async move {
            let now = self.config.clock.now().ok_or(ErrorKind::Clock)?;
            rows.finish_import(&claim, now).await
        }))
    }

    fn still_admitted(&self) -> Answer<'_, bool> {
        match self.config.check.is_some() {
            true => Answer::Later(Box::pin(self.admits_still())),
            false => Answer::Ready(Ok(true)),
        }
    }
}

impl Slot {
    /// Whether the session is valid now, as far as this process knows.
    fn is_valid_here(&self) -> Result<bool, Error> {
        let Some((id, times)) = self.state().standing() else {
            return Ok(false);
        };
        let rules = &self.config.rules;
        let now = self.config.clock.now().ok_or(ErrorKind::Clock)?;
        if let Some(id) = id {
            let (head, flight) = (Head { id, times }, self.state().flight());
            let ended = rules.ended.find(head.family(), id.serial(), flight);
            if ended.is_some() || self.is_revoked(head, true)? {
                self.state().lose();
                return Ok(false);
            }
        }
        Ok(rules.timeouts.check(times, now).is_ok())
    }

    /// Whether the log says that a session ended.
    fn is_revoked(&self, head: Head, in_cookie: bool) -> Result<bool, Error> {
        let Some(revoking) = &self.config.revoking else {
            return Ok(false);
        };
        let owner = self.state().owner();
        let revoked = revoking.ended(head, owner.as_deref(), in_cookie)?;
        Ok(revoked.is_some())
    }
}
