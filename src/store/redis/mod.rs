mod call;
mod check;
mod dial;
mod fault;
mod operate;
mod row;
mod scripts;
mod tls;

use std::{fmt, sync::Arc};

use redis::{
    Script, ScriptInvocation, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use time::OffsetDateTime;

use self::{
    call::{Call, Given, number, unexpected},
    dial::Dialer,
    row::{End, hex, unhex},
};
use super::{
    contract::{Creation, OwnerTag, Row, Saving, Store, StoreKey, Stored, Version},
    error::{StoreError, StoreErrorKind},
    link::Link,
};
use crate::event::Event;

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
/// The store has one connection, which all clones share, and a task that replaces the connection
/// when it fails. Requests do not wait for that: without a connection every call fails at once.
/// Calls work again within a second of the server's return.
///
/// A session is one key with a time to live. A session with an owner is also in a sorted set of
/// that owner. Scripts inside the server maintain the set, and compute its key from the session's
/// value. This is why the store does not work with Redis Cluster.
///
/// A server that becomes a replica counts as down within a second, even if its connection stays open.
/// Calls fail until the address leads to a primary.
///
/// # Rights of the user
///
/// A user that can do what the store needs, and nothing else:
///
/// ```text
/// ACL SETUSER sessions on >PASSWORD resetkeys ~session:* resetchannels -@all +ping +hello +select +evalsha +script|load +get +getrange +set +setrange +del +pexpire +pttl +zadd +zrem +zremrangebyscore +zrange +zrevrange +mget +scan +dbsize +info +config|get
/// ```
///
/// `mget`, `scan` and `dbsize` are for operators. `info` and `config|get` let the store check version
/// and eviction at start-up. [`connect`](Self::connect) fails if another command is missing.
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
    source: Source,
    prefix: Arc<str>,
}

/// The maximum number of entries of an owner's indexes that one script looks at.
const OWNER_BATCH: u64 = 1000;

