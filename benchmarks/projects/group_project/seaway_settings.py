"""The least that Seaway needs. GROUP_LAYER: local (the default of every project), memory, redis."""

import os
from typing import Any

SECRET_KEY = "only-for-benchmarks"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["seaway"]
USE_TZ = True

_IN_MEMORY = {"default": {"BACKEND": "seaway.layers.InMemoryChannelLayer"}}
_layer = os.environ.get("GROUP_LAYER", "local")
if _layer == "redis":
    SEAWAY: dict[str, Any] = {"LAYER": os.environ["GROUP_REDIS"]}
elif _layer == "memory":
    CHANNEL_LAYERS: dict[str, dict[str, Any]] = _IN_MEMORY
