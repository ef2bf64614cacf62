-- KEYS leases, open, run, log, followers, idempotency key (or run); ARGV member, instance, session
if redis.call('HGET', KEYS[3], 'instance') ~= ARGV[2] then return {'kept'} end
if redis.call('HGET', KEYS[2], ARGV[3]) == ARGV[1] then redis.call('HDEL', KEYS[2], ARGV[3]) end
redis.call('ZREM', KEYS[1], ARGV[1])
if KEYS[6] ~= KEYS[3] then
  local value = redis.call('GET', KEYS[6])
  if value and string.match(value, '%S+$') == ARGV[1] then redis.call('DEL', KEYS[6]) end
end
redis.call('DEL', KEYS[3], KEYS[4], KEYS[5])
return {'ok'}
