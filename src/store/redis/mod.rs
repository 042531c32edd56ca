mod link;
mod scripts;

use std::{fmt, sync::Arc, time::SystemTime};

use redis::{
    Client, Cmd, ConnectionAddr, ErrorKind, FromRedisValue, IntoConnectionInfo as _, Pipeline,
    RedisError, RedisFuture, RedisResult, Script, ServerErrorKind, Value, aio::ConnectionLike,
    io::tcp::TcpSettings,
};
use time::OffsetDateTime;

use self::link::Link;
use super::{
    Creation, Operate, OwnerTag, Saving, Statistics, Store, StoreError, StoreErrorKind, StoreKey,
    Stored, Version,
};
use crate::{clock::moment, event::Event};

/// Keeps sessions in Redis 6.2 or newer, or Valkey.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_sealed_session::{SessionLayer, store::RedisStore};
///
/// let store = RedisStore::connect("redis://localhost:6379/0").await?;
/// let sessions = SessionLayer::from_env()?.store(store);
/// # Ok(()) }
/// ```
///
/// Each session is a key, `session:` and the hash of its id, with a time to live that is set in the same command. An owner's
/// sessions are a sorted set, `session:owner:` and the owner's tag, which ends with the last of them. All calls share one connection; while
/// the server is down they fail at once, and within a second of its return they work again, without a restart. Clones are one store.
///
/// - **Eviction**: with `maxmemory`, set `maxmemory-policy noeviction`, or `volatile-ttl` where Redis is a cache as well: other policies log
///   visitors out at random. [`connect`](Self::connect) warns of `allkeys-…` (an event).
/// - **Persistence**: `appendonly yes`, or a restart of the server logs everyone out. A replica that is promoted may not know of
///   the last logouts.
/// - **Cluster** is not supported: a session and its owner's set are in different slots.
/// - **TLS**: `rediss://` works where the app has the crate `redis` with one of its TLS features.
#[derive(Clone)]
pub struct RedisStore {
    access: Access,
    prefix: Arc<str>,
}

#[derive(Clone)]
enum Access {
    Link(Arc<Link>),
    /// The app's own connection.
    Own(Arc<dyn Fn() -> Wire + Send + Sync>),
}

/// Any connection.
struct Wire(Box<dyn ConnectionLike + Send>);

const PREFIX: &str = "session:";

/// What stands before a session's bytes: version, end, owner's tag.
const HEADER_LEN: usize = 32;

