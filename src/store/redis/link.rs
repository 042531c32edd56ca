//! One connection, and the task that replaces it.
//!
//! Without a connection a call fails at once, but for the first milliseconds after one was lost. What a call notices (an error, or that it is dropped
//! unanswered) wakes the task; without calls the task asks the server itself, so that a connection that died in silence is
//! replaced before the next one needs it.

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
    super::{StoreError, StoreErrorKind},
    dial::{self, Dialer},
    fault,
};
use crate::random;

/// Without an answer for so long, the server is asked.
const IDLE: Duration = Duration::from_millis(400);

/// How long it may take to answer that.
const PING: Duration = Duration::from_millis(250);

/// A call that is dropped sooner says nothing of the server: its client may have gone.
const IMPATIENT: Duration = Duration::from_millis(100);

/// How long calls wait for the connection that comes after one that was lost.
const BRIDGE: Duration = Duration::from_millis(20);

/// The first pause between two dials, which doubles, and the longest.
const PAUSE: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(250)];

/// Ends its task with it.
pub(super) struct Link {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    line: Mutex<Line>,
    /// When the server answered last, in milliseconds since `start`.
    heard: AtomicU64,
    start: Instant,
    /// A call was dropped unanswered.
    doubted: AtomicBool,
    wake: Notify,
    /// There is a connection again.
    gained: Notify,
}

struct Line {
    connection: Result<MultiplexedConnection, StoreError>,
    /// Counts connections, so that an error of an old one does not end a new one.
    number: u64,
    /// When the last one was lost.
    lost: Option<Instant>,
}

/// Watches one call. Dropped before [`end`](Self::end), it doubts the connection.
pub(super) struct Watch {
    shared: Arc<Shared>,
    number: u64,
    start: Instant,
    ended: bool,
}

impl Link {
    /// Keeps a connection up from now on. It must be called within a Tokio runtime.
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

    /// The connection for one call, or why there is none.
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
    /// The call is over: an answer, or an error of the server or the connection.
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

    /// The connection of that number is of no more use.
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

    /// Just after a connection was lost there is mostly another one at once: a call that comes in between waits for it.
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

    /// Returns when a call wants it, or when the server was not heard for long.
    async fn rest(&self) {
        let left = IDLE.saturating_sub(self.quiet());
        // whether it was woken or waited long enough is seen from the state
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

/// Whether the connection is alive: any answer will do, also one to a call meanwhile.
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

/// Dials until there is a connection.
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

/// What calls are told while there is no connection.
fn down(error: StoreError) -> StoreError {
    StoreError::new(StoreErrorKind::Unreachable).because(error)
}

/// Between half of it and all, so that a fleet does not dial in step.
fn jitter(pause: Duration) -> Duration {
    let mut byte = [0];
    // without randomness the pause is whole
    let _ = random::from_thread(&mut byte);
    pause - pause / 2 * u32::from(byte[0]) / 255
}
