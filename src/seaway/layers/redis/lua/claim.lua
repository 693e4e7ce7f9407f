-- uses: common
-- Note topics in which a process is about to have members. KEYS: the processes, its topics.
-- ARGV: process, lease in ms, the topics, "1" when asked again.

redis.call('ZADD', KEYS[1], 'NX', whole(clock() + tonumber(ARGV[2])), ARGV[1])
for at = 3, #ARGV - 1 do
  redis.call('SADD', KEYS[2], ARGV[at])
end
return 1
