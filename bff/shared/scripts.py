"""What the server decides in one step, in Lua.

A script names every key it touches. Times are the server's, in milliseconds, so the tasks' clocks
do not matter. Replies are lists whose first item says what happened.

A run's hash has `status`, `task` (who owns it), `last` (id of the last event), `bytes`, `meta`
(JSON), `message`, `created` and `ended` (the owner's seconds), `cancel`, `counted` (it ends with
its last follower) and `watch` (`task=until …`: who wants its events published). The log is a list
whose last element is event `last`, so ids need no room, cannot repeat and show what is missing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Script:
    text: str = field(repr=False)
    sha: str

    @classmethod
    def of(cls, *parts: str) -> Script:
        text = "\n".join(parts)
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


_NOW = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
"""

_TELL = """
local function tell(watch, text)
  if not watch then return end
  for task, till in string.gmatch(watch, '(%S+)=(%d+)') do
    if tonumber(till) > now then redis.call('PUBLISH', 'bff:task:' .. task, text) end
  end
end
"""

_EPOCH = """
local function epoch(key, fresh)
  local value = redis.call('GET', key)
  if not value then
    value = fresh .. ' ' .. string.format('%d', now)
    redis.call('SET', key, value)
  end
  return value, now - tonumber(string.match(value, '%d+$'))
end
"""

TOUCH = Script.of(
    _NOW,
    _EPOCH,
    """
-- KEYS epoch; ARGV fresh -> epoch's name, its age
local value, age = epoch(KEYS[1], ARGV[1])
return {value, age}
""",
)

OPEN = Script.of(
    _NOW,
    _EPOCH,
    """
-- KEYS epoch, leases, open, run, log, followers, idempotency key (or run)
-- ARGV epoch known, fresh, member, task, lease, ttl, session, meta, message, created, first event,
--      most open, fingerprint, counted, whether keys may still be restored
local known, member, task = ARGV[1], ARGV[3], ARGV[4]
local value, age = epoch(KEYS[1], ARGV[2])
if known ~= '' and known ~= value then return {'epoch', value, age} end
if ARGV[13] ~= '' then
  local earlier = redis.call('GET', KEYS[7])
  if earlier then
    local fingerprint, run = string.match(earlier, '^(%S+) (%S+)$')
    if fingerprint ~= ARGV[13] then return {'mismatch'} end
    return {'known', run}
  end
  if ARGV[15] == '1' then return {'fresh'} end
end
local dead = {'lapsed'}
local function lapsed(other)
  local till = redis.call('ZSCORE', KEYS[2], other)
  return not till or tonumber(till) <= now
end
local holder = redis.call('HGET', KEYS[3], ARGV[7])
if holder then
  if not lapsed(holder) then return {'busy'} end
  dead[2] = holder
  return dead
end
if redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[12]) then
  for _, other in ipairs(redis.call('HVALS', KEYS[3])) do
    if lapsed(other) then dead[#dead + 1] = other end
  end
  if #dead > 1 then return dead end
  return {'full'}
end
local ttl = ARGV[6]
redis.call('HSET', KEYS[4], 'status', 'running', 'task', task, 'last', 1, 'bytes', #ARGV[11],
  'meta', ARGV[8], 'message', ARGV[9], 'created', ARGV[10])
redis.call('RPUSH', KEYS[5], ARGV[11])
redis.call('HSET', KEYS[3], ARGV[7], member)
redis.call('ZADD', KEYS[2], now + ARGV[5], member)
if ARGV[14] == '1' then
  redis.call('HSET', KEYS[4], 'counted', 1)
  redis.call('HSET', KEYS[6], task, now + ARGV[5])
  redis.call('PEXPIRE', KEYS[6], ttl)
end
if ARGV[13] ~= '' then redis.call('SET', KEYS[7], ARGV[13] .. ' ' .. member, 'PX', ttl) end
for i = 2, 5 do redis.call('PEXPIRE', KEYS[i], ttl) end
return {'ok'}
""",
)

