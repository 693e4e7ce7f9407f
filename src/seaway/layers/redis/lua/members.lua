-- uses: presence
-- Everybody present: member, value, member, value …

return redis.call('HGETALL', MEMBERS)
