//! The session of one request: its state when the request came in, and the changes since then.

use std::{
    borrow::Cow,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    changes::{Changes, Locked, Phase, entries_of},
    fields,
    incoming::{Arrival, Incoming, Stale},
    outcome::Outcome,
    rules::Rules,
};
use crate::{
    clock::Millis,
    entries::{Entries, Merge},
    error::{Error, ErrorKind},
    id::{Family, SessionId},
    key::Age,
    record::{self, Head, Record, Times},
    revocation::{Flight, Why},
};

/// The session of one request. What came in is outside the lock. The changes are inside.
///
/// Code of the user that could reach the session never runs under the lock, not even a subscriber
/// of events. So a panic cannot leave an incomplete change, and no task can deadlock with itself.
pub(crate) struct State {
    arrival: Arrival,
    /// The request is no activity: it does not extend the idle deadline.
    passive: AtomicBool,
    changes: Mutex<Changes>,
}

impl State {
    pub(crate) fn new(rules: &Rules, arrival: Arrival) -> Self {
        let head = arrival
            .incoming
            .as_ref()
            .map(|incoming| incoming.record.head);
        let begins = || rules.new_times(arrival.opened.unwrap_or(0));
        let id = head.map(|head| head.id);
        let changes = Changes::new(id, head.map_or_else(begins, |head| head.times));
        Self {
            arrival,
            passive: AtomicBool::new(false),
            changes: Mutex::new(changes),
        }
    }

    /// The state of the same request without its session, since the app's check refused it.
    pub(crate) fn refused(self, rules: &Rules) -> Self {
        Self::new(rules, self.arrival.refused())
    }

    /// The owner who is logged in.
    pub(crate) fn owner(&self) -> Option<String> {
        self.lock().owner().map(str::to_owned)
    }

    pub(crate) fn opened(&self) -> Option<Millis> {
        self.arrival.opened
    }

    pub(crate) fn incoming(&self) -> Option<&Incoming> {
        self.arrival.incoming.as_ref()
    }

    /// The id that the request brought.
    pub(crate) fn incoming_id(&self) -> Option<SessionId> {
        Some(self.incoming()?.record.head.id)
    }

    pub(crate) fn legacy_logout(&self) -> Option<Family> {
        self.arrival.legacy_logout
    }

    pub(crate) fn flight(&self) -> Option<&Flight> {
        self.arrival.flight.as_ref()
    }

    /// The session that the cookies name, if it cannot be used. After a logout it does not count.
    pub(crate) fn stale(&self) -> Option<Stale> {
        self.stale_arrival().filter(|_| !self.logged_out())
    }

    pub(crate) fn stale_arrival(&self) -> Option<Stale> {
        self.arrival.stale.as_deref().copied()
    }

