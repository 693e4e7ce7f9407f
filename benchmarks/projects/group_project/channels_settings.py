"""The least that Channels needs; its layers with default options but for one."""

import os
from typing import Any

SECRET_KEY = "only-for-benchmarks"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["channels"]
USE_TZ = True

#: redis-py 8 gives a command five seconds, and channels_redis 4.3 waits for messages with one that
#: takes as long (django/channels_redis#422): without this, idle consumers end with 1011.
_HOST = {
    "address": os.environ.get("GROUP_REDIS", "redis://127.0.0.1:6379"),
    "socket_timeout": None,
}
_REDIS: dict[str, Any] = {"hosts": [_HOST]}
_LAYERS: dict[str, dict[str, Any]] = {
    "memory": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
    "redis": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": _REDIS},
    "pubsub": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": _REDIS},
}
CHANNEL_LAYERS = {"default": _LAYERS[os.environ.get("GROUP_LAYER", "memory")]}
