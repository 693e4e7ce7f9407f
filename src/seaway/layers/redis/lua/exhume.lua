-- uses: queue
-- Replay or discard dead letters. ARGV: "replay" or "discard", the ids (none: up to 500 of the
-- oldest), "1" when asked again. Returns how many there were.

tidy()
local ids = {}
for at = 2, #ARGV - 1 do
  ids[#ids + 1] = ARGV[at]
end
if #ids == 0 then
  ids = redis.call('ZRANGE', DEAD, 0, 499)
end
local count = 0
for _, id in ipairs(ids) do
  if redis.call('ZREM', DEAD, id) == 1 then
    local raw = redis.call('HGET', GRAVES, id)
    local good, grave = pcall(cmsgpack.unpack, raw or '')
    redis.call('HDEL', GRAVES, id)
    if good and type(grave) == 'table' and #grave == 4 then
      count = count + 1
      if ARGV[1] == 'replay' then
        append(id, grave[1], grave[4], 0, 0)
      end
    end
  end
end
return count
