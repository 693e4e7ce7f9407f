-- uses: stream
-- Append an event, trim the history, announce it.
-- ARGV: data, events kept, ms kept, candidate epoch, request id, "1" when asked again.
-- Returns epoch, offset, corrupt.

local epoch, offset, _, corrupt = stand(ARGV[4])
if ARGV[6] == '1' then
  local before = remembered(IDS, ARGV[5])
  if before then
    local split = string.find(before, ' ', 1, true)
    return {string.sub(before, 1, split - 1), tonumber(string.sub(before, split + 1)), 0}
  end
end
local data, size, millis = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = clock()
offset = offset + 1
local at = whole(offset)
redis.call('HSET', STREAM, 'o', at, 'k', whole(millis))
redis.call('PEXPIRE', STREAM, whole(math.max(millis, IDLE_MILLIS)))
if size > 0 then
  local length = redis.pcall('RPUSH', HISTORY, string.format('%013.0f', now) .. data)
  if type(length) == 'table' then
    corrupt = true
    redis.call('DEL', HISTORY)
    length = redis.call('RPUSH', HISTORY, string.format('%013.0f', now) .. data)
  end
  if length > size then
    redis.call('LTRIM', HISTORY, -size, -1)
  end
  local oldest = now - millis
  local first = redis.call('LINDEX', HISTORY, 0)
  while first and (tonumber(string.sub(first, 1, 13)) or 0) <= oldest do
    redis.call('LPOP', HISTORY)
    first = redis.call('LINDEX', HISTORY, 0)
  end
  redis.call('PEXPIRE', HISTORY, whole(millis))
else
  redis.call('DEL', HISTORY)
end
remember(IDS, now, ARGV[5], epoch .. ' ' .. at)
redis.call('SPUBLISH', STREAM, 'p ' .. epoch .. ' ' .. at .. ' ' .. data)
return {epoch, offset, corrupt and 1 or 0}
