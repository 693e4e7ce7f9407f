-- uses: queue
-- A channel in numbers: waiting, delayed, held, dead, closed, corrupt.

tidy()
return {
  redis.call('ZCARD', READY) + redis.call('ZCARD', LINES),
  redis.call('ZCARD', DELAYED),
  redis.call('ZCARD', HELD),
  redis.call('ZCARD', DEAD),
  redis.call('HGET', CHANNEL, 'c') and 1 or 0,
  corrupt,
}