RESTORE = Script.of(
    _NOW,
    _EPOCH,
    """
-- KEYS epoch, leases, open, run, log, followers, idempotency key (or run)
-- ARGV fresh, member, task, lease, ttl, session, meta, message, created, fingerprint, counted,
--      id before the first event kept
epoch(KEYS[1], ARGV[1])
local h = redis.call('HMGET', KEYS[4], 'status', 'task', 'last')
if h[1] and h[2] ~= ARGV[3] then return {'superseded', 0} end
if h[1] and h[1] ~= 'running' then return {h[1], tonumber(h[3])} end
local ttl = ARGV[5]
redis.call('DEL', KEYS[5])
redis.call('HSET', KEYS[4], 'status', 'running', 'task', ARGV[3], 'last', ARGV[12], 'bytes', 0,
  'meta', ARGV[7], 'message', ARGV[8], 'created', ARGV[9])
redis.call('HSETNX', KEYS[3], ARGV[6], ARGV[2])
redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[2])
if ARGV[11] == '1' then
  redis.call('HSET', KEYS[4], 'counted', 1)
  redis.call('HSET', KEYS[6], ARGV[3], now + ARGV[4])
  redis.call('PEXPIRE', KEYS[6], ttl)
end
if ARGV[10] ~= '' then
  redis.call('SET', KEYS[7], ARGV[10] .. ' ' .. ARGV[2], 'PX', ttl, 'NX')
end
for i = 2, 4 do redis.call('PEXPIRE', KEYS[i], ttl) end
return {'ok', tonumber(ARGV[12])}
""",
)

_APPEND = """
local function append(run, log, member, task, first, from, to, most, room, ttl)
  local h = redis.call('HMGET', run, 'status', 'task', 'last', 'bytes', 'watch')
  if not h[1] then return 'missing', 0 end
  local last = tonumber(h[3])
  if h[2] ~= task then return 'superseded', last end
  if h[1] ~= 'running' then return h[1], last end
  if first > last + 1 then return 'behind', last end
  -- an attempt whose reply was lost may have been kept: what is there already is passed over
  from = from + last + 1 - first
  if from > to then return 'ok', last end
  local bytes = tonumber(h[4])
  for i = from, to do bytes = bytes + #ARGV[i] end
  local count = redis.call('RPUSH', log, unpack(ARGV, from, to))
  if count == to - from + 1 then redis.call('PEXPIRE', log, ttl) end
  if count > most or bytes > room then
    -- a tenth more than needed, so that this is not done for every event
    while count > 1 and (count > most * 0.9 or bytes > room * 0.9) do
      bytes = bytes - #redis.call('LPOP', log)
      count = count - 1
    end
  end
  if h[5] then
    tell(h[5], 'events ' .. member .. ' ' .. string.format('%d', last + 1) .. '\\n' ..
      table.concat(ARGV, '\\n', from, to))
  end
  last = last + to - from + 1
  redis.call('HSET', run, 'last', last, 'bytes', bytes)
  return 'ok', last
end
"""

APPEND = Script.of(
    _NOW,
    _TELL,
    _APPEND,
    """
-- KEYS per run: run, log
-- ARGV task, most events, most bytes, ttl, then per run: `member first-id how-many`, the events
-- -> one text: per run a word and the last event's id (every item of a list costs the client)
local task, most, room, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local reply, arg = {}, 5
for key = 1, #KEYS, 2 do
  local member, first, count = string.match(ARGV[arg], '(%S+) (%d+) (%d+)')
  local to = arg + count
  local word, last = append(KEYS[key], KEYS[key + 1], member, task, tonumber(first), arg + 1, to,
    most, room, ttl)
  reply[#reply + 1] = word .. ' ' .. string.format('%d', last)
  arg = to + 1
end
return table.concat(reply, ' ')
""",
)

CLOSE = Script.of(
    _NOW,
    _TELL,
    _APPEND,
    """
-- KEYS run, log, leases, open, followers, idempotency key (or run)
-- ARGV task, most events, most bytes, ttl, member, first id, session, status, ended, retention,
--      the events -> a word, the last event's id
local member = ARGV[5]
local word, last = append(KEYS[1], KEYS[2], member, ARGV[1], tonumber(ARGV[6]), 11, #ARGV,
  tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4])
if word ~= 'ok' then return {word, last} end
redis.call('HSET', KEYS[1], 'status', ARGV[8], 'ended', ARGV[9])
redis.call('HDEL', KEYS[1], 'message', 'watch', 'cancel')
redis.call('ZREM', KEYS[3], member)
if redis.call('HGET', KEYS[4], ARGV[7]) == member then redis.call('HDEL', KEYS[4], ARGV[7]) end
redis.call('DEL', KEYS[5])
for _, key in ipairs({KEYS[1], KEYS[2], KEYS[6]}) do redis.call('PEXPIRE', key, ARGV[10]) end
return {word, last}
""",
)

FORGET = Script.of(
    """
-- KEYS leases, open, run, log, followers, idempotency key (or run); ARGV member, task, session
if redis.call('HGET', KEYS[3], 'task') ~= ARGV[2] then return {'kept'} end
if redis.call('HGET', KEYS[2], ARGV[3]) == ARGV[1] then redis.call('HDEL', KEYS[2], ARGV[3]) end
redis.call('ZREM', KEYS[1], ARGV[1])
if KEYS[6] ~= KEYS[3] then
  local value = redis.call('GET', KEYS[6])
  if value and string.match(value, '%S+$') == ARGV[1] then redis.call('DEL', KEYS[6]) end
end
redis.call('DEL', KEYS[3], KEYS[4], KEYS[5])
return {'ok'}
""",
)

