//! Lua scripts that run inside the server. Each script is atomic.
//!
//! The scripts compute the key of an owner's index from the stored value, because the caller does
//! not know the stored owner.

use std::sync::LazyLock;

use redis::Script;

/// `ARGV`: 1 the prefix, 2 the session's key in hex.
const COMMON: &str = r"
local no_owner = ('\0'):rep(16)

-- the key of an owner's index, or nil
local function index_of(tag)
  if #tag < 16 or tag == no_owner then return nil end
  return ARGV[1] .. 'owner:' .. tag:gsub('.', function(c) return ('%02x'):format(c:byte()) end)
end

-- the index lives as long as its longest session, and drops sessions that ended long ago
local function enter(index, expires, ttl, past)
  redis.call('ZADD', index, expires, ARGV[2])
  redis.call('ZREMRANGEBYSCORE', index, '-inf', past)
  if redis.call('PTTL', index) < tonumber(ttl) then redis.call('PEXPIRE', index, ttl) end
end

local function leave(index)
  redis.call('ZREM', index, ARGV[2])
end
";

/// `ARGV`: 3 the value, 4 its TTL, 5 its end, 6 [`past`](super::row::past). Returns 0 if the key
/// already has a session.
///
/// The value is written first, because a full server can refuse only the first write of a script.
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

/// `ARGV`: as for [`CREATE`], and 7 the expected version. Returns nil if there is no session, and
/// the stored value if it has another version.
///
/// Versions are compared as bytes, because Lua's numbers are doubles.
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

/// `ARGV`: 3 the end as bytes, 4 the TTL, 5 the end, 6 [`past`](super::row::past), 7 the expected
/// version. Returns 0 if there is no session, or if it has another version.
///
/// `PEXPIRE` comes first because it needs no memory. After it, even a full server accepts the other
/// writes. A full server therefore logs no user out.
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

/// Returns 0 if there was no session.
pub(super) static DELETE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local index = index_of(redis.call('GETRANGE', KEYS[1], 16, 31))
if index then leave(index) end
return redis.call('DEL', KEYS[1])
",
    )
});

/// `KEYS`: the indexes of the owner's tags. `ARGV`: 1 the maximum number of sessions, 2 the prefix,
/// then the tags. Returns keys and values in turn, those that end last first.
pub(super) static LIST_OWNER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local found, left = {}, tonumber(ARGV[1])
for i, index in ipairs(KEYS) do
  for _, member in ipairs(redis.call('ZREVRANGE', index, 0, left - 1)) do
    local value = redis.call('GET', ARGV[2] .. member)
    if value and value:sub(17, 32) == ARGV[2 + i] then
      found[#found + 1] = member
      found[#found + 1] = value
      left = left - 1
    end
  end
  if left == 0 then break end
end
return found
",
    )
});

/// `KEYS`: the indexes of the owner's tags. `ARGV`: 1 the number of entries to look at, 2 the
/// prefix, then the tags, then the keys of the sessions that stay. Returns the number of deleted
/// sessions, and 1 if there may be more entries.
///
/// The entries are removed from the index, also those of sessions that Redis has expired.
pub(super) static DELETE_OWNER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local stays = {}
for i = 3 + #KEYS, #ARGV do stays[ARGV[i]] = true end
local count, left = 0, tonumber(ARGV[1])
for i, index in ipairs(KEYS) do
  local members = redis.call('ZRANGE', index, 0, left - 1)
  for _, member in ipairs(members) do
    if not stays[member] then
      local key = ARGV[2] .. member
      if redis.call('GETRANGE', key, 16, 31) == ARGV[2 + i] then count = count + redis.call('DEL', key) end
      redis.call('ZREM', index, member)
    end
  end
  left = left - #members
  if left == 0 then return {count, 1} end
end
return {count, 0}
",
    )
});

fn script(body: &str) -> Script {
    Script::new(&format!("{COMMON}{body}"))
}
