-- KEYS instances; ARGV instance, counts for -> was there before, how many there are, the time
local before = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
-- a server that is full refuses this: what takes no room comes after it, and is refused with it
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('PEXPIRE', KEYS[1], 60000)
redis.call('PUBLISH', channel(ARGV[1]), 'alive')
return {before, redis.call('ZCARD', KEYS[1]), now}
