use std::{pin::Pin, sync::Arc};

use http::{HeaderMap, HeaderValue, Response, header::SET_COOKIE};

use super::Slot;
use crate::{
    cookie::cache::{self, Exposure},
    ended,
    error::{Error, ErrorKind},
    event::{Drop, Event},
    expiry::Timeouts,
    record::Head,
    session::{Change, Outcome, State},
};

/// The cookies that layers of other names have set inside this one, in the response's extensions: their sessions are
/// renewed or ended already, whatever becomes of this layer's.
#[derive(Clone, Default)]
struct SetInside(Vec<HeaderValue>);

/// The second door: at once, or after a store was told.
pub(crate) enum Commit {
    Done,
    #[cfg_attr(
        not(feature = "store"),
        expect(dead_code, reason = "no store, no waiting")
    )]
    Waits(Pin<Box<dyn Future<Output = Sent> + Send>>),
}

/// What goes out with the response.
pub(crate) struct Sent {
    pub(super) exposure: Exposure,
    pub(super) lines: Vec<HeaderValue>,
    /// What replaces the response.
    pub(super) error: Option<Error>,
}

impl Slot {
    /// The second door: tells the browser what became of the session. If a store has to be told first, the rest is for
    /// [`finish`](Self::finish).
    pub(crate) fn commit<B: Default>(self: &Arc<Self>, response: &mut Response<B>) -> Commit {
        self.mark_done();
        let before = self.lines_inside(response);
        let sent = match self.opened.get() {
            None => return Commit::Done,
            Some(Err(_)) => Ok(Exposure::Opened),
            Some(Ok(state)) => {
                let outcome = state.settle();
                #[cfg(feature = "store")]
                if self.settings.storage().is_some() {
                    let public = cache::is_public(response.headers());
                    if self.waits(state, outcome, public) {
                        return Commit::Waits(self.clone().tell_store(outcome, public));
                    }
                }
                self.send(state, outcome, response.headers_mut())
                    .inspect_err(|_| state.lose())
            }
        };
        self.conclude(response, before, sent);
        Commit::Done
    }

    /// Sends what came of telling the store.
    pub(crate) fn finish<B: Default>(&self, response: &mut Response<B>, sent: Sent) {
        let before = self.lines_inside(response);
        let append = |response: &mut Response<B>| {
            let lines = sent.lines.into_iter().map(|line| (SET_COOKIE, line));
            response.headers_mut().extend(lines);
        };
        match sent.error {
            None => {
                append(response);
                self.conclude(response, before, Ok(sent.exposure));
            }
            Some(error) => {
                self.conclude(response, before, Err(error));
                append(response);
            }
        }
    }

    /// How many cookies layers inside have set.
    fn lines_inside<B>(&self, response: &Response<B>) -> usize {
        match &self.outer {
            Some(_) => response.headers().get_all(SET_COOKIE).iter().count(),
            None => 0,
        }
    }

    fn conclude<B: Default>(
        &self,
        response: &mut Response<B>,
        before: usize,
        sent: Result<Exposure, Error>,
    ) {
        match sent {
            Ok(exposure) => {
                cache::mark(response, exposure, self.outer.is_some());
                if exposure != Exposure::Opened && self.outer.is_some() {
                    self.pass_on(response, before);
                }
            }
            Err(error) => {
                Event::Failed(error.kind()).emit();
                // Nothing of a response that was meant for a kept session goes out.
                let inside = response.extensions_mut().remove::<SetInside>();
                *response = error.onto(Response::new(B::default()));
                if let Some(inside) = inside {
                    let lines = inside.0.iter().map(|line| (SET_COOKIE, line.clone()));
                    response.headers_mut().extend(lines);
                    response.extensions_mut().insert(inside);
                }
            }
        }
    }

    /// Lets the layers outside know of the cookie that was set last.
    fn pass_on<B>(&self, response: &mut Response<B>, before: usize) {
        let lines = response.headers().get_all(SET_COOKIE).iter();
        let ours: Vec<_> = lines.skip(before).cloned().collect();
        let inside = response
            .extensions_mut()
            .get_or_insert_default::<SetInside>();
        inside.0.extend(ours);
    }

