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
