-- uses: common
-- The register of channels. KEYS: the channels, by when they were last heard of. ARGV: "add" or
-- "remove", the names, "1" when asked again. Returns all names, when none was given.

if #ARGV == 2 then
  return redis.call('ZRANGE', KEYS[1], 0, -1)
end
for at = 2, #ARGV - 1 do
  if ARGV[1] == 'add' then
    redis.call('ZADD', KEYS[1], whole(clock()), ARGV[at])
  elseif tonumber(redis.call('ZSCORE', KEYS[1], ARGV[at]) or 0) < clock() - 86400000 then
    redis.call('ZREM', KEYS[1], ARGV[at])
  end
end
return {}
