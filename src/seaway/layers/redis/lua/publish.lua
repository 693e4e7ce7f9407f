-- uses: stream
-- Append an event, or several; trim the history; announce each.
-- ARGV: data, events kept, ms kept, candidate epoch, request id, data of further events, "1" when
-- asked again.
-- KEYS[5], where there is one: what remembers that this event was published.
-- Returns epoch, offset of the first one, corrupt.

local epoch, offset, kept, corrupt, said, turn = stand(ARGV[4])
local last = #ARGV - 1
if ARGV[last + 1] == '1' then
  local before = remembered(IDS, ARGV[5])
  if before then
    local split = string.find(before, ' ', 1, true)
    return {string.sub(before, 1, split - 1), tonumber(string.sub(before, split + 1)), 0}
  end
end
local once = KEYS[5]
if once then
  local before = redis.call('GET', once)
  if before then
    local split = string.find(before, ' ', 1, true)
    return {string.sub(before, 1, split - 1), tonumber(string.sub(before, split + 1)), 0}
  end
end
local data, size, millis = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = clock()
local first = offset + 1
offset = first + last - 5
local at = whole(offset)
-- Both keys outlive what is kept by an eighth, so that this is not said for each event.
local lasting = now - said < kept / 8 and now >= said and kept == millis
if size > 0 then
  local stamp = string.format('%013.0f', now)
  local entries = {stamp .. data}
  for index = 6, last do
    entries[index - 4] = stamp .. ARGV[index]
  end
  local length = redis.pcall('RPUSH', HISTORY, unpack(entries))
  if type(length) == 'table' then
    corrupt = true
    redis.call('DEL', HISTORY)
    length = redis.call('RPUSH', HISTORY, unpack(entries))
  end
  if length > size then
    redis.call('LTRIM', HISTORY, -size, -1)
  end
  local oldest = now - millis
  local entry = redis.call('LINDEX', HISTORY, 0)
  while entry and (tonumber(string.sub(entry, 1, 13)) or 0) <= oldest do
    redis.call('LPOP', HISTORY)
    entry = redis.call('LINDEX', HISTORY, 0)
  end
  if length == #entries then
    redis.call('PEXPIRE', HISTORY, whole(millis * 9 / 8))
  end
else
  redis.call('DEL', HISTORY)
end
local turn_now = remember(IDS, now, ARGV[5], epoch .. ' ' .. whole(first), turn)
if lasting and turn == turn_now then
  redis.call('HSET', STREAM, 'o', at)
else
  redis.call('HSET', STREAM, 'o', at, 'k', whole(millis), 's', whole(now), 't', whole(turn_now))
  redis.call('PEXPIRE', STREAM, whole(math.max(millis * 9 / 8, IDLE_MILLIS)))
  if size > 0 then
    redis.call('PEXPIRE', HISTORY, whole(millis * 9 / 8))
  end
end
if once then
  redis.call('SET', once, epoch .. ' ' .. whole(first), 'PX', 300000)
end
redis.call('SPUBLISH', STREAM, 'p ' .. epoch .. ' ' .. whole(first) .. ' ' .. data)
for index = 6, last do
  redis.call('SPUBLISH', STREAM, 'p ' .. epoch .. ' ' .. whole(first + index - 5) .. ' ' .. ARGV[index])
end
return {epoch, first, corrupt and 1 or 0}
