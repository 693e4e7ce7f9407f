"""Consumers: code that handles one connection of one protocol (the Channels API).

What lives here: the public names, in one place.
What must not: anything else.
"""

from seaway.consumers.consumer import AsyncConsumer, SyncConsumer
from seaway.consumers.handlers import get_handler_name
from seaway.consumers.http import AsyncHttpConsumer
from seaway.consumers.multiplexing import AsyncJsonWebsocketDemultiplexer
from seaway.consumers.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from seaway.exceptions import AcceptConnection, DenyConnection, StopConsumer

__all__ = [
    "AcceptConnection",
    "AsyncConsumer",
    "AsyncHttpConsumer",
    "AsyncJsonWebsocketConsumer",
    "AsyncJsonWebsocketDemultiplexer",
    "AsyncWebsocketConsumer",
    "DenyConnection",
    "JsonWebsocketConsumer",
    "StopConsumer",
    "SyncConsumer",
    "WebsocketConsumer",
    "get_handler_name",
]
