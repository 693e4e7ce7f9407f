"""Consumers that echo, their clients, and what is left of them in the server.

What lives here: `LIVE`, which is emptied after each test (`conftest`), and those who fill it.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from websockets.sync.client import ClientConnection, connect

from seaway.consumers import AsyncWebsocketConsumer, WebsocketConsumer
from seaway.consumers.sink_carrier import SinkCarrier
from tests.server.harness import RunningServer

LIVE: list[Any] = []


class Echo(AsyncWebsocketConsumer):
    groups = ["chat"]

    async def connect(self) -> None:
        LIVE.append(self)
        await self.accept()

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        await self.send(text_data, bytes_data)

    async def chat_message(self, event: Any) -> None:
        await self.send(text_data=event["text"])


class SyncEcho(WebsocketConsumer):
    def connect(self) -> None:
        LIVE.append(self)
        self.accept()

    def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        self.send(text_data, bytes_data)


@contextlib.contextmanager
def client(server: RunningServer, path: str = "/", **options: Any) -> Iterator[ClientConnection]:
    with connect(server.websocket_url + path, open_timeout=20, **options) as connection:
        yield connection


def taken(consumer: Any) -> bool:
    return isinstance(consumer._seaway.carrier, SinkCarrier)


def tasks_of(server: RunningServer) -> int:
    """How many tasks the server's loop has, but for the one that counts."""
    loop = server.runner._loop
    assert loop is not None

    async def count() -> int:
        return len(asyncio.all_tasks()) - 1

    return asyncio.run_coroutine_threadsafe(count(), loop).result(20)
