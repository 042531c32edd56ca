//! One connection, and the task that replaces it.
//!
//! Without a connection, calls fail at once. Only in the first milliseconds after a loss do calls
//! wait for the next connection.
//!
//! A call wakes the task if it fails, or if it is dropped before its answer. Without calls, the
//! task pings the server itself. A connection that died silently is replaced before the next call
//! needs it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{RedisError, aio::MultiplexedConnection};
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    super::error::{StoreError, StoreErrorKind},
    dial::{self, Dialer},
    fault,
};
use crate::random;

/// The task pings the server after this time without an answer.
const IDLE: Duration = Duration::from_millis(400);

/// The time limit of the ping.
const PING: Duration = Duration::from_millis(250);

/// If a call is dropped sooner, the server is not checked: the client may have disconnected.
const IMPATIENT: Duration = Duration::from_millis(100);

/// How long calls wait for a new connection after one was lost.
const BRIDGE: Duration = Duration::from_millis(20);

/// The first and the longest pause between connection attempts. The pause doubles each time.
const PAUSE: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(250)];

/// The connection and its task. Dropping this ends the task.
pub(super) struct Link {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    line: Mutex<Line>,
    /// The time of the server's last answer, in milliseconds since `start`.
    heard: AtomicU64,
    start: Instant,
    /// Whether a call was dropped before its answer.
    doubted: AtomicBool,
    wake: Notify,
    /// Wakes the calls that wait for a new connection.
    gained: Notify,
}

struct Line {
    connection: Result<MultiplexedConnection, StoreError>,
    /// Counts connections, so that an error of an old one does not end the new one.
    number: u64,
    /// The time when the last connection was lost.
    lost: Option<Instant>,
}

/// Watches one call. If it is dropped before [`end`](Self::end), the task checks the connection.
pub(super) struct Watch {
    shared: Arc<Shared>,
    number: u64,
    start: Instant,
    ended: bool,
}

impl Link {
    /// Starts the task. Must be called within a Tokio runtime.
    pub(super) fn new(dialer: Dialer, connection: MultiplexedConnection) -> Self {
        let shared = Arc::new(Shared {
            line: Mutex::new(Line {
                connection: Ok(connection),
                number: 0,
                lost: None,
            }),
            heard: AtomicU64::new(0),
            start: Instant::now(),
            doubted: AtomicBool::new(false),
            wake: Notify::new(),
            gained: Notify::new(),
        });
        let task = tokio::spawn(supervise(Arc::clone(&shared), dialer)).abort_handle();
        Self { shared, task }
    }

    /// The connection for one call, or the reason why there is none.
    pub(super) async fn call(&self) -> Result<(MultiplexedConnection, Watch), StoreError> {
        self.shared.bridge().await;
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

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// Ends the call, with an answer or with an error of the server or the connection.
    pub(super) fn end(&mut self, error: Option<&RedisError>) {
        self.ended = true;
        match error {
            Some(error) if fault::is_broken(error) => {
                self.shared
                    .lose(self.number, fault::translate(error.clone()));
            }
            _ => self.shared.hear(),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.ended || self.start.elapsed() < IMPATIENT {
            return;
        }
        if self.shared.line().number == self.number {
            self.shared.doubted.store(true, Ordering::Relaxed);
            self.shared.wake.notify_one();
        }
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
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

    /// Marks the connection of that number as lost.
    fn lose(&self, number: u64, error: StoreError) {
        let mut line = self.line();
        if line.number == number && line.connection.is_ok() {
            line.connection = Err(down(error));
            line.lost = Some(Instant::now());
            self.wake.notify_one();
        }
    }

    fn gain(&self, connection: MultiplexedConnection) {
        let mut line = self.line();
        line.number += 1;
        line.connection = Ok(connection);
        self.doubted.store(false, Ordering::Relaxed);
        self.hear();
        self.gained.notify_waiters();
    }

    /// Waits briefly if the connection was lost just before. In most cases a new one is ready soon.
    async fn bridge(&self) {
        let gained = self.gained.notified();
        let left = {
            let line = self.line();
            let lost = line.lost.filter(|_| line.connection.is_err());
            lost.and_then(|lost| BRIDGE.checked_sub(lost.elapsed()))
        };
        if let Some(left) = left {
            let _ = timeout(left, gained).await;
        }
    }

    /// Waits until a call wakes the task, or until the server was silent for [`IDLE`].
    async fn rest(&self) {
        let left = IDLE.saturating_sub(self.quiet());
        // the caller checks the state, no matter what ended the wait
        let _ = timeout(left, self.wake.notified()).await;
    }
}

async fn supervise(shared: Arc<Shared>, dialer: Dialer) {
    loop {
        let line = {
            let line = shared.line();
            line.connection.clone().map(|up| (up, line.number))
        };
        let Ok((connection, number)) = line else {
            dial_on(&shared, &dialer).await;
            continue;
        };
        if !shared.doubted.swap(false, Ordering::Relaxed) && shared.quiet() < IDLE {
            drop(connection);
            shared.rest().await;
            continue;
        }
        if let Err(error) = ask(&shared, connection).await {
            shared.lose(number, error);
        }
    }
}

/// Checks whether the connection is alive. Any answer counts, even one to another call.
async fn ask(shared: &Shared, mut connection: MultiplexedConnection) -> Result<(), StoreError> {
    let start = shared.millis();
    match timeout(PING, dial::ping(&mut connection)).await {
        Ok(Err(error)) if fault::is_broken(&error) => Err(fault::translate(error)),
        Ok(_) => {
            shared.hear();
            Ok(())
        }
        Err(_) if shared.heard.load(Ordering::Relaxed) > start => Ok(()),
        Err(_) => Err(StoreError::new(StoreErrorKind::TimedOut)),
    }
}

/// Retries until there is a connection.
async fn dial_on(shared: &Shared, dialer: &Dialer) {
    let mut pause = PAUSE[0];
    loop {
        match dialer.dial().await {
            Ok(connection) => return shared.gain(connection),
            Err(error) => shared.line().connection = Err(down(error)),
        }
        sleep(jitter(pause)).await;
        pause = (pause * 2).min(PAUSE[1]);
    }
}

/// The error of calls while there is no connection.
fn down(error: StoreError) -> StoreError {
    StoreError::new(StoreErrorKind::Unreachable).because(error)
}

/// Between half of `pause` and all of it, so that instances do not reconnect at the same time.
fn jitter(pause: Duration) -> Duration {
    let mut byte = [0];
    // without random bytes, the pause is not shortened
    let _ = random::from_thread(&mut byte);
    pause - pause / 2 * u32::from(byte[0]) / 255
}