INTERRUPT = Script.of(
    _NOW,
    _TELL,
    _EPOCH,
    """
-- KEYS epoch, leases, open, run, log, followers
-- ARGV fresh, member, grace, ended, retention, terminal event
local _, age = epoch(KEYS[1], ARGV[1])
if age < tonumber(ARGV[3]) then return {'wait'} end
local h = redis.call('HMGET', KEYS[4], 'status', 'last', 'watch', 'message', 'task', 'bytes')
local till = redis.call('ZSCORE', KEYS[2], ARGV[2])
if h[1] == 'running' and till and tonumber(till) > now then return {'alive'} end
redis.call('ZREM', KEYS[2], ARGV[2])
local open = redis.call('HGETALL', KEYS[3])
for i = 2, #open, 2 do
  if open[i] == ARGV[2] then redis.call('HDEL', KEYS[3], open[i - 1]) end
end
if not h[1] then return {'missing'} end
if h[1] ~= 'running' then return {'ended'} end
local last = tonumber(h[2]) + 1
redis.call('RPUSH', KEYS[5], ARGV[6])
redis.call('HSET', KEYS[4], 'status', 'interrupted', 'task', '', 'last', last, 'ended', ARGV[4],
  'bytes', h[6] + #ARGV[6])
redis.call('HDEL', KEYS[4], 'message', 'watch', 'cancel')
redis.call('DEL', KEYS[6])
redis.call('PEXPIRE', KEYS[4], ARGV[5])
redis.call('PEXPIRE', KEYS[5], ARGV[5])
tell(h[3], 'events ' .. ARGV[2] .. ' ' .. string.format('%d', last) .. '\\n' .. ARGV[6])
redis.call('PUBLISH', 'bff:task:' .. h[5], 'lost ' .. ARGV[2])
return {'interrupted', h[4] or '', last}
""",
)

FIND = Script.of(
    _NOW,
    """
-- KEYS leases, run; ARGV member -> status, last, ended, meta, created, lease left
local h = redis.call('HMGET', KEYS[2], 'status', 'last', 'ended', 'meta', 'created')
if not h[1] then return {'missing'} end
local till = redis.call('ZSCORE', KEYS[1], ARGV[1])
return {h[1], tonumber(h[2]), h[3] or '', h[4], h[5], till and tonumber(till) - now or 0}
""",
)

READ = Script.of(
    _NOW,
    """
-- KEYS leases, run, log; ARGV member, after, most events, task, watch for (0: do not), most bytes
-- -> status, last, lease left, id of the first event, events...
local h = redis.call('HMGET', KEYS[2], 'status', 'last', 'watch')
if not h[1] then return {'missing'} end
local last = tonumber(h[2])
local left = 0
if h[1] == 'running' then
  local till = redis.call('ZSCORE', KEYS[1], ARGV[1])
  left = till and tonumber(till) - now or 0
  if ARGV[5] ~= '0' then
    local watch = {}
    for task, till in string.gmatch(h[3] or '', '(%S+)=(%d+)') do
      if task ~= ARGV[4] and tonumber(till) > now then
        watch[#watch + 1] = task .. '=' .. till
      end
    end
    watch[#watch + 1] = ARGV[4] .. '=' .. string.format('%d', now + ARGV[5])
    redis.call('HSET', KEYS[2], 'watch', table.concat(watch, ' '))
  end
end
local first = last - redis.call('LLEN', KEYS[3]) + 1
local start = math.max(first, ARGV[2] + 1)
local reply = {h[1], last, left, start}
if start <= last then
  local at = start - first
  local events = redis.call('LRANGE', KEYS[3], at, at + ARGV[3] - 1)
  local room = tonumber(ARGV[6])
  for i, event in ipairs(events) do
    room = room - #event
    if i > 1 and room < 0 then break end
    reply[i + 4] = event
  end
end
return reply
""",
)

