use http::{HeaderMap, Response, header::SET_COOKIE};

use super::Slot;
use crate::{
    cookie::{cache, cache::Exposure},
    ended,
    error::{Error, ErrorKind},
    event::{Drop, Event},
    key::Age,
    session::{Base, Change, Outcome, State},
};

impl Slot {
    /// The second door: tells the browser what became of the session.
    pub(crate) fn commit<B: Default>(&self, mut response: Response<B>) -> Response<B> {
        let sent = match self.opened.get() {
            None => return response,
            Some(Err(_)) => Ok(Exposure::Opened),
            Some(Ok(state)) => self.send(state, response.headers_mut()),
        };
        match sent {
            Ok(exposure) => {
                cache::mark(response.headers_mut(), exposure);
                response
            }
            Err(error) => {
                Event::Failed(error.kind()).emit();
                // Nothing of a response that was meant for a kept session goes out.
                error.onto(Response::new(B::default()))
            }
        }
    }

    fn send(&self, state: &State, headers: &mut HeaderMap) -> Result<Exposure, Error> {
        match state.settle() {
            Outcome::Keep => Ok(self.refresh(state, headers)),
            Outcome::Write(change) => self.write(state, change, headers),
            Outcome::Remove { logged_out } => Ok(self.remove(state, logged_out, headers)),
        }
    }

    fn write(
        &self,
        state: &State,
        change: Change,
        headers: &mut HeaderMap,
    ) -> Result<Exposure, Error> {
        let now = self.settings.clock.now().ok_or(ErrorKind::Clock)?;
        let (head, bytes) = self.settings.seal(state, now)?;
        if now >= self.settings.rules.timeouts.end(head.times) {
            Event::Dropped(Drop::Expired).emit();
            return Ok(Exposure::Opened);
        }
        // Last of all, so that the response goes out on what is true now.
        let meanwhile_ended = match (change, state.base_id()) {
            (_, None) => false,
            (Change::Renewed, Some(id)) => !ended::end(id),
            (Change::LoggedIn, Some(id)) => {
                ended::end(id);
                false
            }
            (_, Some(id)) => ended::is_ended(id),
        };
        if meanwhile_ended {
            Event::Dropped(Drop::Ended).emit();
            return Ok(Exposure::Opened);
        }
        headers.append(SET_COOKIE, self.settings.set_cookie(head, &bytes, now));
        match state.base_id() {
            Some(from) if from != head.id => Event::Renewed { from, to: head.id }.emit(),
            Some(_) => Event::Changed(head.id).emit(),
            None => Event::Created(head.id).emit(),
        }
        Ok(match change {
            Change::LoggedIn => Exposure::Login,
            _ => Exposure::Cookie,
        })
    }

    /// Seals a session that nothing changed anew, if it is time. Where that fails nothing is lost.
    fn refresh(&self, state: &State, headers: &mut HeaderMap) -> Exposure {
        let timeouts = &self.settings.rules.timeouts;
        let Some(base) = state.base() else {
            return Exposure::Opened;
        };
        let times = base.record.head.times;
        let due = timeouts.refresh_due(times, base.age == Age::Fallback, state.opened());
        if !due || base.is_vacant() || cache::is_public(headers) {
            return Exposure::Opened;
        }
        if state.size(&self.settings.rules) > self.settings.rules.limit {
            Event::Dropped(Drop::TooLarge).emit();
            return Exposure::Opened;
        }
        let Some(now) = self.settings.clock.now() else {
            return Exposure::Opened;
        };
        if timeouts.refresh_can_wait(times, state.opened(), now)
            || ended::is_ended(base.record.head.id)
        {
            return Exposure::Opened;
        }
        match self.settings.seal(state, now) {
            Ok((head, bytes)) if now < timeouts.end(head.times) => {
                headers.append(SET_COOKIE, self.settings.set_cookie(head, &bytes, now));
                Event::Refreshed(head.id).emit();
                Exposure::Cookie
            }
            _ => Exposure::Opened,
        }
    }

    fn remove(&self, state: &State, logged_out: bool, headers: &mut HeaderMap) -> Exposure {
        if let Some(id) = state.base_id() {
            if logged_out {
                ended::end(id);
            } else if ended::is_ended(id) {
                Event::Dropped(Drop::Ended).emit();
                return Exposure::Opened;
            }
        }
        headers.append(SET_COOKIE, self.settings.template.remove());
        Event::Removed.emit();
        if logged_out {
            Exposure::Login
        } else {
            Exposure::Cookie
        }
    }
}

impl Base {
    fn is_vacant(&self) -> bool {
        self.record.owner().is_none() && self.record.entries().as_bytes().is_empty()
    }
}
