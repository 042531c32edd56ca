//! The sessions that this process ended a short time ago.
//!
//! The browser keeps the cookie of a session that ended while a request with it was in flight, so
//! the response to that request must not set the cookie again. A session is named by its family if
//! a logout or a login ended it, and by its id if a renewal replaced the id. By default, all layers
//! of a process share one list, so that an app can build its layer twice.
//!
//! An end is remembered for a minute, and for as long as a request is in flight that was opened
//! before it. Requests are counted by epochs for that: there are a few counters, and each request
//! belongs to the one that was current when it was opened.

use std::{
    collections::{HashMap, VecDeque, hash_map::RandomState},
    hash::BuildHasher as _,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};

use crate::{
    clock::{self, Millis},
    event::Event,
    id::{Family, Serial},
    metrics::Metrics,
};

/// How long every end is remembered.
const MEMORY: Millis = 60_000;

/// How long after an end a request may come that was sent before it.
pub(crate) const IN_FLIGHT: Millis = 10_000;

/// Beyond [`MEMORY`], ends are remembered only while there are fewer.
const MOST: usize = 100_000;

/// The minimum length of an epoch.
const EPOCH: Millis = 15_000;

/// The number of epochs that can have requests in flight.
const EPOCHS: usize = 64;

static OF_PROCESS: LazyLock<Arc<EndedSessions>> =
    LazyLock::new(|| Arc::new(EndedSessions::new(None)));
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The sessions that ended a short time ago.
pub(crate) struct EndedSessions {
    /// The clock of a test. Otherwise the monotonic clock counts, so that a change of the wall
    /// clock has no effect.
    clock: Option<clock::Source>,
    /// Whether a session has ever ended. If not, readers do not take the lock.
    any: AtomicBool,
    /// The number of ends so far.
    count: AtomicU64,
    /// With a random key, so that the list holds no owners.
    hasher: RandomState,
    flights: Flights,
    log: Mutex<Log>,
}

/// Why a session cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    LoggedOut,
    /// It has another id now.
    Renewed,
    /// A login continues it. With a hash of its owner.
    LoggedIn(u64),
}

/// The end of a session that a request bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) why: Why,
    /// Whether the whole family ended. Otherwise a renewal replaced this id.
    pub(crate) family: bool,
    /// Whether the request may have been sent before the end.
    pub(crate) in_flight: bool,
}

impl Ended {
    /// Whether the request must not change the session. Long after a renewal, it may: the response
    /// with the new id may have been lost.
    pub(crate) fn refuses_changes(self) -> bool {
        self.family || self.in_flight
    }
}

/// A request that bears a session, from its opening to its response.
pub(crate) struct Flight {
    /// The epoch, or [`LANDED`].
    epoch: AtomicU64,
    /// The number of ends before it was opened.
    seen: u64,
}

const LANDED: u64 = u64::MAX;

/// `None`: the whole family ended.
type Name = (Family, Option<Serial>);

#[derive(Default)]
struct Log {
    ends: HashMap<Name, End>,
    /// The names in the order of their ends, with the number of the end.
    order: VecDeque<(Name, u64)>,
}

#[derive(Clone, Copy)]
struct End {
    why: Why,
    at: Millis,
    number: u64,
    epoch: u64,
}

impl EndedSessions {
    /// A list of its own, which measures time with that clock.
    pub(crate) fn new(clock: Option<clock::Source>) -> Self {
        Self {
            clock,
            any: AtomicBool::new(false),
            count: AtomicU64::new(0),
            hasher: RandomState::new(),
            flights: Flights::new(),
            log: Mutex::default(),
        }
    }

    /// The list that all layers of this process share.
    pub(crate) fn of_process() -> Arc<Self> {
        OF_PROCESS.clone()
    }

    /// Begins the flight of a request. Call it before the request asks whether its session ended.
    pub(crate) fn enter(&self) -> Flight {
        Flight {
            epoch: AtomicU64::new(self.flights.enter()),
            seen: self.count.load(SeqCst),
        }
    }

    /// Ends the flight of a request: it sets no cookie any more.
    pub(crate) fn leave(&self, flight: &Flight) {
        match flight.epoch.swap(LANDED, SeqCst) {
            LANDED => {}
            epoch => self.flights.leave(epoch),
        }
    }

    /// The number of requests in flight.
    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> usize {
        let open = &self.flights.open;
        open.iter().map(|epoch| epoch.load(SeqCst)).sum()
    }

    /// The end of a session by a login of that owner.
    pub(crate) fn login_of(&self, owner: &str) -> Why {
        Why::LoggedIn(self.hasher.hash_one(owner))
    }

    /// Ends a session with all its ids. Returns how it had ended before.
    pub(crate) fn end(&self, family: Family, why: Why) -> Option<Why> {
        let now = self.now();
        let mut log = self.lock();
        let before = log.ends.get(&(family, None)).map(|end| end.why);
        if before.is_none() {
            self.add((family, None), why, now, &mut log);
        }
        self.tidy(log, now);
        before
    }

