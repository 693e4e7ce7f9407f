-- Put before every script: the engine's clock, and what a repeated request is known by.

local function clock()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

local function whole(number)
  return string.format('%.0f', number)
end

-- Ids of requests are kept in two hashes that take turns every 16 s: for 16 to 32 s each.
local IDS_MILLIS = 16000

-- Returns whose turn it is; with the last one given, only a new one costs a second command.
local function remember(buckets, now, id, answer, last)
  local turn = math.floor(now / IDS_MILLIS)
  local bucket = buckets[turn % 2 + 1]
  redis.call('HSET', bucket, id, answer)
  if last ~= turn and (last or redis.call('HLEN', bucket) == 1) then
    redis.call('PEXPIREAT', bucket, whole((turn + 2) * IDS_MILLIS))
  end
  return turn
end

local function remembered(buckets, id)
  return redis.call('HGET', buckets[1], id) or redis.call('HGET', buckets[2], id)
end
