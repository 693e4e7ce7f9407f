-- uses: queue
-- A message is done. ARGV: id, receipt, "1" when asked again. Returns 1, or 0: the lease ran out.

local settled = 'a' .. ARGV[1] .. ' ' .. ARGV[2]
if ARGV[3] == '1' and remembered(IDS, settled) then
  return 1
end
tidy()
local record = held(ARGV[1], ARGV[2])
if not record then
  return 0
end
remove(ARGV[1], record)
remember(IDS, now, settled, '1')
return 1
