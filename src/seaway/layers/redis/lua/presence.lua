-- Put before the scripts of presence. KEYS: the topic's stream (its name is where changes are
-- announced), the members, the people.
--
-- Members are a hash: the value is "process person info"; the person may be empty.
-- People are a hash: person to how many members; under the empty name those who are nobody else.

local TOPIC, MEMBERS, PEOPLE = KEYS[1], KEYS[2], KEYS[3]

-- Process, person, info; nothing for a value that is not one.
local function parse(value)
  return string.match(value, '^(%S+) (%S*) (.*)$')
end

local function add(person)
  redis.call('HINCRBY', PEOPLE, person, 1)
end

local function subtract(person)
  if redis.call('HINCRBY', PEOPLE, person, -1) <= 0 then
    redis.call('HDEL', PEOPLE, person)
  end
end

local function say_left(members)
  for first = 1, #members, 500 do
    local last = math.min(first + 499, #members)
    redis.call('SPUBLISH', TOPIC, '- ' .. table.concat(members, ' ', first, last))
  end
end
