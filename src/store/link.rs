//! The connection to a server, and the task that replaces it.
//!
//! Without a connection, calls fail at once. Only in the first milliseconds after a loss do calls
//! wait for the next connection.
//!
//! A call wakes the task if it fails, or if it is dropped before its answer. The task also asks the
//! server by itself, more often if there are no calls. A connection that died silently is replaced
//! before the next call needs it, and a server that accepts no more writes is not read for long.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    error::{StoreError, StoreErrorKind},
    up::Up,
};
use crate::random;

/// The task asks the server after this time without an answer.
const IDLE: Duration = Duration::from_millis(400);

/// The task asks the server at least this often, since a server that answers can have become a
/// replica.
const OFTEN: Duration = Duration::from_millis(700);

/// How long the server may take to answer the task.
const PATIENCE: Duration = Duration::from_millis(250);

/// After an answer, the task does not ask again for this time, however many calls fail.
const CALM: Duration = Duration::from_millis(50);

/// If a call is dropped sooner, the server is not checked: the client may have disconnected.
const IMPATIENT: Duration = Duration::from_millis(100);

/// How long calls wait for a new connection after one was lost.
const BRIDGE: Duration = Duration::from_millis(20);

/// How long calls wait for the first connection.
const BEGIN: Duration = Duration::from_millis(200);

/// The first and the longest pause between connection attempts. The pause doubles each time.
const PAUSE: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(250)];

/// A server that a link connects to.
pub(super) trait Server: Send + Sync + 'static {
    /// The kind of store, in metrics.
    const KIND: &'static str;

    /// A connection that calls share, or a set of connections.
    type Connection: Clone + Send + Sync + 'static;

    /// Connects, and checks that the server is ready and is the right one.
    fn dial(&self) -> impl Future<Output = Result<Self::Connection, StoreError>> + Send;

    /// Asks the server for an answer. Fails if the connection is broken, or if the server is the
    /// wrong one.
    fn ask(
        &self,
        connection: Self::Connection,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The connection and its task. Dropping this ends the task.
pub(super) struct Link<C> {
    shared: Arc<Shared<C>>,
    task: AbortHandle,
}

struct Shared<C> {
    line: Mutex<Line<C>>,
    up: Up,
    /// The time of the server's last answer, in milliseconds since `start`.
    heard: AtomicU64,
    start: Instant,
    /// Whether a call was dropped before its answer.
    doubted: AtomicBool,
    wake: Notify,
    /// Wakes the calls that wait for a new connection.
    gained: Notify,
}

struct Line<C> {
    connection: Result<C, StoreError>,
    /// Counts connections, so that an error of an old one does not end the new one.
    number: u64,
    /// Without a connection, calls wait for the next one until then.
    bridged: Instant,
}

/// What a call showed about the connection.
pub(super) enum Verdict {
    /// The server answered.
    Answered,
    /// The task has to ask the server.
    Doubtful,
    /// The connection is unusable.
    Lost(StoreError),
}

/// Watches one call. If it is dropped before [`end`](Self::end), the task asks the server.
pub(super) struct Watch<C> {
    shared: Arc<Shared<C>>,
    number: u64,
    start: Instant,
    ended: bool,
}

impl<C: Clone + Send + Sync + 'static> Link<C> {
    /// Starts the task. Must be called within a Tokio runtime.
    pub(super) fn new(server: impl Server<Connection = C>, connection: C) -> Self {
        Self::start(server, Ok(connection))
    }

    /// The same without a connection. The task begins by connecting.
    #[cfg(feature = "redis")]
    pub(super) fn begin(server: impl Server<Connection = C>) -> Self {
        Self::start(server, Err(StoreError::new(StoreErrorKind::Unreachable)))
    }

    fn start<S: Server<Connection = C>>(server: S, connection: Result<C, StoreError>) -> Self {
        let start = Instant::now();
        let shared = Arc::new(Shared {
            line: Mutex::new(Line {
                connection,
                number: 0,
                bridged: start + BEGIN,
            }),
            up: Up::new(S::KIND),
            heard: AtomicU64::new(0),
            start,
            doubted: AtomicBool::new(false),
            wake: Notify::new(),
            gained: Notify::new(),
        });
        let task = tokio::spawn(supervise(Arc::clone(&shared), server)).abort_handle();
        Self { shared, task }
    }

    /// The connection for one call, or the reason why there is none.
    pub(super) async fn call(&self) -> Result<(C, Watch<C>), StoreError> {
        if let Ok(call) = self.try_call() {
            return Ok(call);
        }
        self.shared.bridge().await;
        self.try_call()
    }

    fn try_call(&self) -> Result<(C, Watch<C>), StoreError> {
        let line = self.shared.line();
        let connection = line.connection.clone()?;
        let watch = Watch {
            shared: Arc::clone(&self.shared),
            number: line.number,
            start: Instant::now(),
            ended: false,
        };
        Ok((connection, watch))
    }

    pub(super) fn is_up(&self) -> bool {
        self.shared.line().connection.is_ok()
    }
}

