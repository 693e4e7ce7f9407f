-- Put before the scripts of queues. KEYS as named below, all of one channel; what concerns those
-- who wait is announced under the name of the first.
--
-- A message is in one place at a time: READY (by number), DELAYED (by when it is due, ms), HELD (by
-- the end of its lease, ms) or LINES (behind another one of its order). Its record is an array in
-- MessagePack: number, order, expires, attempts, receipt, tries, due.

local CHANNEL, RECORDS, DATA, READY, DELAYED, HELD = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local EXPIRING, LINES, DEAD, GRAVES = KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local ONCE, ONCE_ENDS = KEYS[11], KEYS[12]
local IDS = {KEYS[13], KEYS[14]}

local NUMBER, ORDER, EXPIRES, ATTEMPTS, RECEIPT, TRIES, DUE = 1, 2, 3, 4, 5, 6, 7
-- What one call clears away at most, so that none takes long.
local TIDY = 500
local DEAD_LETTERS = 100000
local EMPTY_MILLIS = 86400000

local now = clock()
local corrupt = 0

local function announce(what)
  redis.call('SPUBLISH', CHANNEL, what)
end

local function save(id, record)
  redis.call('HSET', RECORDS, id, cmsgpack.pack(record))
end

local function make_ready(id, record)
  redis.call('ZADD', READY, whole(record[NUMBER]), id)
end

local function place(id, record)
  if record[DUE] > now then
    redis.call('ZADD', DELAYED, whole(record[DUE]), id)
  else
    make_ready(id, record)
  end
end

local function line_member(id, record)
  return record[ORDER] .. ' ' .. string.format('%016.0f', record[NUMBER]) .. ' ' .. id
end

local load

-- The first of an order is gone: let the next one go.
local function advance(order)
  while true do
    local next = redis.call('ZRANGEBYLEX', LINES, '[' .. order .. ' ', '(' .. order .. '!', 'LIMIT', 0, 1)[1]
    if not next then
      redis.call('HDEL', CHANNEL, 'h' .. order)
      return
    end
    redis.call('ZREM', LINES, next)
    local id = string.match(next, '(%S+)$')
    redis.call('HSET', CHANNEL, 'h' .. order, id)
    local record = load(id)
    if record then
      place(id, record)
      announce('r')
      return
    end
  end
end

-- Forget a message, whatever its place.
local function remove(id, record)
  redis.call('HDEL', RECORDS, id)
  redis.call('HDEL', DATA, id)
  if redis.call('ZREM', READY, id) + redis.call('ZREM', HELD, id) == 0 then
    redis.call('ZREM', DELAYED, id)
  end
  if record[EXPIRES] > 0 then
    redis.call('ZREM', EXPIRING, id)
  end
  local order = record[ORDER]
  if order ~= '' then
    if redis.call('HGET', CHANNEL, 'h' .. order) == id then
      advance(order)
    else
      redis.call('ZREM', LINES, line_member(id, record))
    end
  end
  local state = redis.call('HMGET', CHANNEL, 'f', 'c')
  if state[1] then
    redis.call('HDEL', CHANNEL, 'f')
    announce('s')
  end
  if redis.call('EXISTS', RECORDS) == 0 then
    if state[2] then
      announce('c')
    else
      redis.call('PEXPIRE', CHANNEL, EMPTY_MILLIS)
    end
  end
end

-- The record of a message; a corrupt one is counted and forgotten.
load = function(id)
  local raw = redis.call('HGET', RECORDS, id)
  if raw then
    local good, record = pcall(cmsgpack.unpack, raw)
    if good and type(record) == 'table' and #record == 7 and type(record[NUMBER]) == 'number' then
      return record
    end
  end
  corrupt = corrupt + 1
  redis.call('HDEL', RECORDS, id)
  redis.call('HDEL', DATA, id)
  for _, key in ipairs({READY, DELAYED, HELD, EXPIRING}) do
    redis.call('ZREM', key, id)
  end
  local fields = redis.call('HGETALL', CHANNEL)
  for at = 1, #fields, 2 do
    if fields[at + 1] == id and string.sub(fields[at], 1, 1) == 'h' then
      advance(string.sub(fields[at], 2))
    end
  end
  return nil
end

local function die(id, record, reason)
  local data = redis.call('HGET', DATA, id) or ''
  -- Those of one millisecond stay in their order: the score goes up by a thousandth at least.
  local last = tonumber(redis.call('ZRANGE', DEAD, -1, -1, 'WITHSCORES')[2] or 0)
  redis.call('ZADD', DEAD, string.format('%.3f', math.max(now, last + 0.001)), id)
  redis.call('HSET', GRAVES, id, cmsgpack.pack({data, record[ATTEMPTS], reason, record[ORDER]}))
  remove(id, record)
  if redis.call('ZCARD', DEAD) > DEAD_LETTERS then
    redis.call('HDEL', GRAVES, redis.call('ZPOPMIN', DEAD)[1])
  end
end

local function overdue(key)
  return redis.call('ZRANGEBYSCORE', key, '-inf', whole(now), 'LIMIT', 0, TIDY)
end

-- Do what time has brought: drop, end leases, make due.
local function tidy()
  for _, id in ipairs(overdue(EXPIRING)) do
    redis.call('ZREM', EXPIRING, id)
    local record = load(id)
    if record then
      remove(id, record)
    end
  end
  for _, id in ipairs(overdue(HELD)) do
    local record = load(id)
    if record and record[ATTEMPTS] >= record[TRIES] then
      die(id, record, 'its lease ran out')
    elseif record then
      redis.call('ZREM', HELD, id)
      make_ready(id, record)
      announce('r')
    end
  end
  for _, id in ipairs(overdue(DELAYED)) do
    redis.call('ZREM', DELAYED, id)
    local record = load(id)
    if record then
      make_ready(id, record)
      announce('r')
    end
  end
end

-- Milliseconds until time brings something; -1: never.
local function until_next()
  local first = -1
  for _, key in ipairs({DELAYED, HELD, EXPIRING}) do
    local soonest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
    if soonest then
      local wait = math.max(0, tonumber(soonest) - now)
      if first < 0 or wait < first then
        first = wait
      end
    end
  end
  return math.ceil(first)
end

-- The record of a message that is held under this receipt, or nothing.
local function held(id, receipt)
  if redis.call('ZSCORE', HELD, id) then
    local record = load(id)
    if record and record[RECEIPT] == receipt then
      return record
    end
  end
  return nil
end

-- Put a new message in at the end.
local function append(id, data, order, expires, due)
  local number = redis.call('HINCRBY', CHANNEL, 'n', 1)
  if redis.call('EXISTS', RECORDS) == 0 then
    redis.call('PERSIST', CHANNEL)
  end
  local record = {number, order, expires, 0, '', 0, due}
  save(id, record)
  redis.call('HSET', DATA, id, data)
  if expires > 0 then
    redis.call('ZADD', EXPIRING, whole(expires), id)
  end
  if order ~= '' and redis.call('HSETNX', CHANNEL, 'h' .. order, id) == 0 then
    redis.call('ZADD', LINES, 0, line_member(id, record))
    return
  end
  place(id, record)
  announce('r')
end
