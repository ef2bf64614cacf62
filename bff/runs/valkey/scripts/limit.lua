-- KEYS entries, part
-- ARGV limit, window in microseconds, requests an entry stands for, requests to take (0 or 1),
--      requests that were admitted without us
-- -> allowed, remaining, microseconds until all is there again, until the next is
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local limit, window, unit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local function text(n) return string.format('%d', n) end
local newest = tonumber(redis.call('LINDEX', KEYS[1], -1) or 0)
if newest > 0 and newest + window <= now then redis.call('DEL', KEYS[1]); newest = 0 end
local oldest = tonumber(redis.call('LINDEX', KEYS[1], 0) or 0)
while oldest > 0 and oldest + window <= now do
  redis.call('LPOP', KEYS[1])
  oldest = tonumber(redis.call('LINDEX', KEYS[1], 0) or 0)
end
-- a part is the requests that do not fill an entry yet; it is as young as its last one
local begun, part = 0, 0
if unit > 1 then
  local h = redis.call('HMGET', KEYS[2], 'count', 'last')
  if h[1] and tonumber(h[2]) + window > now then part, begun = tonumber(h[1]), tonumber(h[2]) end
end
local used = redis.call('LLEN', KEYS[1]) * unit + part
local function count(requests)
  used, part = used + requests, part + requests
  for _ = 1, math.floor(part / unit) do
    redis.call('RPUSH', KEYS[1], text(now))
    newest = now
    if oldest == 0 then oldest = now end
  end
  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
  part = part % unit
  if unit > 1 then
    begun = part > 0 and now or 0
    redis.call('HSET', KEYS[2], 'count', part, 'last', text(now))
    redis.call('PEXPIRE', KEYS[2], math.ceil(window / 1000))
  end
end
if tonumber(ARGV[5]) > 0 then count(tonumber(ARGV[5])) end
local allowed = used < limit and 1 or 0
if allowed == 1 and ARGV[4] == '1' then count(1) end
local reset = math.max(newest, begun)
local first = oldest > 0 and oldest or begun
return {allowed, math.max(0, limit - used), reset > 0 and reset + window - now or 0,
  allowed == 0 and first + window - now or 0}
