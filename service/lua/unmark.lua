#!lua flags=allow-oom
-- Say that a message was surely not sent: remove this attempt's mark, and no other's.
--
-- KEYS  1 sending mark    ARGV  1 token of this attempt

if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
