-- Publish a text to the tasks on a run's list (`task=until ...`).
local function tell(watch, text)
  if not watch then return end
  for task, till in string.gmatch(watch, '(%S+)=(%d+)') do
    if tonumber(till) > now then redis.call('PUBLISH', 'bff:task:' .. task, text) end
  end
end
