//! What the server does in one step for each call.
//!
//! A session is one value: `version 8 ‖ end in ms 8 ‖ owner's tag 16, or zeros ‖ bytes`, numbers big-endian. An owner's sessions
//! are a sorted set of their keys by end. Both have a time to live that is set along with what they hold.

use std::sync::LazyLock;

use redis::Script;

/// `ARGV`: the value, its time to live, its end, the prefix of owners' sets, the session's name in them, now; `owner` is what
/// stands in a value.
const INDEX: &str = r"
local function set_of(owner)
  if owner == string.rep('\0', 16) then return nil end
  return ARGV[4] .. owner:gsub('.', function(c) return string.format('%02x', c:byte()) end)
end
local function enlist(owner)
  local set = set_of(owner)
  if not set then return end
  redis.call('ZREMRANGEBYSCORE', set, '-inf', ARGV[6])
  redis.call('ZADD', set, ARGV[3], ARGV[5])
  if redis.call('PTTL', set) < tonumber(ARGV[2]) then redis.call('PEXPIRE', set, ARGV[2]) end
end
local function delist(owner)
  local set = set_of(owner)
  if set then redis.call('ZREM', set, ARGV[5]) end
end
";

fn script(own: &str) -> Script {
    Script::new(&format!("{INDEX}{own}"))
}

pub(super) static CREATE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
enlist(ARGV[1]:sub(17, 32))
return 1",
    )
});

/// `ARGV[7]`: the version that is to be replaced.
pub(super) static SAVE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local old = redis.call('GETRANGE', KEYS[1], 0, 31)
if old == '' then return false end
if old:sub(1, 8) ~= ARGV[7] then return redis.call('GET', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local was, is = old:sub(17, 32), ARGV[1]:sub(17, 32)
if was ~= is then delist(was) end
enlist(is)
return ''",
    )
});

/// `ARGV[1]`: the end as it stands in the value.
pub(super) static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local old = redis.call('GETRANGE', KEYS[1], 0, 31)
if old == '' then return 0 end
redis.call('SETRANGE', KEYS[1], 8, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
enlist(old:sub(17, 32))
return 1",
    )
});

pub(super) static DELETE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local old = redis.call('GETRANGE', KEYS[1], 0, 31)
if old == '' then return 0 end
redis.call('DEL', KEYS[1])
delist(old:sub(17, 32))
return 1",
    )
});

/// `KEYS[1]`: the owner's set; `ARGV[1]`: the prefix of sessions.
pub(super) static DELETE_OWNER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local count = 0
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  count = count + redis.call('DEL', ARGV[1] .. name)
end
redis.call('DEL', KEYS[1])
return count",
    )
});
