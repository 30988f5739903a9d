#!lua flags=allow-oom
-- Keep an echo of one of our replies as the proof that it was sent, if that reply is expected.
--
-- KEYS  1 pointer by what the echo says  2 the reply expected to the message that the echo quotes, if it quotes one
-- ARGV  1 digest of its text  2 its text
-- Returns 1 if it proves something, else 0.

-- A person who answers by hand may quote the same message: only our own text is a proof.
local function is_expected(key)
  return key and redis.call('HGET', key, 'text') == ARGV[1]
end

local expected = KEYS[2]
if not is_expected(expected) then
  -- Some engines quote nothing, or have another id. The key is told by Redis: it has the same hash tag.
  expected = redis.call('GET', KEYS[1])
  if not is_expected(expected) then
    return 0
  end
end
redis.call('HSET', expected, 'proof', ARGV[2])
return 1
