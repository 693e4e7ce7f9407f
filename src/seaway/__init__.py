"""Seaway: realtime for Django.

What lives here: the version and the table of public names, each imported when it is first used, so
that `seaway.protocol`, `seaway.layers` and `seaway.server` stay free of Django (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from seaway.channel_layers import DEFAULT_CHANNEL_LAYER as DEFAULT_CHANNEL_LAYER
    from seaway.channels.channel import Channel as Channel
    from seaway.channels.channel import channel as channel
    from seaway.channels.handlers import Backoff as Backoff
    from seaway.channels.select import after as after
    from seaway.channels.select import select as select
    from seaway.exceptions import ActionError as ActionError
    from seaway.exceptions import ChannelClosed as ChannelClosed
    from seaway.exceptions import ChannelFull as ChannelFull
    from seaway.exceptions import ConfigurationError as ConfigurationError
    from seaway.exceptions import EventsMissed as EventsMissed
    from seaway.exceptions import GiveUp as GiveUp
    from seaway.exceptions import InvalidName as InvalidName
    from seaway.exceptions import LayerUnavailable as LayerUnavailable
    from seaway.exceptions import PayloadTooLarge as PayloadTooLarge
    from seaway.exceptions import SeawayError as SeawayError
    from seaway.exceptions import SyncCallInLoop as SyncCallInLoop
    from seaway.exceptions import TopicError as TopicError
    from seaway.exceptions import UnencodablePayload as UnencodablePayload
    from seaway.layers.base import History as History
    from seaway.layers.base import Position as Position
    from seaway.topics.actions import action as action
    from seaway.topics.address import TopicAddress as TopicAddress
    from seaway.topics.topic import Topic as Topic

#: Public name → the module that has it.
_PUBLIC = {
    "ActionError": "seaway.exceptions",
    "Backoff": "seaway.channels.handlers",
    "Channel": "seaway.channels.channel",
    "ChannelClosed": "seaway.exceptions",
    "ChannelFull": "seaway.exceptions",
    "ConfigurationError": "seaway.exceptions",
    "DEFAULT_CHANNEL_LAYER": "seaway.channel_layers",
    "EventsMissed": "seaway.exceptions",
    "GiveUp": "seaway.exceptions",
    "History": "seaway.layers.base",
    "InvalidName": "seaway.exceptions",
    "LayerUnavailable": "seaway.exceptions",
    "PayloadTooLarge": "seaway.exceptions",
    "Position": "seaway.layers.base",
    "SeawayError": "seaway.exceptions",
    "SyncCallInLoop": "seaway.exceptions",
    "Topic": "seaway.topics.topic",
    "TopicAddress": "seaway.topics.address",
    "TopicError": "seaway.exceptions",
    "UnencodablePayload": "seaway.exceptions",
    "action": "seaway.topics.actions",
    "after": "seaway.channels.select",
    "channel": "seaway.channels.channel",
    "select": "seaway.channels.select",
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
