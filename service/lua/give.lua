#!lua flags=allow-oom
-- Put a message that is in our hand into Inngest's, where a run receives it.
--
-- KEYS  1 stream
-- ARGV  1 group  2 consumer  3 entry's id  4 Inngest's consumer  5 attempts to count besides
-- Returns the attempts now counted, or -1 if the message is done, or in another's hand.

local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)[1]
if not pending or pending[2] ~= ARGV[2] then
  return -1
end
local attempts = pending[4] + ARGV[5]
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[4], 0, ARGV[3], 'RETRYCOUNT', attempts, 'JUSTID')
return attempts
