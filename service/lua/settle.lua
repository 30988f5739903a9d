#!lua flags=allow-oom
-- End a message: charge, release or keep the credit it holds, and log it. Runs also when memory is full, like reserve.
--
-- KEYS  1 known  2 account  3 held: messages that hold a credit, by when that lapses (s)  4 tenants  5 log
-- ARGV  1 tenant  2 message  3 starting credits, '' if unlimited  4 a hold's life (s)  5 account's life (s), 0: for ever
--       6 known's period (s)  7 message's name there  8 outcome  9 longest log  10... the log's fields and values
-- Returns 1 if this call ended it so, 0 if it had ended so before, or was answered.

local known, account, held, tenants, log = unpack(KEYS)
local tenant, message, starting, hold_s, account_s, period_s, name, outcome, longest = unpack(ARGV, 1, 9)
local find, put = open_known(known, tonumber(period_s))

local ended = string.sub(outcome, 1, 1)
local letter, is_next = find(name)
if letter == 'a' or letter == ended then
  return 0
end

if redis.call('EXISTS', account) == 0 then
  redis.call('HSET', account, 'credits', starting, 'used', 0, 'owner', '')
  redis.call('SADD', tenants, tenant)
end
if outcome == 'unknown' then
  redis.call('ZADD', held, redis.call('TIME')[1] + hold_s, message)
else
  redis.call('ZREM', held, message)
end
if outcome == 'answered' then
  redis.call('HINCRBY', account, 'used', 1)
end
put(name, ended, is_next)
redis.call('XADD', log, 'MAXLEN', '~', longest, '*', unpack(ARGV, 10))
if account_s ~= '0' then
  for number = 2, 5 do
    redis.call('EXPIRE', KEYS[number], account_s)
  end
end
return 1
