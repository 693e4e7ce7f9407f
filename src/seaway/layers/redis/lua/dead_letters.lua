-- uses: queue
-- The oldest dead letters. ARGV: how many at most, how many of the oldest to leave out, the ids of
-- which alone (none: all), "1" when asked again.
-- Returns corrupt, then id, data, attempts, reason and ms since 1970 of each.

tidy()
local answer = {0}
local skip = #ARGV > 2 and tonumber(ARGV[2]) or 0
local found = {}
if #ARGV > 3 then
  for at = 3, #ARGV - 1 do
    local died = redis.call('ZSCORE', DEAD, ARGV[at])
    if died then
      found[#found + 1] = ARGV[at]
      found[#found + 1] = died
    end
  end
else
  found = redis.call('ZRANGE', DEAD, skip, skip + tonumber(ARGV[1]) - 1, 'WITHSCORES')
end
for at = 1, #found, 2 do
  local raw = redis.call('HGET', GRAVES, found[at])
  local good, grave = pcall(cmsgpack.unpack, raw or '')
  if good and type(grave) == 'table' and #grave == 4 then
    answer[#answer + 1] = found[at]
    answer[#answer + 1] = grave[1]
    answer[#answer + 1] = grave[2]
    answer[#answer + 1] = grave[3]
    answer[#answer + 1] = found[at + 1]
  else
    corrupt = corrupt + 1
    redis.call('ZREM', DEAD, found[at])
    redis.call('HDEL', GRAVES, found[at])
  end
end
answer[1] = corrupt
return answer
