//! Makes the cookies of a response from the outcome of its request.

use super::{
    config::Config,
    open::CookieHeaders,
    respond::{Cookies, Reply},
};
use crate::{
    clock::Millis,
    cookie::cache::Exposure,
    error::{Error, ErrorKind},
    event::{DropReason, EndReason, Event},
    expiry::Timeouts,
    id::SessionId,
    metrics::Metrics,
    record::Head,
    revocation::{Ended, Why},
    session::{Change, Fate, Outcome, State},
    store::log::Revoked,
    stored::Saved,
};

/// The commit of one request.
pub(super) struct Commit<'a> {
    pub(super) config: &'a Config,
    pub(super) cookies: &'a CookieHeaders,
    pub(super) state: &'a State,
}

impl Commit<'_> {
    /// The reply if no call to the store is needed.
    ///
    /// `public`: whether shared caches may store the response.
    pub(super) fn reply(&self, outcome: Outcome, public: impl FnOnce() -> bool) -> Reply {
        let (state, ended) = (self.state, &self.config.rules.ended);
        if let Some(family) = state.legacy_logout() {
            ended.end(family, Why::LoggedOut);
        }
        let logged_out = state.logged_out();
        if logged_out && let Some(incoming) = state.incoming() {
            let head = incoming.record.head;
            if ended.end(head.family(), Why::LoggedOut).is_none() {
                self.tell_ended(head.id, EndReason::Logout);
            }
        }
        let reply = match outcome {
            Outcome::NoChange if logged_out && state.previous().is_none() => Ok(self.removal()),
            Outcome::NoChange => self.keep(public),
            Outcome::Write(change) => self.write(change),
            Outcome::Emptied => self.empty(),
        };
        reply.unwrap_or_else(|error| {
            self.state.lose();
            Reply::Error {
                error,
                cookies: [None, None],
            }
        })
    }

    /// The reply after the store was called.
    pub(super) fn reply_saved(&self, saved: Saved, now: Millis) -> Result<Reply, Error> {
        match saved {
            Saved::Same => Ok(Reply::Unchanged),
            Saved::Ticket(head, change) => self.ticket(head, change, now),
            Saved::Cookie(change) => {
                let (_, cookies) = self.lines(now)?;
                Ok(self.set_cookies(change, cookies, None))
            }
            Saved::Removed => Ok(self.removal()),
            Saved::Dropped(reason) => Ok(self.dropped(reason)),
        }
    }

    /// The reply if the session could not be saved to the store, or if its cookie could not be
    /// made.
    pub(super) fn reply_failed(&self, error: Error) -> Reply {
        let state = self.state;
        state.lose();
        let cookies = match state.logged_out() {
            true => {
                if !state.left().is_empty() {
                    Event::LogoutIncomplete.emit(self.metrics());
                }
                self.unsent_ticket().unwrap_or_else(|| self.removals())
            }
            false => self.unsent_ticket().unwrap_or_default(),
        };
        Reply::Error { error, cookies }
    }

    /// The ticket of an earlier commit of this request, if the browser does not have it yet. That
    /// commit may have ended the old session.
    fn unsent_ticket(&self) -> Option<Cookies> {
        let (_, previous) = (self.state.unsent()?, self.state.previous()?);
        let now = self.config.clock.now()?;
        self.ticket_lines(previous.head, now).ok()
    }

    fn tell_ended(&self, session: SessionId, reason: EndReason) {
        Event::Ended { session, reason }.emit(self.metrics());
    }

    fn metrics(&self) -> &Metrics {
        &self.config.rules.metrics
    }

    fn keep(&self, public: impl FnOnce() -> bool) -> Result<Reply, Error> {
        if self.config.storage.is_some()
            && let Some(previous) = self.state.previous()
            && previous.row.is_some()
        {
            let Some(change) = self.state.unsent() else {
                return Ok(Reply::Unchanged);
            };
            let now = self.config.clock.now().ok_or(ErrorKind::Clock)?;
            return self.ticket(previous.head, change, now);
        }
        if self.state.legacy_logout().is_some() {
            let cookies = [Some(self.config.codec.template.remove()), None];
            return Ok(cookies_of(Exposure::Login, cookies, Some(Event::Removed)));
        }
        Ok(self.refresh(public).unwrap_or(Reply::Unchanged))
    }

    /// Seals an unchanged session again, if it is due. If that fails, nothing is lost.
    fn refresh(&self, public: impl FnOnce() -> bool) -> Option<Reply> {
        let (state, rules) = (self.state, &self.config.rules);
        let (incoming, opened) = (state.incoming()?, state.opened()?);
        let due = state.refresh_due(rules, opened);
        let needed = incoming.origin.needs_cookie() && !incoming.is_vacant();
        if !(due || needed) || public() || !matches!(self.revoked(), Ok(None)) {
            return None;
        }
        let now = self.config.clock.now()?;
        let Head { id, times } = incoming.record.head;
        let family = incoming.record.head.family();
        let fresh = due && !rules.timeouts.refresh_can_wait(times, opened, now);
        let used = match fresh {
            true => now,
            // sealed with the old time, so that a cookie of a concurrent request counts as newer
            false if needed && !Timeouts::is_slow(opened, now) => times.issued_at(),
            false => return None,
        };
        let keep_legacy = !fresh && incoming.origin.is_legacy();
        let sealed = self.config.codec.set(rules, state, used, now);
        let sealed = sealed.and_then(|(head, line)| {
            let legacy = self.legacy_line(head, now, keep_legacy)?;
            Ok((head, [Some(line), legacy]))
        });
        match sealed {
            Ok((head, cookies)) => {
                let ends = |flight| {
                    let ended = rules.ended.find(family, id.serial(), Some(flight));
                    ended.is_some()
                };
                let valid =
                    now < rules.timeouts.end(head.times) && !state.flight().is_some_and(ends);
                let event = Some(Event::Refreshed(head.id));
                valid.then(|| cookies_of(Exposure::Cookie, cookies, event))
            }
            Err(error) => {
                if error.kind() == ErrorKind::TooLarge {
                    Event::Dropped(DropReason::TooLarge).emit(self.metrics());
                }
                None
            }
        }
    }

    fn write(&self, change: Change) -> Result<Reply, Error> {
        let (state, rules) = (self.state, &self.config.rules);
        state.opened().ok_or(ErrorKind::Clock)?;
        let now = self.config.clock.now().ok_or(ErrorKind::Clock)?;
        if change != Change::LoggedIn
            && let Some(stale) = state.stale()
        {
            match stale.changes {
                Fate::Begin | Fate::Refused => {}
                Fate::Drop => return Ok(self.dropped(DropReason::Ended)),
                Fate::Fail | Fate::Unreadable => return Err(ErrorKind::Ended.into()),
            }
        }
        // after a logout, a new session replaces the one that came in
        let incoming = state.incoming().filter(|_| !state.logged_out());
        let before = incoming.map(|incoming| incoming.record.head);
        let (head, mut cookies) = self.lines(now)?;
        if now >= rules.timeouts.end(head.times) {
            // it was live when it was opened, unless `remember` ended it
            let straddles = change != Change::LoggedIn
                && before.is_some_and(|head| now >= rules.timeouts.end(head.times));
            return match straddles {
                true => Ok(self.dropped(DropReason::Expired)),
                false => Err(ErrorKind::Expired.into()),
            };
        }
        // checked last, since another request may end the session in the meantime
        if change == Change::Content
            && let Some(revoked) = self.revoked()?
        {
            return match revoked {
                Revoked::LoggedOut => Ok(self.dropped(DropReason::Ended)),
                Revoked::Continued | Revoked::Renewed => Err(ErrorKind::Ended.into()),
            };
        }
        if let (Some(head), Some(flight)) = (before, state.flight()) {
            let (family, serial) = (head.family(), head.id.serial());
            let ended = match change {
                Change::LoggedIn => {
                    let login = state.end_by_login(rules);
                    let before = rules.ended.end(family, login);
                    if before.is_none() {
                        self.tell_ended(head.id, EndReason::Login);
                    }
                    if before.is_some_and(|before| before != login) {
                        // another request ended the session, so its entries must not come back
                        state.drop_carried();
                        (_, cookies) = self.lines(now)?;
                    }
                    None
                }
                Change::Renewed => rules.ended.renew(family, serial, flight),
                _ => rules.ended.find(family, serial, Some(flight)),
            };
            if let Some(ended) = ended.filter(|ended| ended.refuses_changes()) {
                return self.lost(ended);
            }
        }
        let event = match before.map(|head| head.id) {
            Some(from) if from != head.id => Event::Renewed {
                from,
                to: head.id,
                login: change == Change::LoggedIn,
            },
            Some(_) => Event::Changed(head.id),
            None => Event::Created(head.id),
        };
        Ok(self.set_cookies(change, cookies, Some(event)))
    }

    /// Why the session that came in can no longer be used, if the log says so by now.
    fn revoked(&self) -> Result<Option<Revoked>, Error> {
        let (Some(revoking), Some(incoming)) = (&self.config.revoking, self.state.incoming())
        else {
            return Ok(None);
        };
        let (record, in_cookie) = (&incoming.record, incoming.row.is_none());
        revoking.ended(record.head, record.owner(), in_cookie)
    }

    /// The headers that set our cookie, sealed at `now`, and the legacy one.
    fn lines(&self, now: Millis) -> Result<(Head, Cookies), Error> {
        let Config { codec, rules, .. } = self.config;
        let (head, line) = codec.set(rules, self.state, now, now)?;
        Ok((head, [Some(line), self.legacy_line(head, now, false)?]))
    }

    /// The session has neither entries nor an owner any more.
    fn empty(&self) -> Result<Reply, Error> {
        let state = self.state;
        if let (Some(incoming), Some(flight)) = (state.incoming(), state.flight()) {
            let head = incoming.record.head;
            let ended = &self.config.rules.ended;
            let ended = ended.find(head.family(), head.id.serial(), Some(flight));
            if let Some(ended) = ended.filter(|ended| ended.refuses_changes()) {
                return self.lost(ended);
            }
        }
        if let Some(incoming) = state.incoming() {
            self.tell_ended(incoming.record.head.id, EndReason::Emptied);
        }
        Ok(self.removal())
    }

    /// Another request ended the session, or gave it another id.
    fn lost(&self, ended: Ended) -> Result<Reply, Error> {
        match ended.why {
            Why::LoggedOut => Ok(self.dropped(DropReason::Ended)),
            Why::Renewed | Why::LoggedIn(_) => Err(ErrorKind::Ended.into()),
        }
    }

    fn dropped(&self, reason: DropReason) -> Reply {
        self.state.lose();
        Event::Dropped(reason).emit(self.metrics());
        Reply::Unchanged
    }

    fn removal(&self) -> Reply {
        let exposure = match self.state.logged_out() {
            true => Exposure::Login,
            false => Exposure::Cookie,
        };
        cookies_of(exposure, self.removals(), Some(Event::Removed))
    }

    fn ticket(&self, head: Head, change: Change, now: Millis) -> Result<Reply, Error> {
        let cookies = self.ticket_lines(head, now)?;
        Ok(self.set_cookies(change, cookies, None))
    }

    fn set_cookies(
        &self,
        change: Change,
        cookies: Cookies,
        event: Option<Event<'static>>,
    ) -> Reply {
        let exposure = match self.state.logged_out() {
            true => Exposure::Login,
            false => change.into(),
        };
        cookies_of(exposure, cookies, event)
    }

    fn ticket_lines(&self, head: Head, now: Millis) -> Result<Cookies, Error> {
        let Config { codec, rules, .. } = self.config;
        let line = codec.set_ticket(rules, self.state.opened(), head, now)?;
        Ok([Some(line), self.legacy_line(head, now, false)?])
    }
}

