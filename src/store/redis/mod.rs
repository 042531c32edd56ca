mod check;
mod cluster;
mod command;
mod dial;
mod fault;
mod health;
mod log;
mod operate;
mod owners;
mod row;
mod scan;
mod scripts;
mod servers;
mod tls;

use std::{fmt, sync::Arc};

use redis::{Value, aio::ConnectionLike};
use time::OffsetDateTime;

use self::{
    cluster::Cluster,
    command::{Command, unexpected},
    dial::Dialer,
    row::{End, named, start},
    servers::Servers,
};
use super::{
    contract::{Creation, OwnerTag, Row, Saving, Store, StoreKey, Stored, Version},
    error::{StoreError, StoreErrorKind},
    link::Link,
};
use crate::{event::Event, metrics::Metrics};

/// Keeps sessions in Redis 6.2 or newer, or in Valkey.
///
/// ```no_run
/// use tower_sealed_session::{KeyRing, SessionLayer, store::RedisStore};
///
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::connect("redis://localhost:6379/0").await?;
/// let sessions = SessionLayer::new(KeyRing::from_env()?).store(store);
/// # Ok(()) }
/// ```
///
/// The URL may name several hosts, separated by commas, which are tried in turn:
/// `redis://:password@10.0.0.1,10.0.0.2:6380/0`.
///
/// The store has one connection to the server, which all clones share, and a task that replaces the
/// connection when it fails. Requests do not wait for that: without a connection every call fails at
/// once. Calls work again within a second of the server's return.
///
/// A server that becomes a replica counts as down within a second, even if its connection stays open.
/// Calls fail until a host of the URL is a primary.
///
/// # Redis Cluster
///
/// If the server is a node of a cluster, of Redis or Valkey, the store learns the other nodes from
/// it, and has a connection and a task for each one. A node that fails concerns only the sessions on
/// it. The store follows slots that move, and replicas that take over.
///
/// The app must be able to reach the addresses that the nodes announce (`cluster-announce-ip`, or
/// `cluster-announce-hostname` with `cluster-preferred-endpoint-type hostname`, which TLS needs
/// unless the certificates are for addresses).
///
/// # Keys
///
/// A session is one key with a time to live, `session:` and 32 hex digits. A session with an owner is
/// also in a sorted set of that owner, `session:owner:` and the owner's tag, which has the ends of
/// the owner's sessions, rounded up to an hour. No command of a session uses two keys. So a login
/// enters the set first, then creates the session.
///
/// A log of revocations ([`Revocations`](crate::Revocations)) is a stream,
/// `session:{revocations}:log`, and a sorted set, `session:{revocations}:keys`, with what was added
/// in the last hour. Both end by their time to live if nothing is added.
///
/// # Rights of the user
///
/// A user that can do what the store needs, and nothing else:
///
/// ```text
/// ACL SETUSER sessions on >PASSWORD resetkeys ~session:* resetchannels -@all +ping +hello +select +evalsha +script|load +get +getrange +set +setrange +del +pexpire +pttl +zadd +zrem +zremrangebyscore +zscan +zrevrange +scan +dbsize +time +info +config|get
/// ```
///
/// On a cluster, add `+cluster|slots +asking`, on each node. For a log of revocations, add
/// `+xadd +xtrim +xrange`. These are optional:
///
/// - `scan`, `dbsize` and `time` are for operators.
/// - `info` and `config|get` let the store check version and eviction at start-up.
/// - [`health`](super::Operate::health) asks by `info` and `scan`. Without one of them, a part of it
///   is unknown.
///
/// [`connect`](Self::connect) fails if another command is missing.
///
/// # Settings of the server
///
/// Use `maxmemory-policy noeviction`, which is Redis's default. When the server is full, new
/// sessions fail with [`StoreErrorKind::Full`], and all users stay logged in.
///
/// Any other policy is reported by an event at start-up. The server then evicts sessions, and also
/// the records of ended sessions and of owners. An old cookie from before the move to the store may
/// become valid again, and `delete_owner` may miss a session. Use another server for a cache.
///
/// With `appendonly yes`, a crash of the server loses at most the last second of changes. Without
/// it, a crash loses all changes since the last snapshot.
#[derive(Clone)]
pub struct RedisStore {
    servers: Servers,
    prefix: Arc<str>,
}

