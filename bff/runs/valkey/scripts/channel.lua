-- Where an instance hears of what concerns it; `channel` in keys.py is the same.
local function channel(instance) return 'bff:2:instance:' .. instance end
