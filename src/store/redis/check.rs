//! What a server is, and what its user may do.

use std::sync::LazyLock;

use redis::{FromRedisValue as _, RedisError, Script, Value, aio::ConnectionLike};

use super::{
    super::error::{StoreError, StoreErrorKind},
    fault,
};
use crate::{event::Event, metrics::Metrics};

/// The oldest Redis version that the scripts were tested with.
const OLDEST: [u32; 2] = [6, 2];

/// Fails if the server is not ready, or if it is a replica, unless any node of a cluster will do.
///
/// A server whose user may not ask counts as ready.
pub(super) async fn ready(
    connection: &mut impl ConnectionLike,
    any_node: bool,
) -> Result<(), RedisError> {
    match redis::cmd("PING").query_async::<Value>(connection).await {
        Ok(Value::SimpleString(pong)) if pong == "PONG" => {}
        // a connection to a closed local port can, in rare cases, connect to itself
        Ok(_) => return Err(std::io::Error::from(std::io::ErrorKind::InvalidData).into()),
        // the server answers, and it can be read
        Err(error) if matches!(error.code(), Some("NOPERM" | "MISCONF")) => {}
        Err(error) => return Err(error),
    }
    let [role, mode] = told(connection, ["role", "mode"]).await?;
    if role.is_none_or(|role| role == "master") || (any_node && is_cluster(mode.as_deref())) {
        return Ok(());
    }
    Err(redis::make_extension_error(
        "READONLY".to_owned(),
        Some("the server is a replica".to_owned()),
    ))
}

/// Whether the server is a node of a cluster. Fails if it is a sentinel.
pub(super) async fn is_in_cluster(
    connection: &mut impl ConnectionLike,
) -> Result<bool, StoreError> {
    let [mode] = told(connection, ["mode"]).await.map_err(fault::translate)?;
    match mode.as_deref() {
        Some("sentinel") => Err(config(
            "the redis server is a sentinel, which has no data: use the URL of the primary",
        )),
        mode => Ok(is_cluster(mode)),
    }
}

fn is_cluster(mode: Option<&str>) -> bool {
    mode == Some("cluster")
}

/// Fails if the user may not follow a slot that is moving to another node.
pub(super) async fn can_follow_slots(
    connection: &mut impl ConnectionLike,
) -> Result<(), StoreError> {
    let asking = redis::cmd("ASKING").query_async(connection).await;
    allowed("ASKING", asking)
}

/// Fails if the store does not work with this server or this user. Warns of settings that lose
/// sessions.
pub(super) async fn suitable(connection: &mut impl ConnectionLike) -> Result<(), StoreError> {
    check_version(connection).await?;
    check_rights(connection).await?;
    warn_of_eviction(connection).await;
    Ok(())
}

/// Fields of what the server says about itself. `None` if it does not say it to this user.
async fn told<const N: usize>(
    connection: &mut impl ConnectionLike,
    fields: [&str; N],
) -> Result<[Option<String>; N], RedisError> {
    match redis::cmd("HELLO").query_async::<Value>(connection).await {
        Ok(reply) => Ok(fields.map(|field| field_of(&reply, field))),
        Err(error) if fault::is_lost(&error) => Err(error),
        Err(_) => Ok([const { None }; N]),
    }
}

fn field_of(reply: &Value, field: &str) -> Option<String> {
    let mut pairs = reply.as_map_iter()?;
    let text = |value: &Value| String::from_redis_value_ref(value).ok();
    pairs.find_map(|(name, value)| (text(name)? == field).then(|| text(value))?)
}

/// Skips the check if the user may not read the version.
async fn check_version(connection: &mut impl ConnectionLike) -> Result<(), StoreError> {
    let mut info = redis::cmd("INFO");
    let info: Result<String, _> = info.arg("server").query_async(connection).await;
    let Some(version) = info.as_deref().ok().and_then(version) else {
        return Ok(());
    };
    if version >= OLDEST {
        return Ok(());
    }
    let [major, minor] = version;
    Err(config(format!(
        "redis {major}.{minor} is too old: use redis 6.2 or newer, or valkey"
    )))
}

fn version(info: &str) -> Option<[u32; 2]> {
    let text = info
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))?;
    let mut parts = text.trim().split('.');
    Some([parts.next()?.parse().ok()?, parts.next()?.parse().ok()?])
}

/// Tries each command of the other scripts on a key that does not exist, so that nothing changes.
/// Returns the names of those that the user may not run.
///
/// It does not matter here whether the user may access the key: the prefix is set later.
static RIGHTS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local missing = {}
local function try(name, ...)
  local reply = redis.pcall(name, ARGV[1], ...)
  local err = type(reply) == 'table' and reply.err
  if err and (err:find('permissions to run') or err:find('run this command')) then
    missing[#missing + 1] = name
  end
end
try('GET')
try('GETRANGE', 0, 0)
try('SET', '', 'XX', 'PX', 1)
try('SETRANGE', 0, '')
try('PEXPIRE', 1)
try('PTTL')
try('DEL')
try('ZADD', 'XX', 0, '')
try('ZREM', '')
try('ZREMRANGEBYSCORE', 0, 0)
try('ZSCAN', 0)
try('ZREVRANGE', 0, 0)
return table.concat(missing, ', ')
",
    )
});

/// A key that neither a session nor another app has.
const PROBE: &str = "session:tower-sealed-session:rights";

async fn check_rights(connection: &mut impl ConnectionLike) -> Result<(), StoreError> {
    let tries = RIGHTS.arg(PROBE);
    allowed("SCRIPT LOAD", tries.load_async(connection).await)?;
    let missing: String = allowed("EVALSHA", tries.invoke_async(connection).await)?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(denied(&missing))
}

/// Maps the answer to a command that the user may not be allowed to run.
pub(super) fn allowed<T>(command: &str, answer: Result<T, RedisError>) -> Result<T, StoreError> {
    answer.map_err(|error| match error.code() {
        Some("NOPERM") => denied(command),
        _ => fault::translate(error),
    })
}

fn denied(commands: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Denied).message(format!(
        "the redis user may not run {commands}: grant it; the documentation of `RedisStore` has a \
         line with all rights"
    ))
}

async fn warn_of_eviction(connection: &mut impl ConnectionLike) {
    let mut config = redis::cmd("CONFIG");
    config.arg("GET").arg("maxmemory-policy");
    let config: Result<Vec<String>, _> = config.query_async(connection).await;
    let Some(policy) = config.ok().and_then(|pair| pair.into_iter().nth(1)) else {
        return;
    };
    if policy != "noeviction" {
        Event::StoreEvicts { policy: &policy }.emit(Metrics::of_process());
    }
}

fn config(message: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Config).message(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_info() {
        assert_eq!(
            version("# Server\r\nredis_version:7.0.15\r\n"),
            Some([7, 0])
        );
        assert!(version("redis_version:6.0.16\r\n").is_some_and(|version| version < OLDEST));
        assert_eq!(version("redis_mode:standalone\r\n"), None);
    }
}
