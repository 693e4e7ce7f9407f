-- uses: queue
-- Hold a message for longer. ARGV: id, receipt, ms from now, "1" when asked again.
-- Returns 1, or 0: the lease ran out.

tidy()
if not held(ARGV[1], ARGV[2]) then
  return 0
end
local before = tonumber(redis.call('ZSCORE', HELD, ARGV[1]))
local ends = now + tonumber(ARGV[3])
redis.call('ZADD', HELD, whole(ends), ARGV[1])
if ends < before then
  announce('t')
end
return 1