impl RedisStore {
    /// Connects to the server of a URL, such as `redis://user:password@host:6379/0`, or `redis+unix:///path/to/socket`.
    ///
    /// # Errors
    ///
    /// A URL that is none, a server that cannot be reached or is too old, a wrong password. The URL is not shown: it may hold one.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let no_tls = || {
            StoreError::new(StoreErrorKind::Config).told(
                "`rediss://` wants TLS: add the crate `redis` to the app, with its feature `tokio-rustls-comp`",
            )
        };
        let info = url.into_connection_info().map_err(|_| {
            if url.starts_with("rediss:") {
                return no_tls();
            }
            // what the client says may quote the URL
            StoreError::new(StoreErrorKind::Config)
                .told("the URL is not one of Redis: write `redis://host:6379/0`, with `user:password@` before the host if need be")
        })?;
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) && !info.addr().is_supported() {
            return Err(no_tls());
        }
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info).map_err(failed)?;
        let link = Link::establish(client).await.map_err(|error| {
            let error = failed(error);
            match error.kind() {
                StoreErrorKind::Unreachable => {
                    error.told("the Redis server cannot be reached: is it running, and are host and port of the URL right?")
                }
                _ => error,
            }
        })?;
        let store = Self::with(Access::Link(link));
        store.check_server().await?;
        Ok(store)
    }

    /// Connects to the server that `REDIS_URL` names; where it is not set, to `redis://localhost:6379/0`, with an event that says so.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Self::connect).
    pub async fn from_env() -> Result<Self, StoreError> {
        match std::env::var("REDIS_URL") {
            Ok(url) if !url.is_empty() => Self::connect(&url).await,
            _ => {
                const DEFAULT: &str = "redis://localhost:6379/0";
                Event::DefaultServer { url: DEFAULT }.emit();
                Self::connect(DEFAULT).await
            }
        }
    }

    /// A store that uses the app's own connection, such as a `MultiplexedConnection` or a `ConnectionManager`. How soon it notices
    /// that the server is down, and that it is back, is up to that.
    #[must_use]
    pub fn from_connection<C>(connection: C) -> Self
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        Self::with(Access::Own(Arc::new(move || {
            Wire(Box::new(connection.clone()))
        })))
    }

    /// What all keys begin with. Default: `session:`.
    #[must_use]
    pub fn prefix(self, prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into().into(),
            ..self
        }
    }

    fn with(access: Access) -> Self {
        Self {
            access,
            prefix: PREFIX.into(),
        }
    }

    /// Refuses a server that is too old, and warns of one that may evict sessions. A server that does not tell is taken as it is.
    async fn check_server(&self) -> Result<(), StoreError> {
        let mut info = redis::cmd("INFO");
        info.arg("server");
        let told = self.ask::<String>(&info).await.unwrap_or_default();
        let version = told
            .lines()
            .find_map(|line| line.strip_prefix("redis_version:"));
        let mut numbers = version
            .unwrap_or_default()
            .split('.')
            .map(str::parse::<u32>);
        if let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next())
            && (major, minor) < (6, 2)
        {
            return Err(StoreError::new(StoreErrorKind::Config).told(format!(
                "the Redis server is of version {major}.{minor}: 6.2 or newer is needed, or Valkey"
            )));
        }
        let mut policy = redis::cmd("CONFIG");
        policy.arg("GET").arg("maxmemory-policy");
        let policy = self.ask::<Vec<String>>(&policy).await.unwrap_or_default();
        if policy
            .get(1)
            .is_some_and(|policy| policy.starts_with("allkeys"))
        {
            Event::Evicts.emit();
        }
        Ok(())
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        self.call(async |wire| command.query_async(wire).await)
            .await
    }

    async fn call<T>(
        &self,
        call: impl AsyncFnOnce(&mut Wire) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let link = match &self.access {
            Access::Own(connection) => return call(&mut connection()).await.map_err(failed),
            Access::Link(link) => link,
        };
        let Some(connection) = link.connection() else {
            return Err(StoreError::new(StoreErrorKind::Unreachable));
        };
        let watch = link.watch();
        let answer = call(&mut Wire(Box::new(connection))).await;
        match &answer {
            Err(error) if error.is_io_error() || error.is_unrecoverable_error() => {
                watch.broke();
                // for whoever was on it: mostly there is another one at once
                link.restored().await;
            }
            _ => watch.heard(),
        }
        answer.map_err(failed)
    }

    fn key(&self, key: StoreKey) -> String {
        format!("{}{}", self.prefix, hex(key.as_bytes()))
    }

    fn owners(&self) -> String {
        format!("{}owner:", self.prefix)
    }

    async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        key: StoreKey,
        value: &[u8],
        expires: OffsetDateTime,
        expected: Option<Version>,
    ) -> Result<T, StoreError> {
        let (end, now) = (millis(expires), now());
        let mut invocation = script.key(self.key(key));
        invocation
            .arg(value)
            .arg(end.saturating_sub(now).max(1))
            .arg(end)
            .arg(self.owners())
            .arg(hex(key.as_bytes()))
            .arg(now)
            .arg(&expected.map_or(0, Version::get).to_be_bytes()[..]);
        self.call(async |wire| invocation.invoke_async(wire).await)
            .await
    }
}

impl Store for RedisStore {
    async fn load(&self, key: StoreKey) -> Result<Option<Stored>, StoreError> {
        let mut get = redis::cmd("GET");
        get.arg(self.key(key));
        let value: Option<Vec<u8>> = self.ask(&get).await?;
        value.map(parse).transpose()
    }