    #[inline]
    pub(super) fn lock(&self) -> Locked<'_> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        Locked {
            incoming: self.incoming().filter(|_| !changes.logged_out()),
            changes,
        }
    }

    /// The JSON of an entry, borrowed from what came in if no entry changed.
    pub(super) fn value(&self, key: &str) -> Option<Cow<'_, [u8]>> {
        let mut session = self.lock();
        match &session.changes.entries {
            None => entries_of(session.incoming).get(key).map(Cow::Borrowed),
            Some(_) => session.value(key).map(|value| Cow::Owned(value.to_vec())),
        }
    }

    pub(super) fn contains_key(&self, key: &str) -> bool {
        self.lock().value(key).is_some()
    }

    /// Reads the entries under the lock. `read` must not run code of the user.
    pub(super) fn inspect<T>(&self, read: impl FnOnce(Entries<'_>) -> T) -> T {
        read(self.lock().entries())
    }

    /// Reads a copy of the entries outside the lock.
    pub(crate) fn with_entries<T>(&self, read: impl FnOnce(Entries<'_>) -> T) -> T {
        let bytes = self.inspect(|entries| entries.as_bytes().to_vec());
        read(Entries::trusted(&bytes))
    }

    /// The entries as the text of one JSON object.
    pub(crate) fn object(&self) -> Result<String, Error> {
        let text = self.inspect(fields::to_object);
        String::from_utf8(text).map_err(|_| ErrorKind::Encoding.into())
    }

    /// The id and the times that decide whether the session is valid. `None` if this request knows
    /// that it has ended.
    pub(crate) fn standing(&self) -> Option<(Option<SessionId>, Times)> {
        let session = self.lock();
        let changes = &*session.changes;
        let id = match changes.phase {
            Phase::Sent => changes.id,
            _ => self.incoming_id(),
        };
        (!changes.logged_out() && !changes.lost).then_some((id, changes.times))
    }

    /// When the session expires if it is not used again. If the response would seal it again, the
    /// new time of use counts.
    pub(super) fn end(&self, rules: &Rules) -> Millis {
        let mut session = self.lock();
        let mut times = session.changes.times;
        if let (Phase::Open, Some(opened)) = (session.changes.phase, self.opened())
            && (session.outcome() != Outcome::NoChange || self.refresh_due(rules, opened))
        {
            times.issue(opened);
        }
        rules.timeouts.end(times)
    }

    /// Whether an unchanged session has to be sealed again, or its row has to be touched.
    pub(crate) fn refresh_due(&self, rules: &Rules, opened: Millis) -> bool {
        let Some(incoming) = self.incoming().filter(|_| !self.is_passive()) else {
            return false;
        };
        let (times, timeouts) = (incoming.record.head.times, &rules.timeouts);
        if let Some(row) = incoming.row() {
            return timeouts.touch_due(times, row.expires, opened);
        }
        let fallback = incoming.age == Age::Fallback || incoming.origin.expects_legacy_cookie();
        !incoming.is_vacant() && timeouts.refresh_due(times, fallback, opened)
    }

    /// Whether the request is no activity.
    pub(crate) fn is_passive(&self) -> bool {
        self.passive.load(Ordering::Relaxed)
    }

    pub(super) fn set_passive(&self) {
        self.passive.store(true, Ordering::Relaxed);
    }

    /// Decides what the response has to do. Later changes are refused.
    pub(crate) fn settle(&self) -> Outcome {
        let mut session = self.lock();
        let outcome = session.outcome();
        session.changes.phase = Phase::Sent;
        outcome
    }

    /// What the response would have to do if the handler ended now.
    pub(crate) fn pending(&self) -> Outcome {
        self.lock().outcome()
    }

    /// How the login of this request ends the session before it.
    pub(crate) fn end_by_login(&self, rules: &Rules) -> Why {
        let owner = self.lock().owner().map(str::to_owned);
        rules.ended.login_of(&owner.unwrap_or_default())
    }

    /// The session that the cookies brought, if a login of that owner ended it. The visitor may not
    /// have got the answer, and logs in again.
    pub(super) fn ended_by_login(&self, rules: &Rules, owner: &str) -> Option<&Record> {
        let (record, why) = self.arrival.ended.as_deref()?;
        let theirs = record.owner().is_none_or(|before| before == owner);
        (theirs && *why == rules.ended.login_of(owner)).then_some(record)
    }

    pub(crate) fn created(&self) -> Millis {
        self.lock().changes.times.created
    }

    /// Lets a session that this request begins begin at that time, if it would begin earlier.
    pub(crate) fn begin_at(&self, earliest: Millis) {
        let created = &mut self.lock().changes.times.created;
        *created = earliest.max(*created);
    }

    /// Removes the entries that came in and that this request did not change, since another request
    /// ended the session that they belong to.
    pub(crate) fn drop_carried(&self) {
        let mut session = self.lock();
        let carried = entries_of(session.incoming);
        let own = session.entries();
        let own = own
            .iter()
            .filter(|(key, value)| carried.get(key) != Some(*value));
        let own = own.map(|(key, value)| (key, Some(value))).collect();
        let bytes = Merge::new(Entries::default(), own).apply();
        session.changes.set_entries(bytes);
    }

    /// Notes that the session could not be sent, or that another request ended it.
    pub(crate) fn lose(&self) {
        self.lock().changes.lost = true;
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.lock().changes.phase == Phase::Sent
    }

    /// Whether `logout` was called in this request.
    pub(crate) fn logged_out(&self) -> bool {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.logged_out()
    }

    /// The record to seal at `now`, after `headroom` bytes and with capacity for `tail` more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TooLarge`]: the methods that change a session check its size. But another
    /// writer of the format may have used less padding, so that the record becomes longer here.
    pub(crate) fn encode(
        &self,
        rules: &Rules,
        now: Millis,
        headroom: usize,
        tail: usize,
    ) -> Result<(Head, Vec<u8>), Error> {
        let mut session = self.lock();
        let mut head = session.head(rules)?;
        head.times.issue(now);
        let (owner, entries) = session.content();
        let len = entries.as_bytes().len();
        rules
            .limits
            .check(false, owner.map(str::len), len, || entries.sizes())?;
        let bytes = record::encode(head, owner, entries, headroom, tail);
        session.changes.times = head.times;
        Ok((head, bytes))
    }

    /// The head of a session that is signed at `now` and begins then, and the owner who logged in.
    pub(crate) fn begin(
        &self,
        rules: &Rules,
        now: Millis,
    ) -> Result<(Head, Option<String>), Error> {
        let mut session = self.lock();
        let entries = session.entries();
        rules
            .limits
            .check(false, None, entries.as_bytes().len(), || entries.sizes())?;
        session.changes.times = rules.new_times(now);
        let head = session.head(rules)?;
        Ok((head, session.changes.owner.as_deref().map(str::to_owned)))
    }
}
