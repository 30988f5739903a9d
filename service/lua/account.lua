#!lua flags=no-writes
-- Read a tenant's account.
--
-- KEYS  1 account  2 held: messages that hold a credit, by when that lapses (s)
-- Returns {credits ('' if unlimited), reserved, used, owner's address or ''}, or nothing where there is no account.

local credits, used, owner = unpack(redis.call('HMGET', KEYS[1], 'credits', 'used', 'owner'))
if not used then
  return {}
end
return {credits, redis.call('ZCOUNT', KEYS[2], '(' .. redis.call('TIME')[1], '+inf'), used, owner}
