-- Append ARGV[from..to] to a run, `first` being the id of the first; says what came of it and the
-- id of the run's last event. Only the owner may, and only while the run is open.
local function append(run, log, member, instance, first, from, to, most, room, ttl)
  local h = redis.call('HMGET', run, 'status', 'instance', 'last', 'bytes', 'watch')
  if not h[1] then return 'missing', 0 end
  local last = tonumber(h[3] or 0)
  if h[2] ~= instance then return 'superseded', last end
  if h[1] ~= 'running' then return h[1], last end
  if first > last + 1 then return 'behind', last end
  -- an attempt whose reply was lost may have been kept: what is there already is passed over
  from = from + last + 1 - first
  if from > to then return 'ok', last end
  local bytes = 0
  for i = from, to do bytes = bytes + #ARGV[i] end
  local count = redis.call('RPUSH', log, unpack(ARGV, from, to))
  if count == to - from + 1 then
    redis.call('PEXPIRE', log, ttl) -- it is new, or was evicted
  else
    bytes = bytes + tonumber(h[4])
  end
  if count > most or bytes > room then
    -- a tenth more than needed, so that this is not done for every event
    while count > 1 and (count > most * 0.9 or bytes > room * 0.9) do
      bytes = bytes - #redis.call('LPOP', log)
      count = count - 1
    end
  end
  if h[5] then
    tell(h[5], 'events ' .. member .. ' ' .. string.format('%d', last + 1) .. '\n' ..
      table.concat(ARGV, '\n', from, to))
  end
  last = last + to - from + 1
  redis.call('HSET', run, 'last', last, 'bytes', bytes)
  return 'ok', last
end
