#!lua flags=allow-oom
-- Mark a message as being sent. Only who holds it may, and of all that ever do one gets the mark.
--
-- KEYS  1 stream  2 sending mark
-- ARGV  1 group  2 consumer  3 entry's id  4 token of this attempt  5 mark's life (s)
-- Returns 1 if the mark is this attempt's (again, if the first answer was lost), 0 if it must not send.

if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2]) == 0 then
  return 0
end
if redis.call('SET', KEYS[2], ARGV[4], 'NX', 'EX', ARGV[5]) then
  return 1
end
return redis.call('GET', KEYS[2]) == ARGV[4] and 1 or 0
