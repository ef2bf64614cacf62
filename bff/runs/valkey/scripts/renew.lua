-- KEYS leases, then per run: run, log, open, followers, the session's runs, idempotency key (or run)
-- ARGV instance, lease, ttl, whether to extend what keys live, then per run: member, last the owner knows, has followers,
--      session (empty: the run has ended at its owner's)
-- -> per run a word
local reply = {}
local instance, lease, ttl, extend = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
for i = 0, (#KEYS - 1) / 6 - 1 do
  local key, arg = 2 + i * 6, 5 + i * 4
  local h = redis.call('HMGET', KEYS[key], 'status', 'instance', 'last', 'cancel', 'counted')
  local word = 'ok'
  if not h[1] then word = 'missing'
  elseif h[2] ~= instance then word = 'superseded'
  elseif h[1] ~= 'running' then word = 'ended'
  else
    redis.call('ZADD', KEYS[1], now + lease, ARGV[arg])
    local session = ARGV[arg + 3]
    -- the lock may have been evicted
    if session ~= '' and redis.call('HSETNX', KEYS[key + 2], session, ARGV[arg]) == 1 then
      redis.call('PEXPIRE', KEYS[key + 2], ttl)
    end
    if tonumber(h[3]) < tonumber(ARGV[arg + 1]) then word = 'behind'
    elseif h[4] then word = 'cancel'
    elseif h[5] then
      if ARGV[arg + 2] == '1' then
        redis.call('HSET', KEYS[key + 3], instance, now + lease)
      else
        word = 'left'
        local all = redis.call('HGETALL', KEYS[key + 3])
        for j = 2, #all, 2 do if tonumber(all[j]) > now then word = 'ok' end end
      end
    end
    if extend then
      redis.call('ZADD', KEYS[key + 4], now + ttl, run_of(ARGV[arg]))
      for j = key, key + 5 do redis.call('PEXPIRE', KEYS[j], ttl) end
    end
  end
  reply[i + 1] = word
end
if extend then redis.call('PEXPIRE', KEYS[1], ttl) end
return reply
