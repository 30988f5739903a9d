-- How the lanes stand, for the metrics, without the messages' bodies.
-- KEYS: for each lane its stream, its dead letters, its unknown outcomes.
-- Returns for each lane: the stream's length, the id of its oldest entry (nil if empty), and the others' lengths.
local figures = {}
for i = 1, #KEYS, 3 do
  local oldest = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 1)[1]
  figures[#figures + 1] = redis.call('XLEN', KEYS[i])
  figures[#figures + 1] = oldest and oldest[1] or false
  figures[#figures + 1] = redis.call('XLEN', KEYS[i + 1])
  figures[#figures + 1] = redis.call('XLEN', KEYS[i + 2])
end
return figures
