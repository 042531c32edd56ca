//! The task that reads the log.
//!
//! Each read begins with an entry that was read before, the anchor. If it is not the first entry
//! that comes, the log has lost entries, or the anchor has expired. Then the task reads all of the
//! log, and adds what it holds and the log does not. So what a server lost comes back from the
//! instances that had read it. If the anchor has not expired, the other instances are asked to do
//! the same, since the log may have lost entries that this one has not read. What this instance adds must come back to it too; otherwise it adds
//! that again.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::shared::{READ, Shared, within};
use crate::{
    clock::Millis,
    event::Event,
    random,
    store::{
        StoreError, StoreErrorKind,
        log::{BATCH, Entry, Name, Position, Subject, seconds},
    },
};

/// An entry of this instance is added again if it was not read after this time.
const OVERDUE: Duration = Duration::from_secs(2);

/// How often expired entries are dropped, here and in the log.
const TIDY: Duration = Duration::from_secs(30);

/// How often all of a log is read in which entries can appear late: a server may have committed one
/// long after the call timed out.
const AUDIT: Duration = Duration::from_secs(300);

/// How long an entry stays that asks for a check, in seconds.
const CHECK: u32 = 600;

/// The longest pause after errors. The pause doubles each time.
const LONGEST: Duration = Duration::from_secs(1);

pub(super) struct Follower {
    shared: Arc<Shared>,
    /// The last entries of earlier reads, with the times of these. The first one is the anchor.
    trail: VecDeque<(Instant, Option<Last>)>,
    tidied: Instant,
    audited: Instant,
    /// The last place of an entry that cannot be read, of which an event told.
    unreadable: Option<Position>,
    /// Whether the event for an outdated instance was emitted.
    stale: bool,
}

/// The last entry of a read. What is none of our entries is `None`.
type Last = (Position, Option<Entry>);

impl Follower {
    /// Reads the log for the first time. Creates it if it does not exist.
    pub(super) async fn start(shared: Arc<Shared>) -> Result<Self, StoreError> {
        let mut follower = Self {
            shared,
            trail: VecDeque::from([(Instant::now(), None)]),
            tidied: Instant::now(),
            audited: Instant::now(),
            unreadable: None,
            stale: false,
        };
        follower.shared.log.check().await?;
        match follower.read().await {
            Err(error) if error.kind() == StoreErrorKind::Schema => {
                follower.shared.log.create().await?;
                follower.read().await?;
            }
            read => drop(read?),
        }
        Ok(follower)
    }