    /// Replaces an id that a request bears, unless another request has ended the session or
    /// replaced the id meanwhile.
    pub(crate) fn renew(&self, family: Family, serial: Serial, flight: &Flight) -> Option<Ended> {
        let now = self.now();
        let mut log = self.lock();
        let ended = log.find(family, serial, Some(flight), now);
        let lost = ended.filter(|ended| ended.refuses_changes());
        if lost.is_none() {
            self.add((family, Some(serial)), Why::Renewed, now, &mut log);
        }
        self.tidy(log, now);
        lost
    }

    /// The end of a session, if it is remembered. `flight` is that of the request that bears it.
    #[inline]
    pub(crate) fn find(
        &self,
        family: Family,
        serial: Serial,
        flight: Option<&Flight>,
    ) -> Option<Ended> {
        match self.any.load(SeqCst) {
            true => self.lock().find(family, serial, flight, self.now()),
            false => None,
        }
    }

    fn add(&self, name: Name, why: Why, now: Millis, log: &mut Log) {
        let number = self.count.fetch_add(1, SeqCst) + 1;
        let end = End {
            why,
            at: now,
            number,
            epoch: self.flights.current(),
        };
        log.ends.insert(name, end);
        log.order.push_back((name, number));
        self.any.store(true, SeqCst);
    }

    fn tidy(&self, mut log: MutexGuard<'_, Log>, now: Millis) {
        self.flights.advance(now);
        let dropped = log.forget(now, self.flights.oldest());
        drop(log);
        if dropped > 0 {
            Event::EndsForgotten { count: dropped }.emit(Metrics::of_process());
        }
    }

