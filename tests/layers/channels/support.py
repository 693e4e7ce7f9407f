"""Channel layers for tests.

What lives here: several of them that act as several processes on one engine.
What must not: tests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from seaway.layers.base import History, Position
from seaway.layers.channels import group, groups, inbox, inboxes, memory
from seaway.layers.channels.layer import ChannelLayer
from seaway.layers.channels.memory import InMemoryChannelLayer
from seaway.layers.home import LayerHome
from seaway.layers.memory.desk import Desk
from seaway.layers.memory.layer import MemoryLayer
from seaway.layers.memory.queue_store import QueueStore
from seaway.layers.memory.store import Store

Anyone = ChannelLayer | InMemoryChannelLayer
#: Makes one with a test's own options.
Make = Callable[..., Anyone]

#: Long enough for anything that happens, short enough to wait for what does not.
QUIET = 0.05


class Clock:
    """Stands in for the module `time` in the channel layer; goes on when it is told to."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (group, groups, inbox, inboxes, memory):
            monkeypatch.setattr(module, "time", self)


class Counted(MemoryLayer):
    """A memory layer that counts what is published."""

    published_count = 0

    async def publish(
        self, topic: str, data: bytes, history: History | None = None, *, once: str = ""
    ) -> Position:
        type(self).published_count += 1
        return await super().publish(topic, data, history, once=once)


class Processes:
    """Several channel layers on one engine, each as if in a process of its own."""

    def __init__(self) -> None:
        self.store: Store[MemoryLayer] = Store()
        self.desk = Desk(QueueStore())
        self.homes: list[LayerHome] = []

    async def start(self, **options: Any) -> ChannelLayer:
        """One more, whose home is the running loop."""
        home = LayerHome(lambda: Counted(self.store, self.desk))
        await home.adopt()
        self.homes.append(home)
        return ChannelLayer(lambda: home, **options)

    async def stop(self, layer: ChannelLayer) -> None:
        """End its process in order."""
        await layer.close()
        await layer._home().release()


@asynccontextmanager
async def processes() -> AsyncIterator[Processes]:
    found = Processes()
    Counted.published_count = 0
    try:
        yield found
    finally:
        for home in found.homes:
            await home.release()


async def nothing_comes(layer: Anyone, channel: str) -> None:
    """Nothing waits there, and nothing comes soon."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(QUIET):
            await layer.receive(channel)


async def soon(layer: Anyone, channel: str) -> dict[str, Any]:
    """What comes there next."""
    async with asyncio.timeout(10):
        return await layer.receive(channel)


async def members(layer: ChannelLayer, group: str, number: int) -> list[str]:
    """New channels of this process, members of a group."""
    channels = [await layer.new_channel() for _ in range(number)]
    for channel in channels:
        await layer.group_add(group, channel)
    return channels
