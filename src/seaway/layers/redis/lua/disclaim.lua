-- uses: common
-- Strike topics off in which a process has no more members. KEYS: the processes, its topics.
-- ARGV: the topics, "1" when asked again.

for at = 1, #ARGV - 1 do
  redis.call('SREM', KEYS[2], ARGV[at])
end
return 1