fn cookies_of(exposure: Exposure, cookies: Cookies, event: Option<Event<'static>>) -> Reply {
    Reply::Cookies {
        exposure,
        cookies,
        event,
    }
}

#[cfg(test)]
mod tests {
    use http::{
        HeaderMap, Response, StatusCode,
        header::{COOKIE, SET_COOKIE},
    };

    use super::*;
    use crate::{
        KeyRing, SessionLayer,
        cookie::MAX_PAIR,
        entries::{Entries, Merge},
        inside::{committed, with_events},
        record,
        request::{Slot, Value},
        seal, testing,
    };

    /// Another writer of the format may pad less. Its record opens here but does not fit when
    /// padded.
    #[test]
    fn a_record_that_becomes_too_large_is_not_sent() {
        let clock = testing::TestClock::default();
        let keys = KeyRing::ephemeral().expect("entropy");
        let builder = SessionLayer::builder(keys).name("a-longer-session");
        let layer = builder.clock(clock.clone()).build().expect("possible");
        let config = layer.config();
        let session = testing::session(&layer);
        session.insert("k", "x".repeat(2900)).expect("fits");
        let now = config.clock.now().expect("after 1970");
        let (codec, rules) = (&config.codec, &config.rules);
        let (head, _) = codec.set(rules, session.state(), now, now).expect("sealed");
        let Value::Sealed { keys, .. } = &codec.value else {
            unreachable!("the layer seals its cookies")
        };

        let json = format!("\"{}\"", "x".repeat(2956));
        let values = vec![("k", Some(json.as_bytes())), ("n", Some(&b"1"[..]))];
        let entries = Merge::new(Entries::default(), values).apply();
        let mut record = record::encode(head, None, Entries::trusted(&entries), seal::HEADROOM, 0);
        record.truncate(record.len() - record.iter().rev().take_while(|&&b| b == 0).count());
        let bytes = seal::seal(keys.current(), b"", &[1; seal::RANDOM_LEN], record);
        let mut pair = format!("{}=", layer.cookie_name()).into_bytes();
        seal::append_text(&bytes, &mut pair);
        assert!(pair.len() - 1 <= MAX_PAIR);
        let cookie = http::HeaderValue::from_bytes(&pair).expect("a header");
        let headers = HeaderMap::from_iter([(COOKIE, cookie)]);

        clock.advance(std::time::Duration::from_secs(600));
        let open = || {
            let slot = Slot::new(config.clone(), &headers, None);
            let session = slot.open_now().expect("it opens");
            assert_eq!(session.len(), 2);
            (slot, session)
        };
        let (slot, _) = open();
        let (refreshed, events) = with_events(|| committed(&slot, Response::new(())));
        assert_eq!(refreshed.status(), StatusCode::OK);
        assert!(!refreshed.headers().contains_key(SET_COOKIE));
        assert!(events.contains("dropped") && events.contains("too_large"));

        let (slot, session) = open();
        session.renew();
        let renewed = committed(&slot, Response::new(()));
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
            committed(&slot, Response::new(()))
                .headers()
                .contains_key(SET_COOKIE)
        );
    }

    #[test]
    fn a_login_that_fails_because_of_the_clock_changes_nothing() {
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
