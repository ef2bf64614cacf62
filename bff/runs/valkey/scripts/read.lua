-- KEYS leases, run, log; ARGV member, after, most events, instance, watch for (0: do not), most bytes
-- -> status, last, lease left, id of the first event, events...
local h = redis.call('HMGET', KEYS[2], 'status', 'last', 'watch', 'end')
if not h[1] or h[1] == 'forgotten' then return {'missing'} end
local last = tonumber(h[2])
local left = 0
if h[1] == 'running' then
  local till = redis.call('ZSCORE', KEYS[1], ARGV[1])
  left = till and tonumber(till) - now or 0
  if ARGV[5] ~= '0' then
    local watch = {}
    for instance, till in string.gmatch(h[3] or '', '(%S+)=(%d+)') do
      if instance ~= ARGV[4] and tonumber(till) > now then
        watch[#watch + 1] = instance .. '=' .. till
      end
    end
    watch[#watch + 1] = ARGV[4] .. '=' .. string.format('%d', now + ARGV[5])
    redis.call('HSET', KEYS[2], 'watch', table.concat(watch, ' '))
  end
end
local first = last - redis.call('LLEN', KEYS[3]) + 1
if first > last and h[4] and last > tonumber(ARGV[2]) then
  -- the list was evicted: how a run ended is known all the same
  return {h[1], last, left, last, h[4]}
end
local start = math.max(first, ARGV[2] + 1)
local reply = {h[1], last, left, start}
if start <= last then
  local at = start - first
  local events = redis.call('LRANGE', KEYS[3], at, at + ARGV[3] - 1)
  local room = tonumber(ARGV[6])
  for i, event in ipairs(events) do
    room = room - #event
    if i > 1 and room < 0 then break end
    reply[i + 4] = event
  end
end
return reply
