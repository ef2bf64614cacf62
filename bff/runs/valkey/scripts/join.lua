-- KEYS run, followers; ARGV instance, counts for, ttl
if redis.call('HGET', KEYS[1], 'status') == 'running' then
  redis.call('HSET', KEYS[2], ARGV[1], now + ARGV[2])
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
return {'ok'}
