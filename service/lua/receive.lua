#!lua flags=allow-oom
-- Receive a message from Inngest's hand, or from one that was not seen for a lease and so is dead.
--
-- KEYS  1 stream
-- ARGV  1 group  2 consumer  3 entry's id  4 Inngest's consumer  5 lease (ms)
-- Returns {state, ms, fields and values...}:
--   given  yours, and this is its next attempt already
--   left   yours, from a dead hand: to be taken like any other that was left behind
--   held   another works on it, and will count as dead after these ms unless it is seen
--   gone   done

local stream, group, id = KEYS[1], ARGV[1], ARGV[3]
local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
local entry = pending and redis.call('XRANGE', stream, id, id)[1]
if not entry then
  return {'gone', 0}
end
local holder, idle_ms, attempts = pending[2], pending[3], pending[4]
local left_ms = tonumber(ARGV[5]) - idle_ms
if holder ~= ARGV[4] and left_ms > 0 then
  return {'held', left_ms}
end
redis.call('XCLAIM', stream, group, ARGV[2], 0, id, 'RETRYCOUNT', attempts, 'JUSTID')
return {holder == ARGV[4] and 'given' or 'left', 0, unpack(entry[2])}
