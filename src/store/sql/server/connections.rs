//! The connections to one server.
//!
//! A connection whose statement was dropped before its answer may still have that statement. It is
//! closed, and is never used for another one.
//!
//! Connecting can take longer than a call may take. It goes on if the call is dropped, so that the
//! next call finds the connection.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, ready},
    time::Duration,
};

use sqlx::{ConnectOptions as _, Connection, Pool, pool::PoolConnection};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::Dialect;

/// The maximum number of own connections.
const MOST: usize = 10;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(2);

/// Own connections that no call used for so long are closed. A firewall may have dropped them.
const SPARE: Duration = Duration::from_secs(30);

/// How long a connection of a pool may take to answer after another one was lost.
const ANSWER: Duration = Duration::from_millis(100);

/// The settings of a connection.
pub(super) type Options<D> = <<D as sqlx::Database>::Connection as Connection>::Options;

/// The connections to one server.
pub(super) enum Connections<D: Dialect> {
    Own(Arc<Own<D>>),
    /// The app's pool.
    Pool(Pool<D>),
}

/// Connections that no other part of the app uses.
pub(super) struct Own<D: Dialect> {
    options: Options<D>,
    /// The one that was used last is the last one.
    idle: Mutex<Vec<(Line<D>, Instant)>>,
    limits: Arc<Limits>,
}

/// Counts the connections of a store, also those that were opened before a fault.
struct Limits {
    /// One for each call that may have a connection.
    calls: Arc<Semaphore>,
    /// One for each connection that is open, or is being opened.
    lines: Arc<Semaphore>,
    /// Wakes a call when there may be a connection for it.
    available: Notify,
}

/// An own connection.
struct Line<D: Dialect> {
    connection: D::Connection,
    _counted: Option<OwnedSemaphorePermit>,
}

/// A connection that one call uses. If it is not given back, it is closed.
pub(super) struct Lent<D: Dialect>(Option<Held<D>>);

enum Held<D: Dialect> {
    Own(Line<D>, Arc<Own<D>>, OwnedSemaphorePermit),
    Pool(PoolConnection<D>),
}

impl<D: Dialect> Connections<D> {
    pub(super) fn own(options: Options<D>) -> Self {
        Self::Own(Arc::new(Own {
            options,
            idle: Mutex::default(),
            limits: Arc::new(Limits {
                calls: Semaphore::new(MOST).into(),
                lines: Semaphore::new(MOST).into(),
                available: Notify::new(),
            }),
        }))
    }

    /// Opens a connection to the server that is not counted.
    pub(super) async fn open(&self) -> Result<D::Connection, sqlx::Error> {
        match self {
            Self::Own(own) => own.options.connect().await,
            Self::Pool(pool) => pool.connect_options().connect().await,
        }
    }

    /// The same connections without those that were opened before a fault. `fresh` is a new one.
    pub(super) async fn renewed(&self, fresh: D::Connection) -> Self {
        match self {
            Self::Own(own) => {
                let renewed = Own {
                    options: own.options.clone(),
                    idle: Mutex::default(),
                    limits: Arc::clone(&own.limits),
                };
                renewed.put(Line {
                    connection: fresh,
                    _counted: Arc::clone(&own.limits.lines).try_acquire_owned().ok(),
                });
                Self::Own(Arc::new(renewed))
            }
            Self::Pool(pool) => {
                close_silent(pool).await;
                Self::Pool(pool.clone())
            }
        }
    }

    pub(super) async fn lend(&self) -> Result<Lent<D>, sqlx::Error> {
        Ok(Lent(Some(match self {
            Self::Own(own) => {
                let permit = Arc::clone(&own.limits.calls).acquire_owned().await;
                let permit = permit.map_err(|_| sqlx::Error::PoolClosed)?;
                let line = own.take_or_open().await?;
                Held::Own(line, Arc::clone(own), permit)
            }
            Self::Pool(pool) => Held::Pool(match pool.try_acquire() {
                Some(connection) => connection,
                None => {
                    let pool = pool.clone();
                    let acquired = tokio::spawn(async move { pool.acquire().await });
                    acquired.await.map_err(|_| sqlx::Error::WorkerCrashed)??
                }
            }),
        })))
    }

