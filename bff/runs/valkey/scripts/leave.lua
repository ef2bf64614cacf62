-- KEYS run, followers; ARGV instance -> 1 if the run is open and nobody else follows
redis.call('HDEL', KEYS[2], ARGV[1])
if redis.call('HGET', KEYS[1], 'status') ~= 'running' then return {0} end
local all = redis.call('HGETALL', KEYS[2])
for i = 2, #all, 2 do if tonumber(all[i]) > now then return {0} end end
return {1}
