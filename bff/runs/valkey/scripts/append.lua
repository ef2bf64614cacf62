-- KEYS per run: run, log
-- ARGV instance, most events, most bytes, ttl, then per run: `member first-id how-many`, the events
-- -> one text: per run a word and the last event's id (every item of a list costs the client)
local instance, most, room, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local reply, arg = {}, 5
for key = 1, #KEYS, 2 do
  local member, first, count = string.match(ARGV[arg], '(%S+) (%d+) (%d+)')
  local to = arg + count
  local word, last = append(KEYS[key], KEYS[key + 1], member, instance, tonumber(first), arg + 1,
    to, most, room, ttl)
  reply[#reply + 1] = word .. ' ' .. string.format('%d', last)
  arg = to + 1
end
return table.concat(reply, ' ')
