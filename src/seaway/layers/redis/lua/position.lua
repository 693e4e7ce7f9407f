-- uses: stream
-- Where a stream stands; asked for, it stays. ARGV: candidate epoch, "1" when asked again.
-- Returns epoch, offset, corrupt.

local epoch, offset, kept, corrupt = stand(ARGV[1])
if redis.call('PTTL', STREAM) < IDLE_MILLIS / 2 then
  redis.call('PEXPIRE', STREAM, whole(math.max(kept, IDLE_MILLIS)))
end
return {epoch, offset, corrupt and 1 or 0}
