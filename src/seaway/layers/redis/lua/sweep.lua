-- uses: presence
-- Remove all members of a process. ARGV: process, "1" when asked again. Returns how many.

local left = {}
local all = redis.call('HGETALL', MEMBERS)
for at = 1, #all, 2 do
  local process, person = parse(all[at + 1])
  if process == ARGV[1] then
    redis.call('HDEL', MEMBERS, all[at])
    subtract(person)
    left[#left + 1] = all[at]
  end
end
say_left(left)
return #left
