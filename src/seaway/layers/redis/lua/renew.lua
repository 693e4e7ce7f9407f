-- uses: common
-- A sign of life of a process. KEYS: the processes, by the end of their leases in ms since 1970.
-- ARGV: process, lease in ms, "1" when asked again.
-- Returns whether it was known, then up to 10 processes whose leases have run out.

local now = clock()
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], whole(now + tonumber(ARGV[2])), ARGV[1])
local answer = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', whole(now), 'LIMIT', 0, 10)
table.insert(answer, 1, known and 1 or 0)
return answer
