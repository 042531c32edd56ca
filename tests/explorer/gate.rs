//! Two stores whose calls wait until the search answers them.

use std::{
    cell::Cell,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard},
    task::Poll,
    time::Duration,
};

use futures_util::FutureExt as _;
use tower_sealed_session::{
    OffsetDateTime,
    store::{
        AnyLog, Creation, Cursor, Entry, MemoryStore, Operate, OwnerTag, Position, Pruned,
        RevocationLog, Row, Saving, Scanned, Statistics, Store, StoreError, StoreErrorKind,
        StoreKey, Stored, Version,
    },
};

thread_local! {
    /// The actor that is polled now. Calls of nobody are answered at once.
    static ACTOR: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Runs `poll` as that actor.
pub(crate) fn as_actor<T>(actor: usize, poll: impl FnOnce() -> T) -> T {
    ACTOR.set(Some(actor));
    let result = poll();
    ACTOR.set(None);
    result
}

/// One call to one of the stores.
#[derive(Clone)]
pub(crate) struct Call {
    store: usize,
    operation: Operation,
}

/// A call with its arguments.
#[derive(Clone)]
enum Operation {
    Load(StoreKey),
    Create(StoreKey, Arc<Stored>),
    Save(StoreKey, Version, Arc<Stored>, Option<OwnerTag>),
    Touch(StoreKey, Version, OffsetDateTime),
    Delete(StoreKey),
    DeleteOwner(Vec<OwnerTag>),
    /// Entries for the log of revocations.
    Append(Vec<Entry>),
    /// No call, but time in which others may act.
    Pause,
}

#[derive(Clone)]
pub(crate) enum Answer {
    Loaded(Option<Stored>),
    Created(Creation),
    Saved(Saving),
    Touched(bool),
    Deleted(bool),
    OwnerDeleted(u64),
    Appended(u64),
    Paused,
}

/// How the search answers a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    Go,
    /// It is not applied, and the connection breaks.
    NotMade,
    /// It is applied, and the connection breaks.
    Unanswered,
    /// It times out, and is applied later.
    Late,
}

/// One of the stores.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Mutex<Inside>>, usize);

struct Inside {
    rows: [MemoryStore; 2],
    desks: Vec<Desk>,
    /// A call that is still to be applied.
    late: Option<Call>,
    /// The calls that created rows before any actor began.
    made: Vec<Call>,
}

/// Where an actor waits.
#[derive(Clone, Default)]
struct Desk {
    asked: Option<Call>,
    answered: Option<Result<Answer, StoreError>>,
    /// Whether it waits for something that it may give up.
    may_cancel: bool,
    cancelled: bool,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let inside = Inside {
            rows: Default::default(),
            desks: Vec::new(),
            late: None,
            made: Vec::new(),
        };
        Self(Arc::new(Mutex::new(inside)), 0)
    }

    /// The other store.
    pub(crate) fn other(&self) -> Self {
        Self(self.0.clone(), 1 - self.1)
    }

    /// Begins anew with the rows that were created before any actor began.
    pub(crate) fn reset(&self, actors: usize) {
        let mut inside = self.lock();
        inside.rows = Default::default();
        for call in &inside.made {
            let _ = apply(&inside.rows, call);
        }
        inside.desks = vec![Desk::default(); actors];
        inside.late = None;
    }

    /// The call that an actor waits for.
    pub(crate) fn asked(&self, actor: usize) -> Option<Call> {
        self.lock().desks[actor].asked.clone()
    }

    pub(crate) fn grant(&self, actor: usize, grant: Grant) -> Result<Answer, StoreError> {
        let mut inside = self.lock();
        let call = inside.desks[actor].asked.take().expect("a waiting call");
        let answer = match grant {
            Grant::Go => apply(&inside.rows, &call),
            Grant::NotMade => Err(StoreErrorKind::Unreachable),
            Grant::Unanswered => {
                let _ = apply(&inside.rows, &call);
                Err(StoreErrorKind::Unreachable)
            }
            Grant::Late => {
                inside.late = (!call.is_load()).then_some(call);
                Err(StoreErrorKind::TimedOut)
            }
        };
        let answer = answer.map_err(StoreError::new);
        inside.desks[actor].answered = Some(answer.clone());
        answer
    }

    /// Takes back the call of an actor. If it was sent already, it is applied later.
    pub(crate) fn withdraw(&self, actor: usize, sent: bool) {
        let mut inside = self.lock();
        let call = inside.desks[actor].asked.take();
        if sent {
            inside.late = call;
        }
    }

    pub(crate) fn late(&self) -> Option<Call> {
        self.lock().late.clone()
    }

    pub(crate) fn apply_late(&self) {
        let mut inside = self.lock();
        let call = inside.late.take().expect("a late call");
        let _ = apply(&inside.rows, &call);
    }

    pub(crate) fn may_cancel(&self, actor: usize) -> bool {
        self.lock().desks[actor].may_cancel
    }

    /// Lets the actor give up what it waits for.
    pub(crate) fn cancel(&self, actor: usize) {
        self.lock().desks[actor].cancelled = true;
    }

    /// Waits for a future that the search may drop. `None`: it was dropped.
    pub(crate) async fn cancellable<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = Box::pin(future);
        poll_fn(|context| {
            let Some(actor) = ACTOR.get() else {
                return future.as_mut().poll(context).map(Some);
            };
            if std::mem::take(&mut self.lock().desks[actor].cancelled) {
                self.lock().desks[actor].may_cancel = false;
                return Poll::Ready(None);
            }
            let polled = future.as_mut().poll(context);
            self.lock().desks[actor].may_cancel = polled.is_pending();
            polled.map(Some)
        })
        .await
    }

    /// Lets others act. The search may fail it, which has no meaning.
    pub(crate) async fn pause(&self) {
        let _ = self.pass(Operation::Pause).await;
    }

    async fn pass(&self, operation: Operation) -> Result<Answer, StoreError> {
        let call = Call {
            store: self.1,
            operation,
        };
        let Some(actor) = ACTOR.get() else {
            let mut inside = self.lock();
            if inside.desks.is_empty() && matches!(call.operation, Operation::Create(..)) {
                inside.made.push(call.clone());
            }
            return apply(&inside.rows, &call).map_err(StoreError::new);
        };
        self.lock().desks[actor].asked = Some(call);
        poll_fn(|_| match self.lock().desks[actor].answered.take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().expect("no panic under the lock")
    }
}