impl<C> Drop for Link<C> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<C> Watch<C> {
    /// Ends the call.
    pub(super) fn end(&mut self, verdict: Verdict) {
        self.ended = true;
        match verdict {
            Verdict::Answered => self.shared.hear(),
            Verdict::Doubtful => self.shared.doubt(self.number),
            Verdict::Lost(error) => self.shared.lose(self.number, error),
        }
    }
}

impl<C> Drop for Watch<C> {
    fn drop(&mut self) {
        if !self.ended && self.start.elapsed() >= IMPATIENT {
            self.shared.doubt(self.number);
        }
    }
}

impl<C> Shared<C> {
    fn line(&self) -> MutexGuard<'_, Line<C>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self) {
        self.heard.store(self.millis(), Ordering::Relaxed);
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn quiet(&self) -> Duration {
        let heard = self.heard.load(Ordering::Relaxed);
        Duration::from_millis(self.millis().saturating_sub(heard))
    }

    /// Wakes the task, if the connection still has that number.
    fn doubt(&self, number: u64) {
        if self.line().number == number {
            self.doubted.store(true, Ordering::Relaxed);
            self.wake.notify_one();
        }
    }

    /// Marks the connection of that number as lost.
    fn lose(&self, number: u64, error: StoreError) {
        let mut line = self.line();
        if line.number == number && line.connection.is_ok() {
            line.connection = Err(down(error));
            line.bridged = Instant::now() + BRIDGE;
            self.up.note(false);
            self.wake.notify_one();
        }
    }

    fn gain(&self, connection: C) {
        let mut line = self.line();
        line.number += 1;
        line.connection = Ok(connection);
        self.doubted.store(false, Ordering::Relaxed);
        self.up.note(true);
        self.hear();
        self.gained.notify_waiters();
    }

    /// Waits briefly if the connection was lost just before. In most cases a new one is ready soon.
    async fn bridge(&self) {
        let gained = self.gained.notified();
        let until = {
            let line = self.line();
            line.connection.is_err().then_some(line.bridged)
        };
        if let Some(until) = until {
            let _ = timeout_at(until, gained).await;
        }
    }

    /// Waits until a call wakes the task, or until the server was silent for [`IDLE`], or until it
    /// was not asked for [`OFTEN`].
    async fn rest(&self, asked: Instant) {
        let left = IDLE.saturating_sub(self.quiet());
        let left = left.min(OFTEN.saturating_sub(asked.elapsed()));
        // the caller checks the state, no matter what ended the wait
        let _ = timeout(left, self.wake.notified()).await;
    }
}

async fn supervise<S: Server>(shared: Arc<Shared<S::Connection>>, server: S) {
    let mut asked = Instant::now();
    loop {
        let line = {
            let line = shared.line();
            line.connection.clone().map(|up| (up, line.number))
        };
        let Ok((connection, number)) = line else {
            dial_on(&shared, &server).await;
            continue;
        };
        let due = shared.quiet() >= IDLE || asked.elapsed() >= OFTEN;
        if !shared.doubted.swap(false, Ordering::Relaxed) && !due {
            drop(connection);
            shared.up.tell();
            shared.rest(asked).await;
            continue;
        }
        asked = Instant::now();
        match ask(&shared, &server, connection).await {
            Ok(()) => sleep(CALM).await,
            Err(error) => shared.lose(number, error),
        }
    }
}

/// Checks whether the connection is alive. Any answer counts, even one to another call.
async fn ask<S: Server>(
    shared: &Shared<S::Connection>,
    server: &S,
    connection: S::Connection,
) -> Result<(), StoreError> {
    let start = shared.millis();
    match timeout(PATIENCE, server.ask(connection)).await {
        Ok(answer) => answer.inspect(|()| shared.hear()),
        Err(_) if shared.heard.load(Ordering::Relaxed) > start => Ok(()),
        Err(_) => Err(StoreError::new(StoreErrorKind::TimedOut)),
    }
}

/// Retries until there is a connection.
async fn dial_on<S: Server>(shared: &Shared<S::Connection>, server: &S) {
    let mut pause = PAUSE[0];
    loop {
        match server.dial().await {
            Ok(connection) => return shared.gain(connection),
            Err(error) => {
                shared.line().connection = Err(down(error));
                shared.up.note(false);
            }
        }
        sleep(random::jitter(pause)).await;
        pause = (pause * 2).min(PAUSE[1]);
    }
}

/// The error of calls while there is no connection. They are not sent, so they do not time out.
fn down(error: StoreError) -> StoreError {
    match error.kind() {
        StoreErrorKind::Denied | StoreErrorKind::ReadOnly | StoreErrorKind::Config => error,
        _ => StoreError::new(StoreErrorKind::Unreachable).because(error),
    }
}
