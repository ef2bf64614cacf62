-- The server's time in milliseconds: the instances' own clocks do not matter.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
