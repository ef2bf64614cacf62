-- Publish a text to the instances on a run's list (`instance=until ...`).
local function tell(watch, text)
  if not watch then return end
  for instance, till in string.gmatch(watch, '(%S+)=(%d+)') do
    if tonumber(till) > now then redis.call('PUBLISH', channel(instance), text) end
  end
end
