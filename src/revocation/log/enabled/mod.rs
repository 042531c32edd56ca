mod follow;
mod shared;

use std::{fmt, sync::Arc, time::Duration};

use tokio::{runtime::Handle, task::AbortHandle};

use self::{follow::Follower, shared::Shared};
use crate::{
    clock,
    revocation::Set,
    store::{
        self, Operate, StoreError, StoreErrorKind,
        log::{AnyLog, Entry},
    },
};

/// A log of ended sessions, which all instances of an app read. With it, a logout is final on every
/// instance although the sessions are in cookies.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_sealed_session::{Revocations, SessionLayer};
///
/// let log = Revocations::connect("redis://localhost:6379/0").await?;
/// let sessions = SessionLayer::from_env()?.revocations(log);
/// # Ok(()) }
/// ```
///
/// `logout`, `login` and `renew` add an entry before their response is sent. Each instance holds the
/// entries in memory, and checks every cookie against them. No request that only uses its session
/// waits for the log. An instance reads new entries 40 times a second from Redis or Valkey, and 4
/// times a second from an SQL database. An entry goes when the cookies that it names have expired.
///
/// Clones share the entries and the task that reads the log. Each instance needs its own value, and
/// all of them the same secrets.
///
/// # What an entry holds
///
/// No session and no owner can be told from it: 8 bytes of a hash of a session's id, or a keyed hash
/// of an owner, and two times. In memory, a session's entry has 16 bytes; a million of them take
/// about 40 MB.
///
/// An entry lives for as long as any cookie that it names: until the longer one of
/// [`absolute_timeout`](crate::SessionLayerBuilder::absolute_timeout) and
/// [`max_remember`](crate::SessionLayerBuilder::max_remember) has passed since its session began.
/// An app that does not use `remember` can set `max_remember` to its absolute timeout, so that it
/// holds fewer entries.
///
/// # If the log cannot be reached
///
/// Reading goes on for [`max_staleness`](Self::max_staleness). After that, requests that bring a
/// session get `503 Service Unavailable`, since it may have ended elsewhere. `logout`, `login` and
/// `renew` are a 503 at once. A logout is added to the log as soon as it is back. With
/// [`lenient`](Self::lenient), sessions can be used all the time.
///
/// If the server loses entries, such as a replica that takes over, each instance adds those again
/// that it holds. That is the event `revocations_lost`.
#[derive(Clone)]
pub struct Revocations {
    shared: Arc<Shared>,
    _task: Arc<Task>,
}

/// Ends the task when the last handle is dropped.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Revocations {
    /// Connects to the store that a URL names, and reads its log; see
    /// [`store::connect`](crate::store::connect) for the URLs. In an SQL database, creates the
    /// table of the log if it does not exist.
    ///
    /// The instance is ready to take requests when this returns. Must be called within a Tokio
    /// runtime that lives as long as the layer.
    ///
    /// # Errors
    ///
    /// The same as for `connect` and `create_schema` of the store.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::sharing(&store::connect(url).await?).await
    }

    /// Connects to the URL in the environment variable `REVOCATIONS_URL`.
    ///
    /// # Errors
    ///
    /// The same as for [`connect`](Self::connect), and if the variable is not set.
    pub async fn from_env() -> Result<Self, StoreError> {
        let Some(url) = std::env::var_os("REVOCATIONS_URL").filter(|url| !url.is_empty()) else {
            return Err(StoreError::new(StoreErrorKind::Config).message(
                "REVOCATIONS_URL is not set: set it to the URL of the log that all instances read, \
                 such as `redis://localhost:6379/0`",
            ));
        };
        // a value that is not UTF-8 is not a valid URL either
        let connected = Self::connect(url.to_str().unwrap_or_default()).await;
        connected.map_err(|error| {
            let told = StoreError::new(error.kind()).message("REVOCATIONS_URL cannot be used");
            told.because(error)
        })
    }

    /// The log in a store, over the connections of that store. Otherwise the same as
    /// [`connect`](Self::connect).
    ///
    /// ```
    /// # #[cfg(feature = "memory")] {
    /// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_sealed_session::{KeyRing, Revocations, SessionLayer, store::MemoryStore};
    ///
    /// let store = MemoryStore::new();
    /// let log = Revocations::sharing(&store).await?;
    /// let sessions = SessionLayer::new(KeyRing::ephemeral()?).overflow(store).revocations(log);
    /// # Ok(()) }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    /// #     .block_on(start()).unwrap();
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Config`] if the store has no log: only the stores of this crate have one.
    /// Otherwise the same as for every call, and those of `create_schema`.
    pub async fn sharing(store: &impl Operate) -> Result<Self, StoreError> {
        let log = store.revocation_log().ok_or_else(|| {
            StoreError::new(StoreErrorKind::Config)
                .message("this store has no log of revocations: use a store of this crate")
        })?;
        Self::start(log).await
    }

    async fn start(log: AnyLog) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::new(log));
        let follower = Follower::start(shared.clone()).await?;
        let task = tokio::spawn(follower.run()).abort_handle();
        Ok(Self {
            shared,
            _task: Arc::new(Task(task)),
        })
    }

    /// Sets how old this instance's knowledge of the log may be. Default: 30 s. After that, requests
    /// that bring a session get `503 Service Unavailable`.
    #[must_use]
    pub fn max_staleness(self, limit: Duration) -> Self {
        self.shared.set_max_staleness(limit);
        self
    }

    /// Lets sessions be used however long the log cannot be reached.
    ///
    /// # Security
    ///
    /// A session that ended on another instance meanwhile can be used on this one. Alert on the
    /// event `revocations_stale`.
    #[must_use]
    pub fn lenient(self) -> Self {
        self.shared.set_lenient();
        self
    }

    /// How old this instance's knowledge of the log is. Usually less than a second.
    #[must_use]
    pub fn staleness(&self) -> Duration {
        self.shared.staleness()
    }

    /// The number of entries that this instance holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.set().len()
    }

    /// Whether this instance holds no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn set(&self) -> &Set {
        &self.shared.set
    }

    /// Whether sessions cannot be used because this instance has not read the log for too long.
    pub(crate) fn refuses(&self) -> bool {
        self.shared.refuses()
    }

    /// The clock that tells when entries expire: that of the first layer.
    pub(crate) fn use_clock(&self, clock: &clock::Source) {
        let _ = self.shared.clock.set(clock.clone());
    }

    /// Adds entries, and waits for the answer. Returns how many of them were not in the log.
    pub(crate) async fn append(&self, entries: &[Entry]) -> Result<u64, StoreError> {
        self.shared.append(entries).await
    }

    /// Adds an entry in the background, now or as soon as the log can be reached. This instance knows
    /// it at once.
    pub(crate) fn append_later(&self, entry: Entry) {
        self.shared.note(&entry);
        if let Ok(runtime) = Handle::try_current() {
            let shared = self.shared.clone();
            // if that fails, the task that reads the log tries again
            runtime.spawn(async move { shared.add(&[entry]).await });
        }
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations")
            .field("len", &self.len())
            .field("staleness", &self.staleness())
            .finish_non_exhaustive()
    }
}
