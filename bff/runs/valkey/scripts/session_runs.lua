-- KEYS the session's runs -> their ids
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
