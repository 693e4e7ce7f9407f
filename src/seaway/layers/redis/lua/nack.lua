-- uses: queue
-- Give a message back. ARGV: id, receipt, delay in ms, what to do ("again", "dead", or "uncounted":
-- as if it had not been handed out), reason, "1" when asked again.
-- Returns 1, or 0: the lease ran out.

local id, delay, what = ARGV[1], tonumber(ARGV[3]), ARGV[4]
local settled = 'n' .. id .. ' ' .. ARGV[2]
if ARGV[6] == '1' and remembered(IDS, settled) then
  return 1
end
tidy()
local record = held(id, ARGV[2])
if not record then
  return 0
end
remember(IDS, now, settled, '1')
if what == 'dead' or (what == 'again' and record[ATTEMPTS] >= record[TRIES]) then
  die(id, record, ARGV[5])
  return 1
end
redis.call('ZREM', HELD, id)
if what == 'uncounted' then
  record[ATTEMPTS] = record[ATTEMPTS] - 1
end
record[RECEIPT] = ''
record[DUE] = delay > 0 and now + delay or 0
if record[ATTEMPTS] == 0 and record[EXPIRES] > 0 then
  if record[EXPIRES] <= now then
    remove(id, record) -- as if nobody had had it, it was dropped meanwhile
    return 1
  end
  redis.call('ZADD', EXPIRING, whole(record[EXPIRES]), id)
end
save(id, record)
place(id, record)
announce('r')
return 1
