-- KEYS run, log; ARGV member, how long it is known that it is forgotten, how it ended (or '': nobody asks)
-- -> the run's status before (`running`: it stays), or `missing`
local h = redis.call('HMGET', KEYS[1], 'status', 'instance')
if not h[1] or h[1] == 'forgotten' then return {h[1] or 'missing'} end
if h[1] == 'running' then return {h[1]} end
-- its idempotency key stays, and begins no other run
redis.call('DEL', KEYS[1], KEYS[2])
-- nobody owns it: an instance that still has it cannot bring it back
redis.call('HSET', KEYS[1], 'status', 'forgotten', 'instance', '', 'ending', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if h[2] ~= '' then redis.call('PUBLISH', channel(h[2]), 'lost ' .. ARGV[1]) end
return {h[1]}
