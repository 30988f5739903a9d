#!lua flags=allow-oom
-- Renew the lease of those of these messages that we still hold.
--
-- KEYS  1 stream    ARGV  1 group  2 consumer  3... the entries' ids

local group, consumer = ARGV[1], ARGV[2]
for number = 3, #ARGV do
  local id = ARGV[number]
  if #redis.call('XPENDING', KEYS[1], group, id, id, 1, consumer) == 1 then
    redis.call('XCLAIM', KEYS[1], group, consumer, 0, id, 'JUSTID')
  end
end
