-- KEYS epoch; ARGV fresh -> epoch's name, its age
local value, age = epoch(KEYS[1], ARGV[1])
return {value, age}
