#!lua flags=allow-oom
-- Mark a message as being sent. Of all workers that ever hold it, one gets the mark.
--
-- KEYS  1 stream  2 sending mark
-- ARGV  1 group  2 entry's id  3 token of this attempt  4 mark's life (s)
-- Returns 1 if the mark is this attempt's (again, if the first answer was lost), 0 if it must not send.

if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1) == 0 then
  return 0
end
if redis.call('SET', KEYS[2], ARGV[3], 'NX', 'EX', ARGV[4]) then
  return 1
end
return redis.call('GET', KEYS[2]) == ARGV[3] and 1 or 0
