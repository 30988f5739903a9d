#!lua flags=allow-oom
-- Take one pending message to work on it, if it is its turn and it is ours, or was left: untouched for a lease.
--
-- KEYS  1 stream  2 turn  3 sending mark
-- ARGV  1 group  2 consumer  3 entry's id  4 lease (ms)  5 '1': it was just read, which is its first attempt
-- Returns {state, attempts}:
--   go       yours; attempts counts this one
--   wait     an earlier message of the chat is not done; counts as never attempted
--   unknown  yours; somebody began to send its reply and never said how that ended
--   gone     done, or in another's hand

local stream, turn, sending = KEYS[1], KEYS[2], KEYS[3]
local group, consumer, id, lease_ms, is_fresh = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5] == '1'

local pending = redis.call('XPENDING', stream, group, id, id, 1)[1]
if not pending or pending[2] ~= consumer and pending[3] < lease_ms then
  return {'gone', 0}
end
local attempts = pending[4]

local function claim(count)
  redis.call('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', count, 'JUSTID')
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

if not is_fresh then
  attempts = attempts + 1
  claim(attempts)
end
if redis.call('EXISTS', sending) == 1 then
  return {'unknown', attempts}
end
return {'go', attempts}