    async fn create(
        &self,
        key: StoreKey,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> Result<Creation, StoreError> {
        let version = Version::new(1);
        let value = value(version, bytes, expires, owner);
        match self
            .run(&scripts::CREATE, key, &value, expires, None)
            .await?
        {
            true => Ok(Creation::Created(version)),
            false => Ok(Creation::Exists),
        }
    }

    async fn save(
        &self,
        key: StoreKey,
        expected: Version,
        bytes: &[u8],
        expires: OffsetDateTime,
        owner: Option<OwnerTag>,
    ) -> Result<Saving, StoreError> {
        let version = expected.next();
        let value = value(version, bytes, expires, owner);
        let run = self.run(&scripts::SAVE, key, &value, expires, Some(expected));
        let there: Option<Vec<u8>> = run.await?;
        Ok(match there {
            None => Saving::Gone,
            Some(value) if value.is_empty() => Saving::Saved(version),
            Some(value) => Saving::Conflict(parse(value)?),
        })
    }

    async fn touch(&self, key: StoreKey, expires: OffsetDateTime) -> Result<bool, StoreError> {
        let end = millis(expires).to_be_bytes();
        self.run(&scripts::TOUCH, key, &end, expires, None).await
    }

    async fn delete(&self, key: StoreKey) -> Result<bool, StoreError> {
        let none = OffsetDateTime::UNIX_EPOCH;
        self.run(&scripts::DELETE, key, b"", none, None).await
    }

    async fn delete_owner(&self, owner: OwnerTag) -> Result<u64, StoreError> {
        let mut invocation =
            scripts::DELETE_OWNER.key(format!("{}{}", self.owners(), hex(owner.as_bytes())));
        invocation.arg(&*self.prefix);
        self.call(async |wire| invocation.invoke_async(wire).await)
            .await
    }
}

impl Operate for RedisStore {
    /// The server forgets by itself.
    async fn prune(&self, _: OffsetDateTime) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn statistics(&self, _: OffsetDateTime) -> Result<Statistics, StoreError> {
        let (mut cursor, mut live) = (0_u64, 0);
        let escaped = self.prefix.chars().flat_map(|c| {
            let special = matches!(c, '*' | '?' | '[' | ']' | '\\');
            special.then_some('\\').into_iter().chain(Some(c))
        });
        let pattern: String = escaped
            .chain("????????????????????????????????".chars())
            .collect();
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor)
                .arg("MATCH")
                .arg(&pattern)
                .arg("COUNT")
                .arg(1000);
            let (next, keys): (u64, Vec<Vec<u8>>) = self.ask(&scan).await?;
            live += keys.len() as u64;
            if next == 0 {
                return Ok(Statistics::new(live, 0));
            }
            cursor = next;
        }
    }
}

fn value(
    version: Version,
    bytes: &[u8],
    expires: OffsetDateTime,
    owner: Option<OwnerTag>,
) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEADER_LEN + bytes.len());
    value.extend_from_slice(&version.get().to_be_bytes());
    value.extend_from_slice(&millis(expires).to_be_bytes());
    value.extend_from_slice(
        owner
            .as_ref()
            .map_or(&[0; 16][..], |owner| owner.as_bytes()),
    );
    value.extend_from_slice(bytes);
    value
}

fn parse(mut value: Vec<u8>) -> Result<Stored, StoreError> {
    let number =
        |at: usize| -> Option<u64> { Some(u64::from_be_bytes(*value.get(at..)?.first_chunk()?)) };
    let (Some(version), Some(end), true) = (number(0), number(8), value.len() >= HEADER_LEN) else {
        return Err(StoreError::new(StoreErrorKind::Schema).told(
            "a key of the session store holds something else: choose another `prefix`, or another database",
        ));
    };
    value.drain(..HEADER_LEN);
    Ok(Stored {
        version: Version::new(version),
        bytes: value,
        expires: moment(end),
    })
}

fn millis(moment: OffsetDateTime) -> u64 {
    u64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(0)
}

fn now() -> u64 {
    let elapsed = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn failed(error: RedisError) -> StoreError {
    let kind = match (error.kind(), error.code()) {
        (_, Some("OOM")) => StoreErrorKind::Full,
        (_, Some("NOAUTH" | "WRONGPASS" | "NOPERM")) | (ErrorKind::AuthenticationFailed, _) => {
            StoreErrorKind::Denied
        }
        (_, Some("MISCONF")) | (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => {
            StoreErrorKind::ReadOnly
        }
        (_, Some("LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "BUSY" | "TRYAGAIN")) => {
            StoreErrorKind::Unreachable
        }
        (_, Some("WRONGTYPE")) => StoreErrorKind::Schema,
        (ErrorKind::InvalidClientConfig, _) => StoreErrorKind::Config,
        _ if error.is_timeout() => StoreErrorKind::TimedOut,
        _ if error.is_io_error() || error.is_connection_dropped() => StoreErrorKind::Unreachable,
        _ => StoreErrorKind::Other,
    };
    StoreError::new(kind).because(error)
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.0.req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
