#!lua flags=allow-oom
-- End a message: charge, release or keep the credit it holds, and log it. Runs also when memory is full, like reserve.
--
-- KEYS  1 ledger: how the message ended  2 account  3 held: messages that hold a credit, by when that lapses (s)  4 tenants
--       5 log
-- ARGV  1 tenant  2 message  3 starting credits, '' if unlimited  4 life (s) of ledger and holds
--       5 life (s) of the others, 0: for ever  6 outcome  7 longest log  8... the log's fields and values
-- Returns 1 if this call ended it so, 0 if it had ended so before, or was answered.

local ledger, account, held, tenants, log = unpack(KEYS)
local tenant, message, starting, ledger_s, account_s, outcome, longest = unpack(ARGV, 1, 7)

local ended = redis.call('GET', ledger)
if ended == 'answered' or ended == outcome then
  return 0
end

if redis.call('EXISTS', account) == 0 then
  redis.call('HSET', account, 'credits', starting, 'used', 0, 'owner', '')
  redis.call('SADD', tenants, tenant)
end
if outcome == 'unknown' then
  redis.call('ZADD', held, redis.call('TIME')[1] + ledger_s, message)
else
  redis.call('ZREM', held, message)
end
if outcome == 'answered' then
  redis.call('HINCRBY', account, 'used', 1)
end
redis.call('SET', ledger, outcome, 'EX', ledger_s)
redis.call('XADD', log, 'MAXLEN', '~', longest, '*', unpack(ARGV, 8))
if account_s ~= '0' then
  for number = 2, 5 do
    redis.call('EXPIRE', KEYS[number], account_s)
  end
end
return 1
