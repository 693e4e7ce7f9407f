"""The Redis engine: streams, queues and presence on Redis 7 or Valkey 8 and later.

`layer.RedisLayer` is the engine; ``lua/`` holds one script per operation. Nothing is imported here,
since hiredis comes with the extra ``seaway[redis]``.
"""
