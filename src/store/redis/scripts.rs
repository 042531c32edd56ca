//! What runs inside the server, each script at one instant.
//!
//! A session's index key is made from the owner in its value, which no caller knows beforehand.

use std::sync::LazyLock;

use redis::Script;

/// `ARGV`: 1 the prefix, 2 the session's key in hex.
const COMMON: &str = r"
local nobody = ('\0'):rep(16)

-- the key of an owner's index, or nil
local function index_of(tag)
  if #tag < 16 or tag == nobody then return nil end
  return ARGV[1] .. 'owner:' .. tag:gsub('.', function(c) return ('%02x'):format(c:byte()) end)
end

-- the index lives as long as the longest of its sessions, and forgets those that are long past
local function enter(index, expires, ttl, past)
  redis.call('ZADD', index, expires, ARGV[2])
  redis.call('ZREMRANGEBYSCORE', index, '-inf', past)
  if redis.call('PTTL', index) < tonumber(ttl) then redis.call('PEXPIRE', index, ttl) end
end

local function leave(index)
  redis.call('ZREM', index, ARGV[2])
end
";

/// `ARGV`: 3 the value, 4 its TTL, 5 its end, 6 the past. 0: the key has a session.
///
/// The value is written first: a server that is full refuses the first write of a script or none.
pub(super) static CREATE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
if not redis.call('SET', KEYS[1], ARGV[3], 'NX', 'PX', ARGV[4]) then return 0 end
local index = index_of(ARGV[3]:sub(17, 32))
if index then enter(index, ARGV[5], ARGV[4], ARGV[6]) end
return 1
",
    )
});

/// `ARGV`: as above, 7 the expected version. Nil: there is none. A value: what is there instead.
///
/// Versions are compared as bytes, since Lua's numbers are doubles.
pub(super) static SAVE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local old = redis.call('GETRANGE', KEYS[1], 0, 31)
if #old < 32 then return false end
if old:sub(1, 8) ~= ARGV[7] then return redis.call('GET', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
local before, after = index_of(old:sub(17, 32)), index_of(ARGV[3]:sub(17, 32))
if before and before ~= after then leave(before) end
if after then enter(after, ARGV[5], ARGV[4], ARGV[6]) end
return 1
",
    )
});

/// `ARGV`: 3 the end as bytes, 4 the TTL, 5 the end, 6 the past, 7 the expected version. 0: it is not at that, or there is none.
///
/// `PEXPIRE` comes first: it needs no memory, and after it a server that is full lets the rest pass, so that nobody is
/// logged out for want of room.
pub(super) static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local old = redis.call('GETRANGE', KEYS[1], 0, 31)
if #old < 32 or old:sub(1, 8) ~= ARGV[7] then return 0 end
local tag = old:sub(17, 32)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('SETRANGE', KEYS[1], 8, ARGV[3])
local index = index_of(tag)
if index then enter(index, ARGV[5], ARGV[4], ARGV[6]) end
return 1
",
    )
});

/// 0: there was none.
pub(super) static DELETE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local index = index_of(redis.call('GETRANGE', KEYS[1], 16, 31))
if index then leave(index) end
return redis.call('DEL', KEYS[1])
",
    )
});

/// `KEYS`: the index. `ARGV`: 1 the prefix, 2 the owner. How many there were.
pub(super) static DELETE_OWNER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local count = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local key = ARGV[1] .. member
  if redis.call('GETRANGE', key, 16, 31) == ARGV[2] then count = count + redis.call('DEL', key) end
end
redis.call('DEL', KEYS[1])
return count
",
    )
});

fn script(body: &str) -> Script {
    Script::new(&format!("{COMMON}{body}"))
}
