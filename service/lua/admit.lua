-- Admit one message: rate limit, claim and enqueue as one step, so that no crash can fall between them.
--
-- KEYS  1 rate  2 claim  3 stream  4 turn
-- ARGV  1 requests per minute  2 longest stream  3 claim's life (s)  4 turn's life (s)  5 lane's life (s), 0: for ever
--       6... the entry's fields and values
-- Returns {outcome, detail}: limited and the wait (ms), duplicate, full, or accepted and the entry's id.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + time[2] / 1000

-- Generic cell rate algorithm: one number a caller, the time at which its bucket will be empty again.
local interval_ms = 60000 / tonumber(ARGV[1])
local empty_at_ms = math.max(tonumber(redis.call('GET', KEYS[1]) or now_ms), now_ms) + interval_ms
local wait_ms = empty_at_ms - now_ms - 60000
if wait_ms > 0 then
  return {'limited', tostring(math.ceil(wait_ms))}
end
redis.call('SET', KEYS[1], string.format('%.3f', empty_at_ms), 'PX', math.ceil(empty_at_ms - now_ms))

if redis.call('EXISTS', KEYS[2]) == 1 then
  return {'duplicate', ''}
end
if redis.call('XLEN', KEYS[3]) >= tonumber(ARGV[2]) then
  return {'full', ''}
end

local id = redis.call('XADD', KEYS[3], '*', unpack(ARGV, 6))
redis.call('SET', KEYS[2], id, 'EX', ARGV[3])
redis.call('RPUSH', KEYS[4], id)
redis.call('EXPIRE', KEYS[4], ARGV[4])
if ARGV[5] ~= '0' then
  redis.call('EXPIRE', KEYS[3], ARGV[5])
end
return {'accepted', id}