    /// The request ended without a response: what it changed goes nowhere, and what it changes now is too late.
    pub(crate) fn abandon(&self) {
        self.mark_done();
        if let Some(Ok(state)) = self.opened.get()
            && state.settle() != Outcome::Keep
        {
            state.lose();
            Event::Dropped(Drop::Unanswered).emit();
        }
    }

    fn send(
        &self,
        state: &State,
        outcome: Outcome,
        headers: &mut HeaderMap,
    ) -> Result<Exposure, Error> {
        #[cfg(feature = "starlette")]
        if let Some(left) = state.left() {
            ended::end(left);
        }
        match outcome {
            #[cfg(feature = "store")]
            Outcome::Keep if state.held().is_some() => self.carry(state, headers),
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
        state.opened().ok_or(ErrorKind::Clock)?;
        let now = self.settings.clock.now().ok_or(ErrorKind::Clock)?;
        let (head, line) = self.settings.set_cookie(state, now, now)?;
        let beside = self.beside(state, head, now, false)?;
        if now >= self.settings.rules.timeouts.end(head.times) {
            return Err(ErrorKind::Expired.into());
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
            state.lose();
            Event::Dropped(Drop::Ended).emit();
            return Ok(Exposure::Opened);
        }
        append(headers, line, beside);
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
        #[cfg(feature = "starlette")]
        if state.left().is_some() {
            headers.append(SET_COOKIE, self.settings.template.remove());
            Event::Removed.emit();
            return Exposure::Login;
        }
        let rules = &self.settings.rules;
        let (Some(base), Some(opened)) = (state.base(), state.opened()) else {
            return Exposure::Opened;
        };
        let due = state.refresh_due(rules, opened);
        let owed = base.origin.owes() && !base.is_vacant();
        if !(due || owed) || cache::is_public(headers) {
            return Exposure::Opened;
        }
        let Some(now) = self.settings.clock.now() else {
            return Exposure::Opened;
        };
        let Head { id, times } = base.record.head;
        let fresh = due && !rules.timeouts.refresh_can_wait(times, opened, now);
        let used = match fresh {
            true => now,
            // as of then, so that it is not taken for newer than what is written meanwhile
            false if owed && !Timeouts::is_slow(opened, now) => times.issued_at(),
            false => return Exposure::Opened,
        };
        let sealed = self.settings.set_cookie(state, used, now);
        let sealed = sealed.and_then(|(head, line)| {
            let leave = !fresh && base.origin.is_legacy();
            let beside = self.beside(state, head, now, leave)?;
            Ok((head, line, beside))
        });
        match sealed {
            Ok((head, line, beside))
                if now < rules.timeouts.end(head.times) && !ended::is_ended(id) =>
            {
                append(headers, line, beside);
                Event::Refreshed(head.id).emit();
                Exposure::Cookie
            }
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                Event::Dropped(Drop::TooLarge).emit();
                Exposure::Opened
            }
            _ => Exposure::Opened,
        }
    }

    fn remove(&self, state: &State, logged_out: bool, headers: &mut HeaderMap) -> Exposure {
        if let Some(id) = state.base_id() {
            if logged_out {
                ended::end(id);
            } else if ended::is_ended(id) {
                state.lose();
                Event::Dropped(Drop::Ended).emit();
                return Exposure::Opened;
            }
        }
        for line in self.removals(state).into_iter().flatten() {
            headers.append(SET_COOKIE, line);
        }
        Event::Removed.emit();
        if logged_out {
            Exposure::Login
        } else {
            Exposure::Cookie
        }
    }
}

#[cfg(not(feature = "starlette"))]
impl Slot {
    pub(super) fn beside(
        &self,
        _: &State,
        _: Head,
        _: u64,
        _: bool,
    ) -> Result<Option<HeaderValue>, Error> {
        Ok(None)
    }

    pub(super) fn removals(&self, _: &State) -> [Option<HeaderValue>; 1] {
        [Some(self.settings.template.remove())]
    }
}

