-- KEYS the session's runs -> their members
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