    /// Lends a connection that no call uses now.
    pub(super) fn lend_idle(&self) -> Option<Lent<D>> {
        Some(Lent(Some(match self {
            Self::Own(own) => {
                let permit = Arc::clone(&own.limits.calls).try_acquire_owned().ok()?;
                let mut idle = own.idle();
                let (line, _) = idle.pop()?;
                idle.retain(|(_, since)| since.elapsed() < SPARE);
                Held::Own(line, Arc::clone(own), permit)
            }
            Self::Pool(pool) => Held::Pool(pool.try_acquire()?),
        })))
    }
}

impl<D: Dialect> Own<D> {
    fn idle(&self) -> MutexGuard<'_, Vec<(Line<D>, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, line: Line<D>) {
        self.idle().push((line, Instant::now()));
        self.limits.available.notify_one();
    }

    fn take(&self) -> Option<Line<D>> {
        let (line, _) = self.idle().pop()?;
        Some(line)
    }

    /// Takes an idle connection. If there is none, opens one in a task of its own, and takes the
    /// first one that is idle then.
    async fn take_or_open(self: &Arc<Self>) -> Result<Line<D>, sqlx::Error> {
        let mut opening = None;
        loop {
            let mut available = pin!(self.limits.available.notified());
            available.as_mut().enable();
            if let Some(line) = self.take() {
                return Ok(line);
            }
            if opening.is_none()
                && let Ok(counted) = Arc::clone(&self.limits.lines).try_acquire_owned()
            {
                opening = Some(tokio::spawn(Arc::clone(self).open_one(counted)));
            }
            poll_fn(|context| {
                if available.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                let Some(task) = &mut opening else {
                    return Poll::Pending;
                };
                let opened = ready!(Pin::new(task).poll(context));
                opening = None;
                Poll::Ready(opened.unwrap_or(Err(sqlx::Error::WorkerCrashed)))
            })
            .await?;
        }
    }

    async fn open_one(self: Arc<Self>, counted: OwnedSemaphorePermit) -> Result<(), sqlx::Error> {
        let opened = timeout(CONNECT, self.options.connect()).await;
        match opened.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(connection) => {
                self.put(Line {
                    connection,
                    _counted: Some(counted),
                });
                Ok(())
            }
            Err(error) => {
                drop(counted);
                self.limits.available.notify_one();
                Err(error)
            }
        }
    }
}

/// Closes the idle connections of a pool that do not answer.
async fn close_silent<D: Dialect>(pool: &Pool<D>) {
    let idle = (0..pool.num_idle()).map_while(|_| pool.try_acquire());
    let checks = idle.map(|connection| {
        let mut lent = Lent::<D>(Some(Held::Pool(connection)));
        tokio::spawn(async move {
            if let Ok(Ok(())) = timeout(ANSWER, lent.connection().ping()).await {
                lent.give_back();
            }
        })
    });
    for check in checks.collect::<Vec<_>>() {
        let _ = check.await;
    }
}

impl<D: Dialect> Clone for Connections<D> {
    fn clone(&self) -> Self {
        match self {
            Self::Own(own) => Self::Own(Arc::clone(own)),
            Self::Pool(pool) => Self::Pool(pool.clone()),
        }
    }
}

impl<D: Dialect> Lent<D> {
    pub(super) fn connection(&mut self) -> &mut D::Connection {
        match self.0.as_mut().expect("it is taken at the end") {
            Held::Own(line, ..) => &mut line.connection,
            Held::Pool(connection) => connection,
        }
    }

    /// Gives the connection back, after its statement was answered.
    pub(super) fn give_back(mut self) {
        match self.0.take() {
            Some(Held::Own(line, own, _permit)) => own.put(line),
            // the pool takes it back
            Some(Held::Pool(connection)) => drop(connection),
            None => {}
        }
    }
}

impl<D: Dialect> Drop for Lent<D> {
    fn drop(&mut self) {
        match self.0.take() {
            Some(Held::Own(line, own, permit)) => {
                drop((line, permit));
                own.limits.available.notify_one();
            }
            Some(Held::Pool(connection)) => drop(connection.detach()),
            None => {}
        }
    }
}