/// Applies a call. The memory store answers at once.
fn apply(stores: &[MemoryStore; 2], call: &Call) -> Result<Answer, StoreErrorKind> {
    let store = &stores[call.store];
    let row = |stored: &Stored| (stored.version, stored.expires, stored.owner);
    let answer = match &call.operation {
        Operation::Load(key) => store
            .load(*key)
            .now_or_never()
            .map(|it| it.map(Answer::Loaded)),
        Operation::Create(key, stored) => {
            let (version, expires, owner) = row(stored);
            let row = Row::new(version, &stored.bytes, expires, owner);
            let created = store.create(*key, &row).now_or_never();
            created.map(|it| it.map(Answer::Created))
        }
        Operation::Save(key, expected, stored, previous) => {
            let (version, expires, owner) = row(stored);
            let row = Row::new(version, &stored.bytes, expires, owner);
            let saved = store.save(*key, *expected, &row, *previous).now_or_never();
            saved.map(|it| it.map(Answer::Saved))
        }
        Operation::Touch(key, expected, expires) => {
            let touched = store.touch(*key, *expected, *expires).now_or_never();
            touched.map(|it| it.map(Answer::Touched))
        }
        Operation::Delete(key) => store
            .delete(*key)
            .now_or_never()
            .map(|it| it.map(Answer::Deleted)),
        Operation::DeleteOwner(tags) => {
            let deleted = store.delete_owner(tags, &[]).now_or_never();
            deleted.map(|it| it.map(Answer::OwnerDeleted))
        }
        Operation::Pause => Some(Ok(Answer::Paused)),
        Operation::Append(entries) => {
            let log = store.revocation_log().expect("it has a log");
            let appended = log.append(entries).now_or_never();
            appended.map(|it| it.map(Answer::Appended))
        }
    };
    answer
        .expect("it answers at once")
        .map_err(|error| error.kind())
}

macro_rules! pass {
    ($gate:expr, $call:expr, $answer:path) => {
        match $gate.pass($call).await? {
            $answer(answer) => Ok(answer),
            _ => unreachable!("each call has its own answer"),
        }
    };
}

