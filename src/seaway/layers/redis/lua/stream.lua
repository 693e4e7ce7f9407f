-- Put before the scripts of streams. KEYS: the stream, its history, its two buckets of request ids.
--
-- The stream is a hash: e its epoch, o its offset, k for how many ms events are kept, s when that
-- was last said to the engine, t whose turn it was among the buckets at the last publish.
-- The history is a list that ends with the latest event and has no hole; each entry is the time in
-- ms since 1970, in 13 digits, and the data.
--
-- An epoch begins with 8 digits of the server's replication id, which is another one after every
-- restart and after every promotion of a replica: both may have lost the last writes, so an offset
-- of before is never counted on from.

local STREAM, HISTORY = KEYS[1], KEYS[2]
local IDS = {KEYS[3], KEYS[4]}
local IDLE_MILLIS = 3600000

-- Epoch, offset, millis kept, whether the entry was corrupt, when its keeping was last said, the
-- last turn. A stream that is not there begins.
local function stand(candidate)
  local found = redis.pcall('HMGET', STREAM, 'e', 'o', 'k', 's', 't')
  local facts = redis.call('INFO', 'replication')
  local _, at = string.find(facts, 'master_replid:', 1, true)
  local life = string.sub(facts, at + 1, at + 8)
  local corrupt = found.err ~= nil
  if not corrupt and found[1] then
    local offset = tonumber(found[2])
    local kept = tonumber(found[3])
    if offset and kept and offset >= 0 then
      if string.sub(found[1], 1, 9) == life .. '-' then
        return found[1], offset, kept, false, tonumber(found[4]) or 0, tonumber(found[5]) or -1
      end
    else
      corrupt = true
    end
  end
  redis.call('DEL', STREAM, HISTORY)
  local epoch = life .. '-' .. candidate
  redis.call('HSET', STREAM, 'e', epoch, 'o', 0, 'k', 0)
  redis.call('PEXPIRE', STREAM, IDLE_MILLIS)
  return epoch, 0, 0, corrupt, 0, -1
end
