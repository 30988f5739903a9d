#!lua flags=allow-oom
-- Keep a record of what must not be forgotten, also when memory is full.
--
-- KEYS  1 stream of records    ARGV  1 lane's life (s), 0: for ever  2... fields and values

redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
if ARGV[1] ~= '0' then
  redis.call('EXPIRE', KEYS[1], ARGV[1])
end
