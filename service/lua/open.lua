#!lua flags=allow-oom
-- Ensure that a lane's stream and group exist, and forget consumers that hold nothing and were not seen for long:
-- each worker process is a new one. A Redis without room lets it pass, so that workers can empty it.
--
-- KEYS  1 stream    ARGV  1 group  2 lane's life (s), 0: for ever  3 longest silence (ms)
-- Returns how many consumers were forgotten. One that holds messages stays: deleting it would lose them.

local created = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if created.err and not string.find(created.err, 'BUSYGROUP', 1, true) then
  return created
end
if ARGV[2] ~= '0' then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end

local forgotten = 0
for _, fields in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #fields, 2 do
    consumer[fields[i]] = fields[i + 1]
  end
  if consumer['pending'] == 0 and consumer['idle'] > tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
    forgotten = forgotten + 1
  end
end
return forgotten
