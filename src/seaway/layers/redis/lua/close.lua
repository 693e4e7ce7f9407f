-- uses: queue
-- Close a channel, or open it. ARGV: "1" or "0", "1" when asked again.

if ARGV[1] == '1' then
  redis.call('HSET', CHANNEL, 'c', 1)
  redis.call('PERSIST', CHANNEL)
  announce('c')
else
  redis.call('HDEL', CHANNEL, 'c')
  if redis.call('EXISTS', RECORDS) == 0 then
    redis.call('PEXPIRE', CHANNEL, EMPTY_MILLIS)
  end
end
return 1
