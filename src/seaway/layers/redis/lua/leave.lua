-- uses: presence
-- Remove members of a process. ARGV: process, the members, "1" when asked again.

local left = {}
for at = 2, #ARGV - 1 do
  local before = redis.call('HGET', MEMBERS, ARGV[at])
  if before then
    local process, person = parse(before)
    if process == ARGV[1] then
      redis.call('HDEL', MEMBERS, ARGV[at])
      subtract(person)
      left[#left + 1] = ARGV[at]
    end
  end
end
say_left(left)
return #left
