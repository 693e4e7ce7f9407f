-- uses: presence
-- How many members, and how many people.

local people = redis.call('HLEN', PEOPLE)
local alone = redis.call('HGET', PEOPLE, '')
if alone then
  people = people - 1 + tonumber(alone)
end
return {redis.call('HLEN', MEMBERS), people}
