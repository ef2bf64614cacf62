-- KEYS epoch, leases, open, run, log, followers
-- ARGV fresh, member, grace, ended, retention, terminal event
local _, age = epoch(KEYS[1], ARGV[1])
if age < tonumber(ARGV[3]) then return {'wait'} end
local h = redis.call('HMGET', KEYS[4], 'status', 'last', 'watch', 'message', 'task', 'bytes')
local till = redis.call('ZSCORE', KEYS[2], ARGV[2])
if h[1] == 'running' and till and tonumber(till) > now then return {'alive'} end
redis.call('ZREM', KEYS[2], ARGV[2])
local open = redis.call('HGETALL', KEYS[3])
for i = 2, #open, 2 do
  if open[i] == ARGV[2] then redis.call('HDEL', KEYS[3], open[i - 1]) end
end
if not h[1] then return {'missing'} end
if h[1] ~= 'running' then return {'ended'} end
local last = tonumber(h[2]) + 1
redis.call('RPUSH', KEYS[5], ARGV[6])
redis.call('HSET', KEYS[4], 'status', 'interrupted', 'task', '', 'last', last, 'ended', ARGV[4],
  'bytes', h[6] + #ARGV[6], 'end', ARGV[6])
redis.call('HDEL', KEYS[4], 'message', 'watch', 'cancel')
redis.call('DEL', KEYS[6])
redis.call('PEXPIRE', KEYS[4], ARGV[5])
redis.call('PEXPIRE', KEYS[5], ARGV[5])
tell(h[3], 'events ' .. ARGV[2] .. ' ' .. string.format('%d', last) .. '\n' .. ARGV[6])
redis.call('PUBLISH', 'bff:task:' .. h[5], 'lost ' .. ARGV[2])
return {'interrupted', h[4] or '', last}
