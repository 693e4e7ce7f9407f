-- uses: queue
-- Take messages that are due. ARGV: how many at most, lease in ms, tries, request id, "1" when
-- asked again.
-- Returns "open" or "closed", ms until time brings something, corrupt, then id, data, attempt and
-- receipt of each.

tidy()
local limit, lease, tries, token = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local answer = {'open', -1, 0}
local ROOM = 4194304
local size = 0

local function give(id, record)
  answer[#answer + 1] = id
  local data = redis.call('HGET', DATA, id) or ''
  size = size + #data
  answer[#answer + 1] = data
  answer[#answer + 1] = record[ATTEMPTS]
  answer[#answer + 1] = record[RECEIPT]
end

if ARGV[5] == '1' then
  -- The answer was lost on its way: whoever asks again holds what it was given.
  local before = remembered(IDS, token)
  if before then
    for id in string.gmatch(before, '%S+') do
      local record = held(id, token)
      if record then
        give(id, record)
      end
    end
    return answer
  end
end
local taken = {}
while #taken < limit and size < ROOM do
  local ids = redis.call('ZRANGE', READY, 0, math.min(limit - #taken, 100) - 1)
  if #ids == 0 then
    break
  end
  for _, id in ipairs(ids) do
    if size >= ROOM then
      break
    end
    redis.call('ZREM', READY, id)
    local record = load(id)
    if record then
      record[ATTEMPTS] = record[ATTEMPTS] + 1
      record[RECEIPT] = token
      record[TRIES] = tries
      if record[EXPIRES] > 0 then
        redis.call('ZREM', EXPIRING, id)
      end
      save(id, record)
      redis.call('ZADD', HELD, whole(now + lease), id)
      give(id, record)
      taken[#taken + 1] = id
    end
  end
end
if #taken > 0 then
  remember(IDS, now, token, table.concat(taken, ' '))
else
  if redis.call('HGET', CHANNEL, 'c') and redis.call('EXISTS', RECORDS) == 0 then
    answer[1] = 'closed'
  end
  answer[2] = until_next()
end
answer[3] = corrupt
return answer
