-- Record a reply, and let the record live as long as its lane.
--
-- KEYS  1 stream of replies    ARGV  1 about how many are kept  2 lane's life (s)  3... fields and values

local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, 3))
redis.call('EXPIRE', KEYS[1], ARGV[2])
return id
