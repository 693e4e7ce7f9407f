-- uses: stream
-- The events after a position. ARGV: its epoch, its offset, how many events and bytes at most,
-- candidate epoch, "1" when asked again.
-- Returns epoch, offset, corrupt, and the data of the events; no fourth element: a gap.

local epoch, offset, kept, corrupt = stand(ARGV[5])
local flaw = corrupt and 1 or 0
local since = tonumber(ARGV[2])
if ARGV[1] ~= epoch or since > offset or since < 0 then
  return {epoch, offset, flaw}
end
local events = {}
if since == offset then
  return {epoch, offset, flaw, events}
end
local length = redis.pcall('LLEN', HISTORY)
if type(length) == 'table' then
  redis.call('DEL', HISTORY)
  return {epoch, offset, 1}
end
local index = length - (offset - since)
if index < 0 then
  return {epoch, offset, flaw}
end
local wanted, room = tonumber(ARGV[3]), tonumber(ARGV[4])
local oldest = clock() - kept
local step = 4
while #events < wanted and index < length do
  local last = math.min(index + math.min(step, wanted - #events), length) - 1
  for _, entry in ipairs(redis.call('LRANGE', HISTORY, index, last)) do
    local at = string.match(string.sub(entry, 1, 13), '^%d%d%d%d%d%d%d%d%d%d%d%d%d$')
    if not at then
      flaw = 1
    end
    if not at or tonumber(at) <= oldest then
      -- What follows a corrupt event can be read; who asks for that event itself has a gap.
      if #events == 0 then
        return {epoch, offset, flaw}
      end
      return {epoch, offset, flaw, events}
    end
    room = room - #entry
    if room < 0 and #events > 0 then
      return {epoch, offset, flaw, events}
    end
    events[#events + 1] = string.sub(entry, 14)
  end
  index = last + 1
  step = math.min(step * 2, 128)
end
return {epoch, offset, flaw, events}
