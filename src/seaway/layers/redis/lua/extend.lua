-- uses: queue
-- Hold a message for longer. ARGV: id, receipt, ms from now, "1" when asked again.
-- Returns 1, or 0: the lease ran out.

tidy()
if not held(ARGV[1], ARGV[2]) then
  return 0
end
redis.call('ZADD', HELD, whole(now + tonumber(ARGV[3])), ARGV[1])
return 1
