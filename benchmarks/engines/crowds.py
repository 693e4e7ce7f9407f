"""The members of a group: Seaway's channel layer, and both of channels_redis.

What lives here: one process's share of the members, and who sends. What must not: figures.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

Answer = dict[str, Any]

GROUP = "bench"
_MESSAGE = {"type": "bench.message", "text": "x" * 120}


def make(kind: str, url: str) -> Crowd:
    return Crowd(kind, url)


class Crowd:
    """Each member is a channel of its own, with a task that receives, as a consumer has."""

    def __init__(self, kind: str, url: str) -> None:
        self._kind = kind
        self._url = url
        self._received = 0
        self._last = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._layer = await _layer(self._kind, self._url)

    async def join(self, members: int) -> Answer:
        for _ in range(members):
            channel = await self._layer.new_channel()
            await self._layer.group_add(GROUP, channel)
            self._tasks.append(asyncio.create_task(self._member(channel)))
        return {}

    async def _member(self, channel: str) -> None:
        while True:
            await self._layer.receive(channel)
            self._received += 1
            self._last = time.monotonic()

    async def received(self) -> Answer:
        return {"count": self._received, "last": self._last}

    async def forget(self) -> Answer:
        self._received = 0
        return {}

    async def send(self, count: int) -> Answer:
        begun = time.monotonic()
        for _ in range(count):
            await self._layer.group_send(GROUP, _MESSAGE)
        return {"begun": begun}


async def _layer(kind: str, url: str) -> Any:
    if kind == "core":
        from channels_redis.core import RedisChannelLayer

        return RedisChannelLayer(hosts=[url])
    if kind == "pubsub":
        from channels_redis.pubsub import RedisPubSubChannelLayer

        return RedisPubSubChannelLayer(hosts=[url])
    from seaway.layers.channels.layer import ChannelLayer
    from seaway.layers.engines import make_layer
    from seaway.layers.home import LayerHome

    home = LayerHome(lambda: make_layer(url, namespace="bench", place="bench"))
    await home.adopt()
    return ChannelLayer(lambda: home)
