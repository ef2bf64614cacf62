-- KEYS epoch, leases, open, run, log, followers, idempotency key (or run), the session's runs
-- ARGV fresh, member, instance, lease, ttl, session (empty: the run has ended), meta, said,
--      interruption, fingerprint, counted, id before the first event kept
epoch(KEYS[1], ARGV[1])
local h = redis.call('HMGET', KEYS[4], 'status', 'instance', 'last')
if h[1] and h[2] ~= ARGV[3] then return {'superseded', 0} end
if h[1] and h[1] ~= 'running' then return {h[1], tonumber(h[3])} end
local ttl = ARGV[5]
redis.call('DEL', KEYS[5])
redis.call('HSET', KEYS[4], 'status', 'running', 'instance', ARGV[3], 'last', ARGV[12],
  'bytes', 0, 'meta', ARGV[7], 'said', ARGV[8], 'interruption', ARGV[9])
redis.call('ZADD', KEYS[8], now + ttl, run_of(ARGV[2]))
redis.call('PEXPIRE', KEYS[8], ttl)
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[4], 'session', ARGV[6])
  redis.call('HSETNX', KEYS[3], ARGV[6], ARGV[2])
end
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
