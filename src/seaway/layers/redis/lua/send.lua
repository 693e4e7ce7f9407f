-- uses: queue
-- Put in one message. ARGV: id, data, capacity, delay in ms, ttl in ms (-1: none), order, once,
-- how many ms that is remembered, "1" when the sender waits for room, "1" when asked again.
-- Returns "sent" and the id, "closed", or "full", how many there are, and ms until time frees room.

local id, once = ARGV[1], ARGV[7]
if ARGV[10] == '1' and remembered(IDS, id) then
  return {'sent', id}
end
tidy()
for _, old in ipairs(overdue(ONCE_ENDS)) do
  redis.call('ZREM', ONCE_ENDS, old)
  redis.call('HDEL', ONCE, old)
end
if once ~= '' then
  local first = redis.call('HGET', ONCE, once)
  if first then
    return {'sent', first}
  end
end
if redis.call('HGET', CHANNEL, 'c') then
  return {'closed'}
end
local there = redis.call('HLEN', RECORDS)
if there >= tonumber(ARGV[3]) then
  if ARGV[9] == '1' then
    redis.call('HSET', CHANNEL, 'f', 1)
  end
  return {'full', there, until_next()}
end
local delay, ttl = tonumber(ARGV[4]), tonumber(ARGV[5])
append(id, ARGV[2], ARGV[6], ttl >= 0 and now + ttl or 0, delay > 0 and now + delay or 0)
if once ~= '' then
  redis.call('HSET', ONCE, once, id)
  redis.call('ZADD', ONCE_ENDS, whole(now + tonumber(ARGV[8])), once)
end
remember(IDS, now, id, '1')
return {'sent', id}
