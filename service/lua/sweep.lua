-- Forget consumers that hold nothing and have not been seen for long: each worker process is a new one.
--
-- KEYS  1 stream    ARGV  1 group  2 longest silence (ms)
-- A consumer that holds messages stays: deleting it would lose them.

local swept = 0
for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #fields, 2 do
    consumer[fields[i]] = fields[i + 1]
  end
  if consumer['pending'] == 0 and consumer['idle'] > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
    swept = swept + 1
  end
end
return swept