#[derive(Clone)]
enum Source {
    Link(Arc<Link<MultiplexedConnection>>),
    Given(Arc<dyn Given>),
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
    ///   the server is too old, a sentinel or a node of a cluster.
    /// - [`StoreErrorKind::ReadOnly`] if the server is a replica.
    /// - [`StoreErrorKind::Denied`] if it refuses the user, or if the user may not run a command.
    /// - [`StoreErrorKind::Unreachable`] or [`StoreErrorKind::TimedOut`] if the connection fails.
    ///
    /// Each text says what to do, and none contains the password.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let (dialer, connection) = Dialer::start(url).await?;
        let link = Link::new(dialer, connection);
        Ok(Self::of(Source::Link(Arc::new(link))))
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
                Event::StoreDefault { url: DEFAULT }.emit();
                Self::connect(DEFAULT).await
            }
        }
    }

    /// Uses a connection of your own: a multiplexed one, or a `ConnectionManager`.
    ///
    /// The store does not check or replace this connection. It must reconnect by itself after a
    /// failure, and must not let calls wait until then. It must not send a command again by itself,
    /// since the first one may have taken effect.
    pub fn from_connection<C>(connection: C) -> Self
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        Self::of(Source::Given(Arc::new(connection)))
    }

    /// Sets the prefix of all keys. Default: `session:`.
    ///
    /// Apps that share a database need different prefixes.
    #[must_use]
    pub fn prefix(mut self, prefix: impl AsRef<str>) -> Self {
        self.prefix = prefix.as_ref().into();
        self
    }

    fn of(source: Source) -> Self {
        Self {
            source,
            prefix: "session:".into(),
        }
    }

    async fn call(&self) -> Result<Call, StoreError> {
        Ok(match &self.source {
            Source::Link(link) => {
                let (connection, watch) = link.call().await?;
                Call::Watched(connection, watch)
            }
            Source::Given(given) => Call::Given(given.open()),
        })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

impl Store for RedisStore {
    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        let mut call = self.call().await?;
        let key = self.key(&hex(key.as_bytes()));
        let mut get = redis::cmd("GET");
        let reply = get.arg(key).query_async(&mut call).await;
        match call.end(reply)? {
            Value::Nil => Ok(None),
            Value::BulkString(value) => row::decode(value).map(Some),
            _ => Err(unexpected()),
        }
    }

    async fn create(&self, key: StoreKey, row: &Row<'_>) -> Result<Creation, StoreError> {
        let mut call = self.call().await?;
        let (member, end) = (hex(key.as_bytes()), End::new(row.expires));
        let mut create = scripts::CREATE.key(self.key(&member));
        create.arg(&*self.prefix).arg(member);
        create.arg(row::encode(row, end));
        create.arg(end.ttl()).arg(end.score()).arg(row::past());
        let reply = create.invoke_async(&mut call).await;
        match call.end(reply)? {
            Value::Int(0) => Ok(Creation::Exists),
            Value::Int(_) => Ok(Creation::Created),
            _ => Err(unexpected()),
        }
    }

    async fn save(
        &self,
        key: StoreKey,
        expected: Version,
        row: &Row<'_>,
        _: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        let mut call = self.call().await?;
        let (member, end) = (hex(key.as_bytes()), End::new(row.expires));
        let mut save = scripts::SAVE.key(self.key(&member));
        save.arg(&*self.prefix).arg(member);
        save.arg(row::encode(row, end));
        save.arg(end.ttl()).arg(end.score()).arg(row::past());
        save.arg(&expected.get().to_be_bytes()[..]);
        let reply = save.invoke_async(&mut call).await;
        match call.end(reply)? {
            Value::Nil => Ok(Saving::Gone),
            Value::Int(_) => Ok(Saving::Saved),
            Value::BulkString(value) => row::decode(value).map(Saving::Conflict),
            _ => Err(unexpected()),
        }
    }

    async fn touch(
        &self,
        key: StoreKey,
        expected: Version,
        expires: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let mut call = self.call().await?;
        let (member, end) = (hex(key.as_bytes()), End::new(expires));
        let mut touch = scripts::TOUCH.key(self.key(&member));
        touch.arg(&*self.prefix).arg(member).arg(&end.bytes()[..]);
        touch.arg(end.ttl()).arg(end.score()).arg(row::past());
        touch.arg(&expected.get().to_be_bytes()[..]);
        let reply = touch.invoke_async(&mut call).await;
        Ok(number(call.end(reply)?)? > 0)
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        let mut call = self.call().await?;
        let member = hex(key.as_bytes());
        let mut delete = scripts::DELETE.key(self.key(&member));
        delete.arg(&*self.prefix).arg(member);
        let reply = delete.invoke_async(&mut call).await;
        Ok(number(call.end(reply)?)? > 0)
    }

    async fn list_owner(&self, owner: &[OwnerTag]) -> Result<Vec<(StoreKey, Stored)>, StoreError> {
        let mut call = self.call().await?;
        let list = self.of_owner(&scripts::LIST_OWNER, owner);
        let reply = list.invoke_async(&mut call).await;
        let found: Vec<(String, Vec<u8>)> =
            redis::from_redis_value(call.end(reply)?).map_err(|_| unexpected())?;
        found.into_iter().filter_map(decoded).collect()
    }

    async fn delete_owner(
        &self,
        owner: &[OwnerTag],
        except: &[StoreKey],
    ) -> Result<u64, StoreError> {
        let mut delete = self.of_owner(&scripts::DELETE_OWNER, owner);
        for key in except {
            delete.arg(hex(key.as_bytes()));
        }
        loop {
            let mut call = self.call().await?;
            let reply = delete.invoke_async(&mut call).await;
            let (deleted, more): (u64, bool) =
                redis::from_redis_value(call.end(reply)?).map_err(|_| unexpected())?;
            // a batch without a session can be followed by one with sessions
            if deleted > 0 || !more {
                return Ok(deleted);
            }
        }
    }
}

impl RedisStore {
    /// A script for the indexes of an owner.
    fn of_owner<'a>(&self, script: &'a Script, owner: &[OwnerTag]) -> ScriptInvocation<'a> {
        let mut invocation = script.arg(OWNER_BATCH);
        invocation.arg(&*self.prefix);
        for tag in owner {
            invocation.key(self.key(&format!("owner:{}", hex(tag.as_bytes()))));
            invocation.arg(&tag.as_bytes()[..]);
        }
        invocation
    }
}

/// A session that the server returned with its key in hex. `None`: the key is none of ours.
fn decoded((key, value): (String, Vec<u8>)) -> Option<Result<(StoreKey, Stored), StoreError>> {
    let key = StoreKey::new(unhex(&key)?);
    Some(row::decode(value).map(|stored| (key, stored)))
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RedisStore");
        shown.field("prefix", &self.prefix);
        if let Source::Link(link) = &self.source {
            shown.field("up", &link.is_up());
        }
        shown.finish_non_exhaustive()
    }
}
