-- uses: presence
-- Add members, or replace what they say. ARGV: process, then member, person, info of each,
-- "1" when asked again.

local process = ARGV[1]
for at = 2, #ARGV - 3, 3 do
  local member, person, info = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local value = process .. ' ' .. person .. ' ' .. info
  local before = redis.call('HGET', MEMBERS, member)
  if before ~= value then
    local before_process, before_person, before_info
    if before then
      before_process, before_person, before_info = parse(before)
    end
    redis.call('HSET', MEMBERS, member, value)
    if not before_process then
      add(person)
    elseif before_person ~= person then
      subtract(before_person)
      add(person)
    end
    if before_info ~= info then
      redis.call('SPUBLISH', TOPIC, '+ ' .. member .. ' ' .. info)
    end
  end
end
return 1