RENEW = Script.of(
    _NOW,
    """
-- KEYS leases, then per run: run, log, open, followers, idempotency key (or run)
-- ARGV task, lease, ttl (0: leave), then per run: member, last the owner knows, has followers
local reply = {}
local task, lease, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])
for i = 0, (#KEYS - 1) / 5 - 1 do
  local key, arg = 2 + i * 5, 4 + i * 3
  local h = redis.call('HMGET', KEYS[key], 'status', 'task', 'last', 'cancel', 'counted')
  local word = 'ok'
  if not h[1] then word = 'missing'
  elseif h[2] ~= task then word = 'superseded'
  elseif h[1] ~= 'running' then word = 'ended'
  else
    redis.call('ZADD', KEYS[1], now + lease, ARGV[arg])
    if h[4] then word = 'cancel'
    elseif tonumber(h[3]) < tonumber(ARGV[arg + 1]) then word = 'behind'
    elseif h[5] then
      if ARGV[arg + 2] == '1' then
        redis.call('HSET', KEYS[key + 3], task, now + lease)
      else
        word = 'left'
        local all = redis.call('HGETALL', KEYS[key + 3])
        for j = 2, #all, 2 do if tonumber(all[j]) > now then word = 'ok' end end
      end
    end
    if ttl > 0 then
      for j = key, key + 4 do redis.call('PEXPIRE', KEYS[j], ttl) end
    end
  end
  reply[i + 1] = word
end
if ttl > 0 then redis.call('PEXPIRE', KEYS[1], ttl) end
return reply
""",
)

JOIN = Script.of(
    _NOW,
    """
-- KEYS run, followers; ARGV task, counts for, ttl
if redis.call('HGET', KEYS[1], 'status') == 'running' then
  redis.call('HSET', KEYS[2], ARGV[1], now + ARGV[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
return {'ok'}
""",
)

LEAVE = Script.of(
    _NOW,
    """
-- KEYS run, followers; ARGV task -> 1 if the run is open and nobody else follows
redis.call('HDEL', KEYS[2], ARGV[1])
if redis.call('HGET', KEYS[1], 'status') ~= 'running' then return {0} end
local all = redis.call('HGETALL', KEYS[2])
for i = 2, #all, 2 do if tonumber(all[i]) > now then return {0} end end
return {1}
""",
)

CANCEL = Script.of(
    """
-- KEYS run; ARGV member
local h = redis.call('HMGET', KEYS[1], 'status', 'task')
if h[1] == 'running' then
  redis.call('HSET', KEYS[1], 'cancel', 1)
  redis.call('PUBLISH', 'bff:task:' .. h[2], 'cancel ' .. ARGV[1])
end
return {h[1] or 'missing'}
""",
)

OPEN_RUNS = Script.of(
    """
-- KEYS open -> each session with its run's member
return redis.call('HGETALL', KEYS[1])
""",
)

LAPSED = Script.of(
    _NOW,
    """
-- KEYS leases; ARGV most
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
""",
)

ALIVE = Script.of(
    _NOW,
    """
-- KEYS tasks; ARGV task, counts for -> was there before, how many there are
local before = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], 60000)
redis.call('PUBLISH', 'bff:task:' .. ARGV[1], 'alive')
return {before, redis.call('ZCARD', KEYS[1])}
""",
)

LIMIT = Script.of(
    """
-- KEYS entries, part; ARGV limit, window in microseconds, requests an entry stands for, how many
-- -> allowed, remaining, microseconds until all is there again, until the next is
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local limit, window, unit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local function text(n) return string.format('%d', n) end
local newest = tonumber(redis.call('LINDEX', KEYS[1], -1) or 0)
if newest > 0 and newest + window <= now then redis.call('DEL', KEYS[1]); newest = 0 end
local oldest = tonumber(redis.call('LINDEX', KEYS[1], 0) or 0)
while oldest > 0 and oldest + window <= now do
  redis.call('LPOP', KEYS[1])
  oldest = tonumber(redis.call('LINDEX', KEYS[1], 0) or 0)
end
-- a part is the requests that do not fill an entry yet; it is as young as its last one
local begun, part = 0, 0
if unit > 1 then
  local h = redis.call('HMGET', KEYS[2], 'count', 'last')
  if h[1] and tonumber(h[2]) + window > now then part, begun = tonumber(h[1]), tonumber(h[2]) end
end
local used = redis.call('LLEN', KEYS[1]) * unit + part
local allowed = used < limit and 1 or 0
if allowed == 1 and ARGV[4] == '1' then
  used = used + 1
  if part + 1 >= unit then
    redis.call('RPUSH', KEYS[1], text(now))
    redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
    if unit > 1 then redis.call('DEL', KEYS[2]) end
    newest = now
    if oldest == 0 then oldest = now end
  else
    redis.call('HSET', KEYS[2], 'count', part + 1, 'last', text(now))
    redis.call('PEXPIRE', KEYS[2], math.ceil(window / 1000))
    begun = now
  end
end
local reset = math.max(newest, begun)
local first = oldest > 0 and oldest or begun
return {allowed, math.max(0, limit - used), reset > 0 and reset + window - now or 0,
  allowed == 0 and first + window - now or 0}
""",
)
