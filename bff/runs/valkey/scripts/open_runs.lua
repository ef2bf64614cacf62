-- KEYS open -> each session with its run's member
return redis.call('HGETALL', KEYS[1])
