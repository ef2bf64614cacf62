-- The run's id in a member: short names take Valkey a third of the room.
local function run_of(member) return string.match(member, '[^:]+$') end