impl Store for Gate {
    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        pass!(self, Operation::Load(key), Answer::Loaded)
    }

    async fn create(&self, key: StoreKey, row: &Row<'_>) -> Result<Creation, StoreError> {
        pass!(
            self,
            Operation::Create(key, Arc::new(row.into())),
            Answer::Created
        )
    }

    async fn save(
        &self,
        key: StoreKey,
        expected: Version,
        row: &Row<'_>,
        previous: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        let call = Operation::Save(key, expected, Arc::new(row.into()), previous);
        pass!(self, call, Answer::Saved)
    }

    async fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        pass!(
            self,
            Operation::Touch(key, expected, expires),
            Answer::Touched
        )
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        pass!(self, Operation::Delete(key), Answer::Deleted)
    }

    async fn list_owner(&self, _: &[OwnerTag]) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        unreachable!("no request lists sessions")
    }

    async fn delete_owner(&self, owner: &[OwnerTag], _: &[StoreKey]) -> Result<u64, StoreError> {
        pass!(
            self,
            Operation::DeleteOwner(owner.to_vec()),
            Answer::OwnerDeleted
        )
    }
}

/// The log of the first store. Calls that read it are answered at once.
impl RevocationLog for Gate {
    const PAUSE: Duration = Duration::from_millis(25);
    const OVERLAP: Duration = Duration::ZERO;

    async fn append(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        pass!(self, Operation::Append(entries.to_vec()), Answer::Appended)
    }

    async fn read(&self, from: Position) -> Result<Vec<(Position, Option<Entry>)>, StoreError> {
        let log = self.lock().rows[0].revocation_log();
        log.expect("it has a log").read(from).await
    }

    async fn trim(&self, _: u64) -> Result<bool, StoreError> {
        Ok(false)
    }
}

impl Operate for Gate {
    async fn prune(&self, _: OffsetDateTime, _: Option<Cursor>) -> Result<Pruned, StoreError> {
        unreachable!("no request prunes")
    }

    async fn statistics(&self, _: OffsetDateTime) -> Result<Statistics, StoreError> {
        unreachable!("no request asks for them")
    }

    async fn count(&self, _: OffsetDateTime) -> Result<Statistics, StoreError> {
        unreachable!("no request counts")
    }

    async fn scan(&self, _: Option<Cursor>) -> Result<Scanned, StoreError> {
        unreachable!("no request scans")
    }

    fn revocation_log(&self) -> Option<AnyLog> {
        Some(AnyLog::new(self.clone()))
    }
}

impl Call {
    /// Whether two calls have the same effects and answers in either order.
    pub(crate) fn commutes_with(&self, other: &Self) -> bool {
        match (self.key(), other.key()) {
            (Some(key), Some(other_key)) => {
                let apart = self.store != other.store || key != other_key;
                apart || self.is_load() && other.is_load()
            }
            _ => false,
        }
    }

    /// `None`: it concerns all rows.
    fn key(&self) -> Option<StoreKey> {
        match &self.operation {
            Operation::Load(key) | Operation::Create(key, _) => Some(*key),
            Operation::Save(key, ..) | Operation::Touch(key, ..) => Some(*key),
            Operation::Delete(key) => Some(*key),
            Operation::DeleteOwner(_) | Operation::Append(_) | Operation::Pause => None,
        }
    }

    /// Whether it changes nothing.
    pub(crate) fn is_load(&self) -> bool {
        matches!(self.operation, Operation::Load(_) | Operation::Pause)
    }

    pub(crate) fn is_pause(&self) -> bool {
        matches!(self.operation, Operation::Pause)
    }

    pub(crate) fn is_delete(&self) -> bool {
        matches!(self.operation, Operation::Delete(_))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.store == 1 {
            write!(f, "other ")?;
        }
        match &self.operation {
            Operation::Load(key) => write!(f, "load {key:?}"),
            Operation::Create(key, _) => write!(f, "create {key:?}"),
            Operation::Save(key, ..) => write!(f, "save {key:?}"),
            Operation::Touch(key, ..) => write!(f, "touch {key:?}"),
            Operation::Delete(key) => write!(f, "delete {key:?}"),
            Operation::DeleteOwner(_) => write!(f, "delete_owner"),
            Operation::Append(_) => write!(f, "append"),
            Operation::Pause => write!(f, "pause"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loaded(Some(_)) => write!(f, "a row"),
            Self::Loaded(None) => write!(f, "no row"),
            Self::Created(creation) => write!(f, "{creation:?}"),
            Self::Saved(Saving::Conflict(_)) => write!(f, "Conflict"),
            Self::Saved(saving) => write!(f, "{saving:?}"),
            Self::Touched(done) | Self::Deleted(done) => write!(f, "{done}"),
            Self::OwnerDeleted(count) => write!(f, "{count} rows"),
            Self::Appended(count) => write!(f, "{count} entries"),
            Self::Paused => write!(f, "over"),
        }
    }
}
