#!lua flags=allow-oom
-- Take one pending message to work on it, if it is its turn and nobody else does.
--
-- KEYS  1 stream  2 turn  3 sending mark
-- ARGV  1 group  2 consumer  3 entry's id  4 least idle time (ms) for a message in another's hand, -1: it is fresh
-- Returns {state, attempts}:
--   go       yours; attempts counts this one
--   wait     an earlier message of the chat is not done; counts as never attempted
--   unknown  yours; somebody began to send its reply and never said how that ended
--   gone     done, or in another's hand

local stream, turn, sending = KEYS[1], KEYS[2], KEYS[3]
local group, consumer, id, idle_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
if not pending then
  return {'gone', 0}
end
local attempts = pending[4]

local function claim(count)
  local least_idle_ms = math.max(idle_ms, 0)
  local claimed = redis.call(
    'XCLAIM', stream, group, consumer, least_idle_ms, id, 'RETRYCOUNT', count, 'JUSTID')
  return #claimed == 1
end

-- Heads that were removed from the stream by hand would block the chat for ever.
local head = redis.call('LINDEX', turn, 0)
while head and head ~= id and #redis.call('XRANGE', stream, head, head) == 0 do
  redis.call('LPOP', turn)
  head = redis.call('LINDEX', turn, 0)
end
if head and head ~= id then
  if pending[2] == consumer then
    claim(0)
  end
  return {'wait', 0}
end

if idle_ms >= 0 then
  attempts = attempts + 1
  if not claim(attempts) then
    return {'gone', 0}
  end
end
if redis.call('EXISTS', sending) == 1 then
  return {'unknown', attempts}
end
return {'go', attempts}
