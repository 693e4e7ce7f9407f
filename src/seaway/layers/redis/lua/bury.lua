-- uses: common
-- Settle the estate of a process. KEYS: the processes, its topics. ARGV: process, "1" when it is to
-- end though its lease has not run out, the topics that were swept, "1" when asked again.
-- Returns up to 200 topics that are still to be swept; none: the process is forgotten.

if ARGV[2] ~= '1' then
  local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
  if ends and tonumber(ends) > clock() then
    return {}
  end
end
for at = 3, #ARGV - 1 do
  redis.call('SREM', KEYS[2], ARGV[at])
end
local left = redis.call('SRANDMEMBER', KEYS[2], 200)
if #left == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return left
