//! What a session asks of its request.

use super::slot::Slot;
use crate::{
    clock::Millis,
    error::{Error, ErrorKind},
    record::Head,
    session::{Answer, RequestContext, Rules, State},
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
        self.config.companion.is_some()
    }

    fn commit(&self) -> Answer<'_, ()> {
        let state = self.state();
        if state.is_sent() {
            return Answer::Ready(Err(ErrorKind::Late.into()));
        }
        match self.config.rows() {
            None => Answer::Ready(Ok(())),
            Some(rows) => Answer::Later(Box::pin(async move {
                rows.commit_early(state, &self.lane, &self.config.clock)
                    .await
            })),
        }
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
                Some(valid) => Ok(valid),
                None => self.is_valid_here(),
            }
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
            let (family, flight) = (Head { id, times }.family(), self.state().flight());
            if rules.ended.find(family, id.serial(), flight).is_some() {
                self.state().lose();
                return Ok(false);
            }
        }
        Ok(rules.timeouts.check(times, now).is_ok())
    }
}
