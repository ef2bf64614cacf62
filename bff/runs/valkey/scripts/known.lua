-- KEYS idempotency key -> its fingerprint and the run's member, or nothing
return {redis.call('GET', KEYS[1]) or ''}
