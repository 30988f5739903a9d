#!lua flags=allow-oom
-- Hold one credit of a tenant for a message. Runs also when memory is full: whoever empties the queue must not be refused.
--
-- KEYS  1 ledger: how the message ended  2 account  3 held: messages that hold a credit, by when that lapses (s)  4 tenants
-- ARGV  1 tenant  2 message  3 starting credits, '' if unlimited  4 a hold's life (s)  5 account's life (s), 0: for ever
-- Returns reserved or no_credit.

local ledger, account, held, tenants = unpack(KEYS)
local tenant, message, starting, hold_s, account_s = unpack(ARGV)
local now_s = tonumber(redis.call('TIME')[1])

redis.call('ZREMRANGEBYSCORE', held, '-inf', now_s)
local ended = redis.call('GET', ledger)
if ended == 'answered' or redis.call('ZSCORE', held, message) then
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
  if ended then
    redis.call('DEL', ledger)
  end
  answer = 'reserved'
end
if account_s ~= '0' then
  for number = 2, 4 do
    redis.call('EXPIRE', KEYS[number], account_s)
  end
end
return answer
