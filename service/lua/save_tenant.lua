#!lua flags=allow-oom
-- Set a tenant's credits and owner; what was used stays.
--
-- KEYS  1 account  2 tenants
-- ARGV  1 tenant  2 credits, '' if unlimited  3 owner's address or ''  4 account's life (s), 0: for ever

redis.call('HSET', KEYS[1], 'credits', ARGV[2], 'owner', ARGV[3])
redis.call('HSETNX', KEYS[1], 'used', 0)
redis.call('SADD', KEYS[2], ARGV[1])
if ARGV[4] ~= '0' then
  redis.call('EXPIRE', KEYS[1], ARGV[4])
  redis.call('EXPIRE', KEYS[2], ARGV[4])
end
