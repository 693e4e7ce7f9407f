"""The Channels API in memory, on an engine of the loop's own, and on one elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from seaway.layers.channels.layer import ChannelLayer
from seaway.layers.channels.memory import InMemoryChannelLayer
from seaway.layers.home import LayerHome
from seaway.layers.memory.layer import MemoryLayer
from tests.layers.channels.support import Anyone, Clock, Make


@pytest.fixture(params=["in memory", "engine of this loop", "engine of a thread"])
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    """Makes one layer with the options of the test."""
    if request.param == "in memory":
        yield InMemoryChannelLayer
        return
    home = LayerHome(MemoryLayer)
    if request.param == "engine of this loop":
        await home.adopt()
    yield lambda **options: ChannelLayer(lambda: home, **options)
    await home.release()
    await asyncio.to_thread(home.close)


@pytest.fixture
async def layer(make: Make) -> Anyone:
    return make(capacity=3, channel_capacity={"tiny": 1})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    clock.install(monkeypatch)
    return clock
