-- KEYS epoch, leases, open, run, log, followers
-- ARGV fresh, member, grace, lease, ended, retention
-- -> a word; if the run was ended here its last event's id, its meta and said
local _, age = epoch(KEYS[1], ARGV[1])
if age < tonumber(ARGV[3]) then return {'wait'} end
local h = redis.call('HMGET', KEYS[4], 'status', 'last', 'watch', 'said', 'instance', 'bytes',
  'meta', 'interruption', 'session')
local till = redis.call('ZSCORE', KEYS[2], ARGV[2])
if h[1] == 'running' then
  if not till then
    -- the leases were evicted: an owner that is alive gets the time to say so
    redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[2])
    redis.call('PEXPIRE', KEYS[2], ARGV[6])
    return {'alive'}
  end
  if tonumber(till) > now then return {'alive'} end
end
-- a server that is full refuses this, as it refuses an owner its lease; what follows it would not
redis.call('ZADD', KEYS[2], 'XX', 0, ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[2])
if h[9] then
  if redis.call('HGET', KEYS[3], h[9]) == ARGV[2] then redis.call('HDEL', KEYS[3], h[9]) end
else
  -- the run was lost, or had ended: which session it keeps busy is not known any more
  local open = redis.call('HGETALL', KEYS[3])
  for i = 2, #open, 2 do
    if open[i] == ARGV[2] then redis.call('HDEL', KEYS[3], open[i - 1]) end
  end
end
if not h[1] then return {'missing'} end
if h[1] ~= 'running' then return {'ended'} end
local last, text = tonumber(h[2]) + 1, h[8]
redis.call('RPUSH', KEYS[5], text)
redis.call('HSET', KEYS[4], 'status', 'interrupted', 'instance', '', 'last', last,
  'ended', ARGV[5], 'bytes', h[6] + #text, 'end', text)
-- `said` stays: if this reply is lost, it is asked for again
redis.call('HDEL', KEYS[4], 'interruption', 'watch', 'cancel', 'session')
redis.call('DEL', KEYS[6])
redis.call('PEXPIRE', KEYS[4], ARGV[6])
redis.call('PEXPIRE', KEYS[5], ARGV[6])
tell(h[3], 'events ' .. ARGV[2] .. ' ' .. string.format('%d', last) .. '\n' .. text)
redis.call('PUBLISH', channel(h[5]), 'lost ' .. ARGV[2])
return {'interrupted', last, h[7], h[4] or ''}
