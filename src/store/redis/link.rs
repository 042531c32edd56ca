//! One connection that many requests share, and the task that replaces it.
//!
//! No request waits for a connection to be made: while there is none, calls fail at once. The task looks after the connection
//! when a call failed or was given up, and three times a second when nothing was heard of the server, so that one that is dead
//! without a word, as after a fail-over, is replaced within a second, before the next request needs it.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{AsyncConnectionConfig, Client, RedisResult, aio::MultiplexedConnection};
use tokio::{sync::Notify, time::timeout};

use crate::random;

/// How long connecting and the first answer may take, and each look after the connection.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often the connection is looked after when nothing was heard of the server.
const PULSE: Duration = Duration::from_millis(300);

/// Between two attempts to connect: from the least to the most, doubling.
const LEAST_PAUSE: Duration = Duration::from_millis(20);
const MOST_PAUSE: Duration = Duration::from_millis(250);

/// A call that is given up after so long says something about the connection; sooner, about the client who left.
const SUSPICIOUS: Duration = Duration::from_millis(100);

/// How long a call on a connection that broke waits for another one.
const AFTER_BREAK: Duration = Duration::from_millis(20);

/// Calls that are sent and not yet answered: the rest wait their turn in the process.
const BUFFER: usize = 1024;

pub(super) struct Link {
    client: Client,
    /// `None` while the server is down.
    connection: Mutex<Option<MultiplexedConnection>>,
    /// The server answered since the last look.
    heard: AtomicBool,
    trouble: Arc<Notify>,
    /// There is a connection again.
    restored: Notify,
}

impl Link {
    /// Connects, and keeps connected from then on.
    pub(super) async fn establish(client: Client) -> RedisResult<Arc<Self>> {
        let connection = dial(&client).await?;
        let link = Arc::new(Self {
            client,
            connection: Mutex::new(Some(connection)),
            heard: AtomicBool::new(true),
            trouble: Arc::default(),
            restored: Notify::new(),
        });
        tokio::spawn(look_after(Arc::downgrade(&link), link.trouble.clone()));
        Ok(link)
    }

    pub(super) fn connection(&self) -> Option<MultiplexedConnection> {
        self.lock().clone()
    }

    /// Waits for another connection, and not for long.
    pub(super) async fn restored(&self) {
        let restored = self.restored.notified();
        if self.lock().is_none() {
            let _ = timeout(AFTER_BREAK, restored).await;
        }
    }

    /// For the time of a call.
    pub(super) fn watch(self: &Arc<Self>) -> Watch<'_> {
        Watch {
            link: self,
            since: Instant::now(),
            done: false,
        }
    }

    fn set(&self, connection: Option<MultiplexedConnection>) {
        *self.lock() = connection;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<MultiplexedConnection>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // the task sees that nobody needs it any more
        self.trouble.notify_one();
    }
}

/// A call that is under way.
pub(super) struct Watch<'a> {
    link: &'a Arc<Link>,
    since: Instant,
    done: bool,
}

impl Watch<'_> {
    /// The server answered.
    pub(super) fn heard(mut self) {
        self.done = true;
        self.link.heard.store(true, Ordering::Relaxed);
    }

    /// The connection broke.
    pub(super) fn broke(mut self) {
        self.done = true;
        self.link.set(None);
        self.link.trouble.notify_one();
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if !self.done && self.since.elapsed() >= SUSPICIOUS {
            self.link.heard.store(false, Ordering::Relaxed);
            self.link.trouble.notify_one();
        }
    }
}

async fn look_after(link: Weak<Link>, trouble: Arc<Notify>) {
    loop {
        let _ = timeout(PULSE, trouble.notified()).await;
        let Some(link) = link.upgrade() else {
            return;
        };
        if let Some(connection) = link.connection() {
            if link.heard.swap(false, Ordering::Relaxed) || answers(connection).await.is_ok() {
                continue;
            }
            link.set(None);
        }
        let mut pause = LEAST_PAUSE;
        // as long as anyone has the store
        let link = Arc::downgrade(&link);
        loop {
            let Some(link) = link.upgrade() else {
                return;
            };
            if let Ok(connection) = dial(&link.client).await {
                link.set(Some(connection));
                link.heard.store(true, Ordering::Relaxed);
                link.restored.notify_waiters();
                break;
            }
            drop(link);
            tokio::time::sleep(jitter(pause)).await;
            pause = MOST_PAUSE.min(2 * pause);
        }
    }
}

/// A connection on which the server has answered.
async fn dial(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        // callers have their own
        .set_response_timeout(None)
        .set_pipeline_buffer_size(BUFFER);
    let connecting = async {
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        answers(connection.clone()).await?;
        Ok(connection)
    };
    // the handshake's answers have no time limit of their own
    timeout(2 * PATIENCE, connecting)
        .await
        .unwrap_or_else(|_| Err(silent()))
}

async fn answers(mut connection: MultiplexedConnection) -> RedisResult<()> {
    let ping = async { redis::cmd("PING").query_async::<()>(&mut connection).await };
    timeout(PATIENCE, ping)
        .await
        .unwrap_or_else(|_| Err(silent()))
}

fn silent() -> redis::RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// Half of it to all of it, by chance, so that instances do not come all at once.
fn jitter(pause: Duration) -> Duration {
    let mut random = [0; 1];
    // without randomness the whole of it
    let part = random::from_thread(&mut random).map_or(255, |()| random[0]);
    pause / 2 + pause.mul_f64(f64::from(part) / 510.0)
}
