#!lua flags=allow-oom
-- Remember what is about to be sent, so that WAHA's echo of it can be recognized.
--
-- KEYS  1 the expected reply  2 pointer to it by what it says
-- ARGV  1 digest of its text  2 life (s)

redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'text', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], KEYS[1], 'EX', ARGV[2])
