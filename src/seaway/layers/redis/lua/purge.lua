-- uses: queue
-- Remove all messages but no dead letters. ARGV: "1" when asked again. Returns how many there were.

tidy()
local there = redis.call('HLEN', RECORDS)
redis.call('DEL', RECORDS, DATA, READY, DELAYED, HELD, EXPIRING, LINES)
for _, field in ipairs(redis.call('HKEYS', CHANNEL)) do
  if string.sub(field, 1, 1) == 'h' or field == 'f' then
    redis.call('HDEL', CHANNEL, field)
  end
end
announce('s')
announce('c')
if not redis.call('HGET', CHANNEL, 'c') then
  redis.call('PEXPIRE', CHANNEL, EMPTY_MILLIS)
end
return there
