"""Streams, queues and presence across processes; and the names of the Channels API's layers.

What lives here: the table of the names that a project imports from `seaway.layers`, as it did from
``channels.layers``. Each is imported when it is first used: those with settings know Django, and
the rest of this package must not (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import Any

#: Public name → the module that has it.
_PUBLIC = {
    "BaseChannelLayer": "seaway.layers.channels.base",
    "ChannelFull": "seaway.exceptions",
    "ChannelLayerManager": "seaway.channel_layers",
    "DEFAULT_CHANNEL_LAYER": "seaway.channel_layers",
    "InMemoryChannelLayer": "seaway.layers.channels.memory",
    "InvalidChannelLayerError": "seaway.exceptions",
    "RedisChannelLayer": "seaway.channel_layers",
    "RedisPubSubChannelLayer": "seaway.channel_layers",
    "SeawayChannelLayer": "seaway.channel_layers",
    "channel_layers": "seaway.channel_layers",
    "get_channel_layer": "seaway.channel_layers",
}


def __getattr__(name: str) -> Any:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
