-- KEYS leases, run; ARGV member
-- -> `missing`, `forgotten` and its ending, or: status, last, ended, meta, lease left, said (while it runs, or if it was interrupted)
local h = redis.call('HMGET', KEYS[2], 'status', 'last', 'ended', 'meta', 'said', 'ending')
if not h[1] then return {'missing'} end
if h[1] == 'forgotten' then return {h[1], h[6] or ''} end
local till = redis.call('ZSCORE', KEYS[1], ARGV[1])
return {h[1], tonumber(h[2]), h[3] or '', h[4], till and tonumber(till) - now or 0,
  (h[1] == 'running' or h[1] == 'interrupted') and h[5] or ''}
