"""What projects test their realtime code with: the public names are imported when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seaway.testing.application import ApplicationCommunicator as ApplicationCommunicator
    from seaway.testing.http import HttpCommunicator as HttpCommunicator
    from seaway.testing.live import ChannelsLiveServerTestCase as ChannelsLiveServerTestCase
    from seaway.testing.topic_client import TopicClient as TopicClient
    from seaway.testing.websocket import WebsocketCommunicator as WebsocketCommunicator

#: Public name → the module that has it.
_PUBLIC = {
    "ApplicationCommunicator": "seaway.testing.application",
    "ChannelsLiveServerTestCase": "seaway.testing.live",
    "HttpCommunicator": "seaway.testing.http",
    "TopicClient": "seaway.testing.topic_client",
    "WebsocketCommunicator": "seaway.testing.websocket",
}

__all__ = [
    "ApplicationCommunicator",
    "ChannelsLiveServerTestCase",
    "HttpCommunicator",
    "TopicClient",
    "WebsocketCommunicator",
]


def __getattr__(name: str) -> Any:
    # Engines are tested without Django (`layer_contract`), so it is not imported before its use.
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(module), name)
