#!lua flags=allow-oom
-- End a message: acknowledge and delete it, let the chat's next one have its turn, and keep a record if there is one.
--
-- KEYS  1 stream  2 turn  3 stream of records  4 sending mark  5... what else is forgotten with it
-- ARGV  1 group  2 entry's id  3 lane's life (s), 0: for ever  4... the record's fields and values, if any
-- Returns 1 if this call ended it, 0 if it had ended before.

if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then
  return 0
end
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('LREM', KEYS[2], 1, ARGV[2])
redis.call('DEL', unpack(KEYS, 4))
if #ARGV > 3 then
  redis.call('XADD', KEYS[3], '*', unpack(ARGV, 4))
  if ARGV[3] ~= '0' then
    redis.call('EXPIRE', KEYS[3], ARGV[3])
  end
end
return 1
