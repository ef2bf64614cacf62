-- KEYS run, log, leases, open, followers, idempotency key (or run)
-- ARGV instance, most events, most bytes, ttl, member, first id, session, status, ended, retention,
--      the events -> a word, the last event's id
local member = ARGV[5]
local word, last = append(KEYS[1], KEYS[2], member, ARGV[1], tonumber(ARGV[6]), 11, #ARGV,
  tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4])
if word ~= 'ok' then return {word, last} end
redis.call('HSET', KEYS[1], 'status', ARGV[8], 'ended', ARGV[9], 'end', ARGV[#ARGV])
redis.call('HDEL', KEYS[1], 'said', 'interruption', 'watch', 'cancel', 'session')
redis.call('ZREM', KEYS[3], member)
if redis.call('HGET', KEYS[4], ARGV[7]) == member then redis.call('HDEL', KEYS[4], ARGV[7]) end
redis.call('DEL', KEYS[5])
for _, key in ipairs({KEYS[1], KEYS[2], KEYS[6]}) do redis.call('PEXPIRE', key, ARGV[10]) end
return {word, last}