fn append(headers: &mut HeaderMap, ours: HeaderValue, beside: Option<HeaderValue>) {
    headers.append(SET_COOKIE, ours);
    if let Some(line) = beside {
        headers.append(SET_COOKIE, line);
    }
}

#[cfg(test)]
mod tests {
    use http::{Response, StatusCode, header::COOKIE};

    use super::*;
    use crate::{
        KeyRing, SessionLayer,
        entries::{Entries, Splice},
        inside::{sent, told},
        record, seal, testing,
    };

    /// A writer of this format may pad less than this one: such a record opens, and may not fit when padded.
    #[test]
    fn a_record_that_grows_beyond_the_limit_is_not_sent() {
        let clock = testing::TestClock::default();
        let keys = KeyRing::ephemeral().expect("entropy");
        let builder = SessionLayer::builder(keys).name("a-longer-session");
        let layer = builder.clock(clock.clone()).build().expect("possible");
        let settings = layer.settings();
        let session = testing::session(&layer);
        session.insert("k", "x".repeat(2900)).expect("fits");
        let now = settings.clock.now().expect("after 1970");
        let (head, _) = settings
            .seal(settings.form.keys(), session.state(), now)
            .expect("sealed");

        let json = format!("\"{}\"", "x".repeat(2956));
        let entries = Splice::new(Entries::default(), "k", Some(json.as_bytes())).apply();
        let entries = Splice::new(Entries::trusted(&entries), "n", Some(b"1")).apply();
        let mut record = record::encode(head, None, Entries::trusted(&entries), seal::HEADROOM, 0);
        record.truncate(record.len() - record.iter().rev().take_while(|&&b| b == 0).count());
        let bytes = seal::seal(
            settings.form.keys().current(),
            b"",
            &[1; seal::RANDOM_LEN],
            record,
        );
        let mut pair = format!("{}=", layer.cookie_name()).into_bytes();
        seal::append_text(&bytes, &mut pair);
        assert!(pair.len() - 1 <= settings.rules.limit);
        let cookie = http::HeaderValue::from_bytes(&pair).expect("a header");
        let headers = HeaderMap::from_iter([(COOKIE, cookie)]);

        clock.advance(std::time::Duration::from_secs(600));
        let open = || {
            let slot = Slot::new(settings.clone(), &headers, None);
            let session = slot.open_now().expect("it opens");
            assert_eq!(session.len(), 2);
            (slot, session)
        };
        let (slot, _) = open();
        let (refreshed, told) = told(|| sent(&slot, Response::new(())));
        assert_eq!(refreshed.status(), StatusCode::OK);
        assert!(!refreshed.headers().contains_key(SET_COOKIE));
        assert!(told.contains("dropped") && told.contains("too_large"));

        let (slot, session) = open();
        session.renew();
        let renewed = sent(&slot, Response::new(()));
        assert!(!renewed.headers().contains_key(SET_COOKIE));
        let error = renewed.extensions().get::<Error>().expect("the error");
        assert_eq!(error.kind(), ErrorKind::TooLarge);

        let (slot, session) = open();
        assert_eq!(session.take::<u8>("n").expect("a number"), Some(1));
        assert!(
            !session.contains_key("n"),
            "what makes it smaller is never refused"
        );
        assert!(session.take::<String>("k").expect("text").is_some());
        assert!(
            sent(&slot, Response::new(()))
                .headers()
                .contains_key(SET_COOKIE)
        );
    }

    #[test]
    fn a_login_that_fails_for_the_clock_changes_nothing() {
        let clock =
            testing::TestClock::at(time::OffsetDateTime::UNIX_EPOCH - time::Duration::SECOND);
        let keys = KeyRing::ephemeral().expect("entropy");
        let layer = SessionLayer::builder(keys)
            .clock(clock)
            .build()
            .expect("possible");
        let session = testing::session(&layer);
        session.insert("a", 1).expect("small");
        let id = session.id().expect("entropy");
        assert_eq!(
            session.login("ada").expect_err("no clock").kind(),
            ErrorKind::Clock
        );
        assert_eq!((session.owner(), session.len()), (None, 1));
        assert_eq!(session.id().expect("the same"), id);
    }
}
