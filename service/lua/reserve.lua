#!lua flags=allow-oom
-- Hold one credit of a tenant for a message. Runs also when memory is full: whoever empties the queue must not be refused.
--
-- KEYS  1 known  2 account  3 held: messages that hold a credit, by when that lapses (s)  4 tenants
-- ARGV  1 tenant  2 message  3 starting credits, '' if unlimited  4 a hold's life (s)  5 account's life (s), 0: for ever
--       6 known's period (s)  7 message's name there
-- Returns reserved or no_credit.

local known, account, held, tenants = unpack(KEYS)
local tenant, message, starting, hold_s, account_s, period_s, name = unpack(ARGV)
local find, put = open_known(known, tonumber(period_s))
local now_s = tonumber(redis.call('TIME')[1])

redis.call('ZREMRANGEBYSCORE', held, '-inf', now_s)
local letter, is_next = find(name)
if letter == 'a' or redis.call('ZSCORE', held, message) then
  return 'reserved'
end

local credits, used = unpack(redis.call('HMGET', account, 'credits', 'used'))
if not used then
  credits, used = starting, 0
  redis.call('HSET', account, 'credits', credits, 'used', used, 'owner', '')
  redis.call('SADD', tenants, tenant)
end
local answer = 'no_credit'
if credits == '' or redis.call('ZCARD', held) + used < tonumber(credits) then
  redis.call('ZADD', held, now_s + hold_s, message)
  if letter and letter ~= 't' then -- it had ended otherwise: it has yet to end
    put(name, 't', is_next)
  end
  answer = 'reserved'
end
if account_s ~= '0' then
  for number = 2, 4 do
    redis.call('EXPIRE', KEYS[number], account_s)
  end
end
return answer
