-- Admit messages to a lane: limit, note as known and enqueue each as one step, so that no crash can fall between them.
-- Messages that arrive at the same time come in one call: they share its round trip and its write to the disk.
--
-- KEYS  1 stream  2 known, then for each message: rate, turn
-- ARGV  1 requests per minute  2 longest stream  3 known's period (s)  4 lane's life (s), 0: for ever  5 lane
--       then for each message: event, requestId, received, chat, known name
-- Returns a number for each message: 0 accepted, -1 duplicate, -2 the stream is full, else limited: the wait (ms).

local stream, per_minute, longest = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local find, put = open_known(KEYS[2], tonumber(ARGV[3]))
local lane_s, lane = tonumber(ARGV[4]), ARGV[5]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + time[2] / 1000
local interval_ms = 60000 / per_minute
local length = redis.call('XLEN', stream)
local empty_at_ms = {}

-- Generic cell rate algorithm: one number a caller, the time at which its bucket will be empty again.
local function wait_ms(rate)
  local empty = empty_at_ms[rate] or math.max(tonumber(redis.call('GET', rate) or now_ms), now_ms)
  if empty > now_ms + 60000 then -- the clock was put back: a full bucket is empty after a minute
    empty = now_ms
  end
  local wait = empty + interval_ms - now_ms - 60000
  if wait > 0 then
    return math.ceil(wait)
  end
  empty_at_ms[rate] = empty + interval_ms
  return 0
end

local function admit(rate, turn, first)
  local wait = wait_ms(rate)
  if wait > 0 then
    return wait
  end
  local name = ARGV[first + 4]
  if find(name) then
    return -1
  end
  if length >= longest then
    return -2
  end
  put(name, 't')
  local id = redis.call(
    'XADD', stream, '*', 'event', ARGV[first], 'requestId', ARGV[first + 1], 'lane', lane,
    'received', ARGV[first + 2], 'chat', ARGV[first + 3])
  redis.call('RPUSH', turn, id)
  if lane_s > 0 then
    redis.call('EXPIRE', turn, lane_s)
  end
  length = length + 1
  return 0
end

local results = {}
for number = 1, (#KEYS - 2) / 2 do
  results[number] = admit(KEYS[2 * number + 1], KEYS[2 * number + 2], 5 * number + 1)
end
for rate, empty in pairs(empty_at_ms) do
  -- Longer than the limit needs it: for an hour it tells that somebody with our secret sends from here.
  redis.call('SET', rate, string.format('%.3f', empty), 'PX', math.max(3600000, math.ceil(empty - now_ms)))
end
if lane_s > 0 and length > 0 then
  redis.call('EXPIRE', stream, lane_s)
end
return results
