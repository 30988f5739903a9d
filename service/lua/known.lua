-- What is known of messages: a letter for each, `t` (taken) or the first one of how it ended.
--
-- They stand in hashes so small that Redis keeps them as lists without pointers: 25 bytes a message. A hash is of one
-- period, a sixth of the time for which messages are remembered, and of one part; it expires as a whole. A message's
-- name begins with the three digits of its part (known.py).

local EARLIER = 6 -- periods that are looked at beside the present one

-- What the keys of these periods begin with, the newest first. The next period is there where the clock was put back.
local function known_periods(prefix, period_s)
  local now = math.floor(redis.call('TIME')[1] / period_s)
  local periods = {}
  for period = now + 1, now - EARLIER, -1 do
    periods[#periods + 1] = prefix .. ':' .. period .. ':'
  end
  return periods, now
end

local function open_known(prefix, period_s)
  local periods, now = known_periods(prefix, period_s)

  -- The letter of a message, and whether it is of the next period; or nothing.
  local function find(name)
    local part, id = string.sub(name, 1, 3), string.sub(name, 4)
    for number = 1, #periods do
      local letter = redis.call('HGET', periods[number] .. part, id)
      if letter then
        return letter, number == 1
      end
    end
  end

  -- Set the letter of a message, which is remembered from now on.
  local function put(name, letter, is_next)
    local number = is_next and 1 or 2
    local key = periods[number] .. string.sub(name, 1, 3)
    if redis.call('HSET', key, string.sub(name, 4), letter) == 1 and redis.call('HLEN', key) == 1 then
      redis.call('EXPIREAT', key, (now + 2 - number + EARLIER + 1) * period_s)
    end
  end

  return find, put
end
