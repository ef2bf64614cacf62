-- KEYS run; ARGV member
local h = redis.call('HMGET', KEYS[1], 'status', 'instance')
if h[1] == 'running' then
  redis.call('HSET', KEYS[1], 'cancel', 1)
  redis.call('PUBLISH', channel(h[2]), 'cancel ' .. ARGV[1])
end
return {h[1] or 'missing'}
