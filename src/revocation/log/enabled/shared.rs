//! What the handles of a log share with the task that reads it.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout};

use crate::{
    clock::{self, Millis},
    event::Event,
    metrics::{Metric, Metrics, Timer},
    revocation::Set,
    store::{
        StoreError, StoreErrorKind,
        log::{AnyLog, BATCH, Entry, Key, Name, Position, Subject},
    },
};

/// How long one call may take.
pub(super) const TIMEOUT: Duration = Duration::from_millis(250);

/// How long reading one batch may take.
pub(super) const READ: Duration = Duration::from_secs(1);

/// So many entries that ask for a check are remembered, so that each is followed once.
const MOST_CHECKS: usize = 1000;

/// The default of `max_staleness`.
const STALE: Duration = Duration::from_secs(30);

pub(super) struct Shared {
    pub(super) log: AnyLog,
    pub(super) set: Set,
    pub(super) metrics: Metrics,
    pub(super) clock: OnceLock<clock::Source>,
    start: Instant,
    /// When the log was read last, in milliseconds since `start`.
    heard: AtomicU64,
    /// How old the knowledge of the log may be, in milliseconds.
    limit: AtomicU64,
    /// Whether sessions can be used even if it is older.
    lenient: AtomicBool,
    /// What this instance added and has not read in the log yet, by key. With the time at which it
    /// was added; `None` if it still has to be.
    unread: Mutex<Unread>,
    checks: Mutex<Checks>,
}

/// The entries that ask for a check.
#[derive(Default)]
struct Checks {
    known: HashSet<Name>,
    /// Whether there is one that was not followed yet.
    due: bool,
}

type Unread = HashMap<Key, (Option<Instant>, Entry)>;

impl Shared {
    pub(super) fn new(log: AnyLog) -> Self {
        Self {
            metrics: Metrics::of_store(log.kind),
            log,
            set: Set::default(),
            clock: OnceLock::new(),
            start: Instant::now(),
            heard: AtomicU64::new(0),
            limit: AtomicU64::new(millis(STALE)),
            lenient: AtomicBool::new(false),
            unread: Mutex::default(),
            checks: Mutex::default(),
        }
    }

    pub(super) fn set_max_staleness(&self, limit: Duration) {
        self.limit.store(millis(limit), SeqCst);
    }

    pub(super) fn set_lenient(&self) {
        self.lenient.store(true, SeqCst);
    }

    pub(super) fn staleness(&self) -> Duration {
        let heard = self.heard.load(SeqCst);
        self.start
            .elapsed()
            .saturating_sub(Duration::from_millis(heard))
    }

    pub(super) fn is_stale(&self) -> bool {
        millis(self.staleness()) > self.limit.load(SeqCst)
    }

    pub(super) fn refuses(&self) -> bool {
        self.is_stale() && !self.lenient.load(SeqCst)
    }

    /// Reads a batch of the log.
    pub(super) async fn read(
        &self,
        from: Position,
    ) -> Result<Vec<(Position, Option<Entry>)>, StoreError> {
        let timer = Timer::start();
        let batch = within(READ, self.log.read(from)).await;
        let (metric, labels) = (Metric::StoreDuration, ["log_read"]);
        self.metrics.time(metric, &labels, timer);
        batch
    }

    /// Notes that all entries from before that time have been read.
    pub(super) fn hear(&self, read: Instant) {
        self.heard.fetch_max(millis(read - self.start), SeqCst);
        let age = read.elapsed().as_secs_f64();
        self.metrics.set_past(Metric::RevocationLastRead, age);
        self.metrics
            .set(Metric::RevocationEntries, &[], self.set.len() as f64);
    }

    /// The current time by the clock of the layers. `None` before there is one.
    pub(super) fn now(&self) -> Option<Millis> {
        self.clock.get()?.now()
    }

    /// Notes an entry that is in the log.
    pub(super) fn learn(&self, entry: &Entry) {
        if let Subject::Check(name) = entry.subject {
            let mut checks = lock(&self.checks);
            checks.due |= checks.known.insert(name);
        }
        self.set.add(entry);
        let mut unread = lock(&self.unread);
        if !unread.is_empty() {
            unread.remove(&entry.key());
        }
    }

    /// Adds entries. An error is also an event.
    pub(super) async fn append(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        self.add(entries).await.inspect_err(|error| {
            let (call, kind) = ("append", error.kind().name());
            Event::RevocationsFailed { call, kind, error }.emit(&self.metrics);
        })
    }

    pub(super) async fn add(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        let mut added = 0;
        for batch in entries.chunks(BATCH) {
            let timer = Timer::start();
            let appended = within(TIMEOUT, self.log.append(batch)).await;
            let (metric, labels) = (Metric::StoreDuration, ["log_append"]);
            self.metrics.time(metric, &labels, timer);
            added += appended?;
            let now = Instant::now();
            for entry in batch {
                if let Some(scope) = entry.subject.scope() {
                    self.metrics.count(Metric::Revocations, &[scope], 1);
                }
                self.set.add(entry);
                lock(&self.unread).insert(entry.key(), (Some(now), *entry));
            }
        }
        Ok(added)
    }

    /// Notes an entry that still has to be added.
    pub(super) fn note(&self, entry: &Entry) {
        self.set.add(entry);
        lock(&self.unread).insert(entry.key(), (None, *entry));
    }

    /// Whether an instance asks to check the log. Tells of each time once.
    pub(super) fn has_to_check(&self) -> bool {
        std::mem::take(&mut lock(&self.checks).due)
    }

    /// The entries that still have to be added.
    pub(super) fn to_add(&self) -> Vec<Entry> {
        self.unread(|added| added.is_none())
    }

    /// The entries that were added before that time and were not read.
    pub(super) fn overdue(&self, time: Instant) -> Vec<Entry> {
        self.unread(|added| added.is_some_and(|added| added < time))
    }

    fn unread(&self, which: impl Fn(Option<Instant>) -> bool) -> Vec<Entry> {
        let unread = lock(&self.unread);
        let entries = unread.values().filter(|(added, _)| which(*added));
        entries.map(|(_, entry)| *entry).collect()
    }

    /// Drops what has expired.
    pub(super) fn forget(&self, now: Millis) {
        self.set.forget(now);
        let checks = &mut lock(&self.checks).known;
        if checks.len() > MOST_CHECKS {
            checks.clear();
        }
        let lives = |entry: &Entry| now < Millis::from(entry.until) * 1000;
        lock(&self.unread).retain(|_, (_, entry)| lives(entry));
    }
}

/// Waits for an answer until the time limit.
pub(super) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let answer = timeout(limit, answer).await;
    answer.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::TimedOut)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