    /// Reads for as long as there are handles.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let pause = self.shared.log.pause * 2_u32.pow(failures);
            sleep(random::jitter(
                pause.min(LONGEST.max(self.shared.log.pause)),
            ))
            .await;
            match self.step().await {
                Ok(()) => failures = 0,
                Err(error) => {
                    if error.kind() == StoreErrorKind::Schema {
                        // the table was dropped, or a backup from before it was restored
                        let _ = within(READ, self.shared.log.create()).await;
                    }
                    if failures == 0 {
                        let (call, kind) = ("read", error.kind().name());
                        let error = &error;
                        Event::RevocationsFailed { call, kind, error }.emit(&self.shared.metrics);
                    }
                    failures = (failures + 1).min(6);
                }
            }
            self.tell_whether_stale();
        }
    }

    async fn step(&mut self) -> Result<(), StoreError> {
        let overlaps = !self.shared.log.overlap.is_zero();
        let is_due = overlaps && self.audited.elapsed() >= AUDIT;
        if is_due || self.shared.has_to_check() || !self.read().await? {
            self.repair().await?;
            self.audited = Instant::now();
        }
        self.add_overdue().await?;
        if self.tidied.elapsed() >= TIDY {
            self.tidied = Instant::now();
            self.tidy().await?;
        }
        Ok(())
    }

    /// Reads what is new. Returns `false` if the anchor is gone.
    async fn read(&mut self) -> Result<bool, StoreError> {
        let start = Instant::now();
        let overlap = self.shared.log.overlap;
        // what was not visible at an earlier read is visible now, if that is long enough ago
        while self.trail.len() > 1 && self.trail[1].0 + overlap <= start {
            self.trail.pop_front();
        }
        let anchor = self.trail.front().and_then(|(_, last)| *last);
        let mut last = anchor;
        let mut from = anchor.map_or(0, |(position, _)| position);
        let mut expected = anchor;
        loop {
            let batch = self.shared.read(from).await?;
            if let Some(anchor) = expected.take()
                && batch.first() != Some(&anchor)
            {
                return Ok(false);
            }
            self.learn(&batch);
            let Some(end) = batch.last() else { break };
            last = Some(*end);
            from = end.0 + 1;
            if batch.len() < BATCH {
                break;
            }
        }
        self.trail.push_back((start, last));
        self.shared.hear(start);
        Ok(true)
    }

    fn learn(&mut self, batch: &[(Position, Option<Entry>)]) {
        for (position, entry) in batch {
            match entry {
                Some(entry) => self.shared.learn(entry),
                // it may be read again and again
                None if self.unreadable >= Some(*position) => {}
                None => {
                    self.unreadable = Some(*position);
                    Event::RevocationUnreadable.emit(&self.shared.metrics);
                }
            }
        }
    }

    /// Reads all of the log, and adds what this instance holds and the log does not.
    async fn repair(&mut self) -> Result<(), StoreError> {
        let start = Instant::now();
        let anchor = self.trail.front().and_then(|(_, last)| last.as_ref());
        let anchor = anchor.and_then(|(_, entry)| *entry);
        let (mut there, mut from, mut last) = (HashSet::new(), 0, None);
        loop {
            let batch = self.shared.read(from).await?;
            self.learn(&batch);
            there.extend(
                batch
                    .iter()
                    .flat_map(|(_, entry)| entry.map(|entry| entry.key())),
            );
            let Some(end) = batch.last() else { break };
            last = Some(*end);
            from = end.0 + 1;
            if batch.len() < BATCH {
                break;
            }
        }
        let Some(now) = self.shared.now() else {
            // no layer uses the log yet
            self.begin_anew(start, last);
            return Ok(());
        };
        let lives = |entry: &Entry| now < Millis::from(entry.until) * 1000;
        let held = self.shared.set.entries();
        let missing = held
            .iter()
            .filter(|entry| lives(entry) && !there.contains(&entry.key()));
        let missing: Vec<_> = missing.copied().collect();
        let lost = anchor.filter(|anchor| lives(anchor) && !there.contains(&anchor.key()));
        if let Some(lost) = lost {
            self.ask_others(lost.key().0, now).await?;
        }
        let count = self.add_again(&missing).await?;
        if lost.is_some() || count > 0 {
            Event::RevocationsLost { count }.emit(&self.shared.metrics);
        }
        self.begin_anew(start, last);
        self.shared.hear(start);
        Ok(())
    }

    /// Asks the other instances to add what they hold, since the log has lost an entry.
    async fn ask_others(&self, lost: Name, now: Millis) -> Result<(), StoreError> {
        let at = seconds(now);
        let check = Entry {
            // another one for each loss, and the same for all instances that lost the same
            subject: Subject::Check(lost.rotate_left(32) ^ u64::from(at / CHECK)),
            at,
            until: at.saturating_add(CHECK),
        };
        within(READ, self.shared.log.append(&[check])).await?;
        Ok(())
    }

    /// Forgets the trail after all of the log was read at `start`.
    fn begin_anew(&mut self, start: Instant, last: Option<Last>) {
        self.trail.clear();
        self.trail.push_back((start, None));
        self.trail.push_back((start, last));
    }

    /// Adds what still has to be added, and again what was added before and not read since.
    async fn add_overdue(&self) -> Result<(), StoreError> {
        let to_add = self.shared.to_add();
        if !to_add.is_empty() {
            self.shared.add(&to_add).await?;
        }
        let since = Instant::now().checked_sub(OVERDUE + self.shared.log.overlap);
        let overdue = since.map(|since| self.shared.overdue(since));
        let count = self.add_again(&overdue.unwrap_or_default()).await?;
        if count > 0 {
            Event::RevocationsLost { count }.emit(&self.shared.metrics);
        }
        Ok(())
    }

    /// Returns how many entries were not in the log.
    async fn add_again(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        let mut count = 0;
        for batch in entries.chunks(BATCH) {
            count += within(READ, self.shared.log.restore(batch)).await?;
        }
        Ok(count)
    }

    async fn tidy(&self) -> Result<(), StoreError> {
        let Some(now) = self.shared.now() else {
            return Ok(());
        };
        self.shared.forget(now);
        while within(READ, self.shared.log.trim(now)).await? {}
        Ok(())
    }

    /// Emits an event when this instance's knowledge becomes too old, and when it is new again.
    fn tell_whether_stale(&mut self) {
        let stale = self.shared.is_stale();
        if stale != self.stale {
            self.stale = stale;
            match stale {
                true => Event::RevocationsStale {
                    refuses: self.shared.refuses(),
                }
                .emit(&self.shared.metrics),
                false => Event::RevocationsRead.emit(&self.shared.metrics),
            }
        }
    }
}
