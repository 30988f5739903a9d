-- Put given up messages back: each becomes a fresh entry at the end of its chat's turn, and its record goes.
-- It stays known, so that a webhook that comes again is a duplicate still. Attempts begin anew.
--
-- KEYS  1 stream  2 stream of records, then for each record: turn
-- ARGV  1 longest stream  2... the records' ids
-- Returns a number for each record: 1 it waits again, 0 the record was gone, -1 the stream has no room.

local stream, records, longest = KEYS[1], KEYS[2], tonumber(ARGV[1])
local of_the_record = {entry = true, reason = true, attempts = true, ended = true, replayed = true}
local length = redis.call('XLEN', stream)

local function replay(id, turn)
  local record = redis.call('XRANGE', records, id, id)[1]
  if not record then
    return 0
  end
  if length >= longest then
    return -1
  end
  local fields = {}
  for i = 1, #record[2], 2 do
    if not of_the_record[record[2][i]] then
      table.insert(fields, record[2][i])
      table.insert(fields, record[2][i + 1])
    end
  end
  redis.call('RPUSH', turn, redis.call('XADD', stream, '*', 'replayed', '1', unpack(fields)))
  redis.call('XDEL', records, id)
  length = length + 1
  return 1
end

local results = {}
for number = 1, #ARGV - 1 do
  results[number] = replay(ARGV[number + 1], KEYS[number + 2])
end
return results
