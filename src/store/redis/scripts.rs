//! Lua scripts that run inside the server. Each is atomic, and uses one key, or two in one slot, so
//! that it also runs in a cluster.
//!
//! They compare bytes and compute nothing, since Lua's numbers are doubles, and its strings are slow.

use std::sync::LazyLock;

use redis::Script;

use super::row::{HEAD, OWNER};

/// `ARGV`: 1 the start of the expected head, 2 the value, 3 its TTL. Returns 1, or the row if its
/// head begins otherwise, or nil if there is none.
pub(super) static SAVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return redis.call('GET', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
",
    )
});

/// `ARGV`: 1 the start of the expected head, 2 hour and end as bytes, 3 the TTL. Returns 1, or the
/// head if it begins otherwise. It is empty if there is no row.
///
/// `PEXPIRE` comes first because it needs no memory. After it, even a full server accepts the other
/// write. A full server therefore logs no user out.
pub(super) static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        r"
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return redis.call('GETRANGE', KEYS[1], 0, {}) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SETRANGE', KEYS[1], 8, ARGV[2])
return 1
",
        HEAD - 1
    ))
});

/// Returns the owner in the row that it deleted, or nil.
pub(super) static DELETE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        r"
local owner = redis.call('GETRANGE', KEYS[1], {}, {})
return redis.call('DEL', KEYS[1]) == 1 and owner
",
        OWNER[0], OWNER[1]
    ))
});

/// `ARGV`: the tags of an owner. Deletes a row that has one of them. Returns how many.
pub(super) static DELETE_OWNED: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        r"
local owner = redis.call('GETRANGE', KEYS[1], {}, {})
for _, tag in ipairs(ARGV) do
  if owner == tag then return redis.call('DEL', KEYS[1]) end
end
return 0
",
        OWNER[0], OWNER[1]
    ))
});

/// `ARGV`: 1 the member, 2 its score, 3 [`past`](super::row::past), 4 the TTL.
///
/// The index lives as long as its last member, and drops members that ended long ago. The first
/// command on an existing index needs no memory, as in [`TOUCH`].
pub(super) static ENTER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local left, ttl = redis.call('PTTL', KEYS[1]), tonumber(ARGV[4])
if left >= 0 then redis.call('PEXPIRE', KEYS[1], math.max(left, ttl)) end
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3])
if left < 0 then redis.call('PEXPIRE', KEYS[1], ttl) end
return 1
",
    )
});

/// Adds entries to the log of revocations. `KEYS`: 1 the keys of entries, 2 the log. `ARGV`: 1 until
/// when keys are forgotten, 2 the score of new ones, 3 the TTL of the keys, 4 the TTL of the log,
/// then the key of each entry and the entry. Returns how many were added.
///
/// The first command needs no memory. After it, even a full server accepts the others.
pub(super) static APPEND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local added, ttl = 0, tonumber(ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
for i = 5, #ARGV, 2 do
  if redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[i]) == 1 then
    redis.call('XADD', KEYS[2], '*', 'e', ARGV[i + 1])
    added = added + 1
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if redis.call('PTTL', KEYS[2]) < ttl then redis.call('PEXPIRE', KEYS[2], ttl) end
return added
",
    )
});

/// Tries each command of the log on a key that does not exist, so that nothing changes. Returns the
/// names of those that the user may not run.
pub(super) static LOG_RIGHTS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local missing = {}
local function try(name, ...)
  local reply = redis.pcall(name, KEYS[1], ...)
  local err = type(reply) == 'table' and reply.err
  if err and (err:find('permissions to run') or err:find('run this command')) then
    missing[#missing + 1] = name
  end
end
try('ZREMRANGEBYSCORE', 0, 0)
try('ZADD', 'XX', 0, '')
try('XADD', 'NOMKSTREAM', '*', 'e', '')
try('XTRIM', 'MINID', 0)
try('XRANGE', '-', '+')
try('PTTL')
try('PEXPIRE', 1)
return table.concat(missing, ', ')
",
    )
});