impl RedisStore {
    /// Connects to a URL: `redis://user:password@host:6379/0` or `unix:///path/to/socket?db=0`.
    ///
    /// Must be called within a Tokio runtime that lives as long as the store.
    ///
    /// `rediss://` connects with TLS and needs the feature `redis-tls`. It accepts certificates of the
    /// authorities that the system trusts. For one of your own, add `?sslrootcert=/path/to/ca.pem`.
    ///
    /// # Errors
    ///
    /// - [`StoreErrorKind::Config`] if the URL is invalid, if TLS fails or is not compiled in, or if
    ///   the server is too old or a sentinel.
    /// - [`StoreErrorKind::ReadOnly`] if the server is a replica, except in a cluster.
    /// - [`StoreErrorKind::Denied`] if it refuses the user, or if the user may not run a command.
    /// - [`StoreErrorKind::Unreachable`] or [`StoreErrorKind::TimedOut`] if the connection fails, or
    ///   one to a node of the cluster.
    ///
    /// Each text says what to do, and none contains the password.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let (dialer, mut connection, address) = Dialer::start(url).await?;
        Ok(Self::of(
            match check::is_in_cluster(&mut connection).await? {
                true => Servers::Cluster(Cluster::start(dialer, connection, address).await?.into()),
                false => {
                    check::suitable(&mut connection).await?;
                    Servers::One(Link::new(dialer, connection).into())
                }
            },
        ))
    }

    /// Connects to the URL in the environment variable `REDIS_URL`.
    ///
    /// If the variable is unset or empty, connects to `redis://localhost:6379/0` and emits an
    /// event.
    ///
    /// # Errors
    ///
    /// The same as for [`connect`](Self::connect).
    pub async fn from_env() -> Result<Self, StoreError> {
        const DEFAULT: &str = "redis://localhost:6379/0";
        match std::env::var("REDIS_URL") {
            Ok(url) if !url.is_empty() => Self::connect(&url).await,
            Err(std::env::VarError::NotUnicode(_)) => Err(StoreError::new(StoreErrorKind::Config)
                .message("invalid REDIS_URL: it is not UTF-8")),
            _ => {
                Event::StoreDefault { url: DEFAULT }.emit(Metrics::of_process());
                Self::connect(DEFAULT).await
            }
        }
    }

    /// Uses a connection of your own: a multiplexed one, a `ConnectionManager`, or one to a cluster.
    ///
    /// The store does not check or replace this connection. It must reconnect by itself after a
    /// failure, and must not let calls wait until then. It must not send a command again by itself,
    /// since the first one may have taken effect.
    pub fn from_connection<C>(connection: C) -> Self
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        Self::of(Servers::Given(Arc::new(connection)))
    }

    /// Sets the prefix of all keys. Default: `session:`.
    ///
    /// Apps that share a database need different prefixes.
    #[must_use]
    pub fn prefix(mut self, prefix: impl AsRef<str>) -> Self {
        self.prefix = prefix.as_ref().into();
        self
    }

    fn of(servers: Servers) -> Self {
        Self {
            servers,
            prefix: "session:".into(),
        }
    }

    fn row_key(&self, key: StoreKey) -> String {
        named(&[&self.prefix], key.as_bytes())
    }
}

impl Store for RedisStore {
    fn kind(&self) -> &'static str {
        "redis"
    }

    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        let key = self.row_key(key);
        match self.servers.send(&key, Command::new("GET", &key)).await? {
            Value::Nil => Ok(None),
            Value::BulkString(value) => row::decode(value).map(Some),
            _ => Err(unexpected()),
        }
    }

    async fn create(&self, key: StoreKey, row: &Row<'_>) -> Result<Creation, StoreError> {
        let (name, end) = (self.row_key(key), End::new(key, row.expires));
        if let Some(owner) = row.owner {
            self.enter(owner, key, end).await?;
        }
        let set = Command::new("SET", &name).arg(row::encode(row, end));
        let set = set.arg("NX").arg("PX").arg(end.ttl());
        match self.servers.send(&name, set).await? {
            Value::Nil => Ok(Creation::Exists),
            Value::Okay => Ok(Creation::Created),
            _ => Err(unexpected()),
        }
    }

    async fn save(
        &self,
        key: StoreKey,
        expected: Version,
        row: &Row<'_>,
        previous: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        let (name, end) = (self.row_key(key), End::new(key, row.expires));
        let value = row::encode(row, end);
        // a row that keeps its owner and its hour is in the index already
        let mut hour = (row.owner == previous).then_some(end.hour());
        loop {
            match row.owner {
                None => hour = None,
                Some(owner) if hour.is_none() => self.enter(owner, key, end).await?,
                Some(_) => {}
            }
            let save =
                Command::script(&scripts::SAVE, &[&name]).arg(start(expected, hour).as_ref());
            let save = save.arg(&value).arg(end.ttl());
            match self.servers.send(&name, save).await? {
                Value::Nil => return Ok(Saving::Gone),
                Value::Int(_) => break,
                Value::BulkString(found) => {
                    let found = row::decode(found)?;
                    if found.version != expected || hour.take().is_none() {
                        return Ok(Saving::Conflict(found));
                    }
                }
                _ => return Err(unexpected()),
            }
        }
        if let (Some(owner), None) = (previous, row.owner) {
            self.leave(owner, key).await;
        }
        Ok(Saving::Saved)
    }

    async fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let (name, end) = (self.row_key(key), End::new(key, expires));
        let mut hour = Some(end.hour());
        loop {
            let touch =
                Command::script(&scripts::TOUCH, &[&name]).arg(start(expected, hour).as_ref());
            let touch = touch.arg(&end.bytes()[..]).arg(end.ttl());
            let head = match self.servers.send(&name, touch).await? {
                Value::Int(_) => return Ok(true),
                Value::BulkString(head) => row::decode_head(&head)?,
                _ => return Err(unexpected()),
            };
            let Some((_, owner)) = head.filter(|(version, _)| *version == expected) else {
                return Ok(false);
            };
            if hour.take().is_none() {
                return Ok(false);
            }
            if let Some(owner) = owner {
                self.enter(owner, key, end).await?;
            }
        }
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        let name = self.row_key(key);
        let delete = Command::script(&scripts::DELETE, &[&name]);
        let owner = match self.servers.send(&name, delete).await? {
            Value::Nil => return Ok(false),
            Value::BulkString(owner) => owner.try_into().ok().and_then(row::owner),
            _ => return Err(unexpected()),
        };
        if let Some(owner) = owner {
            self.leave(owner, key).await;
        }
        Ok(true)
    }

    async fn list_owner(&self, owner: &[OwnerTag]) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        self.list(owner).await
    }

    async fn delete_owner(
        &self,
        owner: &[OwnerTag],
        except: &[StoreKey],
    ) -> Result<u64, StoreError> {
        self.delete_batch(owner, except).await
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RedisStore");
        shown.field("prefix", &self.prefix);
        if let Some(up) = self.servers.is_up() {
            shown.field("up", &up);
        }
        shown.finish_non_exhaustive()
    }
}
