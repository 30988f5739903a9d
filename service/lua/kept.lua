-- Look at some of the hashes in which messages are known (known.lua), to tell what is kept of each.
--
-- KEYS  1 known    ARGV  1 a period (s)  2 how many parts to look at
-- Returns {messages in these parts, hashes, bytes in them}.

local messages, hashes, bytes = 0, 0, 0
for _, period in ipairs((known_periods(KEYS[1], tonumber(ARGV[1])))) do
  for part = 0, tonumber(ARGV[2]) - 1 do
    local key = period .. string.format('%03x', part)
    local length = redis.call('HLEN', key)
    if length > 0 then
      messages, hashes = messages + length, hashes + 1
      bytes = bytes + redis.call('MEMORY', 'USAGE', key)
    end
  end
end
return {messages, hashes, bytes}
