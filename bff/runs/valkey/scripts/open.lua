-- KEYS epoch, leases, open, run, log, followers, idempotency key (or run), our own run in the
--      session (or run), the session's runs
-- ARGV epoch known, fresh, member, instance, lease, ttl, session, meta, said, interruption,
--      first event, most open, fingerprint, counted, whether keys may still be restored, too late
--      at (0: never), whether there is a run of ours in the session that has not ended here
-- a call that its caller has given up must not begin a run
if ARGV[16] ~= '0' and now > tonumber(ARGV[16]) then return {'late'} end
local known, member, instance = ARGV[1], ARGV[3], ARGV[4]
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
  if not lapsed(holder) then return {'busy', run_of(holder)} end
  dead[2] = holder
  return dead
end
if ARGV[17] == '1' then
  -- a lock may be lost while its run goes on; only a run that ended here has freed its session
  local h = redis.call('HMGET', KEYS[8], 'status', 'instance')
  if not h[1] or (h[1] == 'running' and h[2] == instance) then return {'busy'} end
end
if redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[12]) then
  for _, other in ipairs(redis.call('HVALS', KEYS[3])) do
    if lapsed(other) then dead[#dead + 1] = other end
  end
  if #dead > 1 then return dead end
  return {'full'}
end
local ttl = ARGV[6]
redis.call('HSET', KEYS[4], 'status', 'running', 'instance', instance, 'last', 1,
  'bytes', #ARGV[11], 'meta', ARGV[8], 'said', ARGV[9], 'interruption', ARGV[10],
  'session', ARGV[7])
redis.call('RPUSH', KEYS[5], ARGV[11])
redis.call('HSET', KEYS[3], ARGV[7], member)
redis.call('ZADD', KEYS[2], now + ARGV[5], member)
if ARGV[14] == '1' then
  redis.call('HSET', KEYS[4], 'counted', 1)
  redis.call('HSET', KEYS[6], instance, now + ARGV[5])
  redis.call('PEXPIRE', KEYS[6], ttl)
end
redis.call('ZREMRANGEBYSCORE', KEYS[9], '-inf', now)
redis.call('ZADD', KEYS[9], now + ttl, run_of(member))
redis.call('PEXPIRE', KEYS[9], ttl)
if ARGV[13] ~= '' then redis.call('SET', KEYS[7], ARGV[13] .. ' ' .. member, 'PX', ttl) end
for i = 2, 5 do redis.call('PEXPIRE', KEYS[i], ttl) end
return {'ok'}
