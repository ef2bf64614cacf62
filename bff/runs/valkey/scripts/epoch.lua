-- The partition's epoch and its age; it is made where it is missing.
local function epoch(key, fresh)
  local value = redis.call('GET', key)
  if not value then
    value = fresh .. ' ' .. string.format('%d', now)
    redis.call('SET', key, value)
  end
  return value, now - tonumber(string.match(value, '%d+$'))
end