    fn now(&self) -> Millis {
        match &self.clock {
            Some(clock) => clock.now().unwrap_or(0),
            None => u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn find(
        &self,
        family: Family,
        serial: Serial,
        flight: Option<&Flight>,
        now: Millis,
    ) -> Option<Ended> {
        let names = [(family, None), (family, Some(serial))];
        names.into_iter().find_map(|name| {
            let end = self.ends.get(&name)?;
            let before = flight.is_some_and(|flight| end.number > flight.seen);
            let ago = now.saturating_sub(end.at);
            (before || ago < MEMORY).then_some(Ended {
                why: end.why,
                family: name.1.is_none(),
                in_flight: before || ago < IN_FLIGHT,
            })
        })
    }

    /// Forgets the ends that no request can need. `oldest` is the oldest epoch with requests in
    /// flight. Returns how many ends were forgotten although a request may need them.
    fn forget(&mut self, now: Millis, oldest: u64) -> u64 {
        let mut dropped = 0;
        while let Some((name, number)) = self.order.front() {
            if let Some(end) = self.ends.get(name)
                && end.number == *number
            {
                if now.saturating_sub(end.at) < MEMORY {
                    break;
                }
                if end.epoch >= oldest {
                    if self.order.len() <= MOST {
                        break;
                    }
                    dropped += 1;
                }
                self.ends.remove(name);
            }
            self.order.pop_front();
        }
        let room = 4 * self.order.len() + 1024;
        if self.order.capacity() > room {
            self.order.shrink_to(room / 2);
            self.ends.shrink_to(room / 2);
        }
        dropped
    }
}

/// The number of requests in flight, by the epoch in which they were opened.
struct Flights {
    current: AtomicU64,
    /// When the current epoch began.
    since: AtomicU64,
    open: [AtomicUsize; EPOCHS],
}

impl Flights {
    fn new() -> Self {
        Self {
            current: AtomicU64::new(0),
            since: AtomicU64::new(0),
            open: [const { AtomicUsize::new(0) }; EPOCHS],
        }
    }

    fn current(&self) -> u64 {
        self.current.load(SeqCst)
    }

    fn enter(&self) -> u64 {
        loop {
            let epoch = self.current();
            self.counter(epoch).fetch_add(1, SeqCst);
            // otherwise the epoch may have been taken for one without requests
            if self.current() == epoch {
                return epoch;
            }
            self.leave(epoch);
        }
    }

    fn leave(&self, epoch: u64) {
        self.counter(epoch).fetch_sub(1, SeqCst);
    }

    /// Begins the next epoch, if the present one is long enough. Called under the lock of the log.
    fn advance(&self, now: Millis) {
        let next = self.current() + 1;
        // the counter of an epoch is used again; until then, the present epoch goes on
        let is_free = self.counter(next).load(SeqCst) == 0;
        if is_free && now.abs_diff(self.since.load(SeqCst)) >= EPOCH {
            self.since.store(now, SeqCst);
            self.current.store(next, SeqCst);
        }
    }

    /// The oldest epoch with requests in flight, or the next one if there are none.
    fn oldest(&self) -> u64 {
        let current = self.current();
        let first = (current + 1).saturating_sub(EPOCHS as u64);
        let mut epochs = first..=current;
        let open = epochs.find(|&epoch| self.counter(epoch).load(SeqCst) > 0);
        open.unwrap_or(current + 1)
    }

    fn counter(&self, epoch: u64) -> &AtomicUsize {
        &self.open[(epoch % EPOCHS as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::TestClock;

    const SERIAL: Serial = Serial([7; 8]);

    fn family(n: u64) -> Family {
        Family {
            created: 0,
            random: n.to_be_bytes(),
        }
    }

    fn list() -> (EndedSessions, TestClock) {
        let clock = TestClock::default();
        let source = clock::Source::Custom(Arc::new(clock.clone()));
        (EndedSessions::new(Some(source)), clock)
    }

    #[test]
    fn an_end_is_known_for_a_minute() {
        let (ended, clock) = list();
        let known = || {
            let flight = ended.enter();
            let found = ended.find(family(1), SERIAL, Some(&flight));
            ended.leave(&flight);
            found.map(|ended| (ended.why, ended.in_flight))
        };
        assert_eq!(known(), None);
        assert_eq!(ended.end(family(1), Why::LoggedOut), None);
        let again = ended.end(family(1), Why::Renewed);
        assert_eq!(again, Some(Why::LoggedOut));
        assert_eq!(known(), Some((Why::LoggedOut, true)));
        clock.advance(Duration::from_secs(10));
        assert_eq!(known(), Some((Why::LoggedOut, false)));
        clock.advance(Duration::from_millis(49_999));
        assert_eq!(known(), Some((Why::LoggedOut, false)));
        clock.advance(Duration::from_millis(1));
        assert_eq!(known(), None);
    }

    #[test]
    fn an_end_is_known_to_requests_from_before_for_as_long_as_they_fly() {
        let (ended, clock) = list();
        let flight = ended.enter();
        ended.end(family(1), Why::LoggedOut);
        for n in 2..100 {
            clock.advance(Duration::from_secs(100));
            let other = ended.enter();
            ended.end(family(n), Why::LoggedOut);
            ended.leave(&other);
            assert!(
                ended.find(family(1), SERIAL, Some(&flight)).is_some(),
                "{n}"
            );
        }
        ended.leave(&flight);
        ended.leave(&flight);
        clock.advance(Duration::from_secs(100));
        ended.end(family(200), Why::LoggedOut);
        assert_eq!(ended.lock().ends.len(), 1, "all others are forgotten");
    }

    #[test]
    fn requests_that_are_in_flight_all_the_time_do_not_keep_ends() {
        let (ended, clock) = list();
        let mut flight = ended.enter();
        for n in 0..1000 {
            clock.advance(Duration::from_secs(1));
            let next = ended.enter();
            ended.leave(&flight);
            flight = next;
            ended.end(family(n), Why::LoggedOut);
        }
        let most = (MEMORY + 2 * EPOCH) / 1000 + 1;
        assert!(ended.lock().ends.len() as u64 <= most);
    }

    #[test]
    fn a_renewal_replaces_one_id_once() {
        let (ended, clock) = list();
        let flight = ended.enter();
        assert_eq!(ended.renew(family(1), SERIAL, &flight), None);
        let lost = ended.renew(family(1), SERIAL, &flight).expect("it is lost");
        assert_eq!((lost.why, lost.family), (Why::Renewed, false));
        assert!(
            ended
                .find(family(1), Serial([8; 8]), Some(&flight))
                .is_none()
        );
        // the answer may have been lost
        clock.advance(Duration::from_secs(10));
        let later = ended.enter();
        assert_eq!(ended.renew(family(1), SERIAL, &later), None);
        ended.end(family(1), Why::LoggedOut);
        let lost = ended.renew(family(1), SERIAL, &later).expect("it is lost");
        assert_eq!((lost.why, lost.family), (Why::LoggedOut, true));
    }

    #[test]
    fn the_memory_is_bounded_and_given_back() {
        let (ended, clock) = list();
        let flight = ended.enter();
        for n in 0..MOST as u64 + 10 {
            ended.end(family(n), Why::LoggedOut);
        }
        assert_eq!(ended.lock().order.len(), MOST + 10, "all are recent");
        clock.advance(Duration::from_secs(60));
        ended.end(family(u64::MAX), Why::LoggedOut);
        assert_eq!(ended.lock().order.len(), MOST);
        ended.leave(&flight);
        ended.end(family(u64::MAX - 1), Why::LoggedOut);
        let log = ended.lock();
        assert_eq!((log.ends.len(), log.order.len()), (2, 2));
        assert!(log.ends.capacity() < 4096 && log.order.capacity() < 4096);
    }
}
