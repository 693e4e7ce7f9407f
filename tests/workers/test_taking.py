"""Taking from several channels: the first one first, and nothing lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from seaway import channel
from seaway.conf import layer_home
from seaway.layers.base import Layer
from seaway.layers.queues import QueueState
from seaway.workers.taking import take

BANDS = [channel(name) for name in ("high", "normal", "low")]


@pytest.fixture
async def layer() -> AsyncIterator[Layer]:
    await layer_home().adopt()
    yield layer_home().layer
    await layer_home().release()


async def test_the_first_channel_comes_first_and_fills_all_hands(layer: Layer) -> None:
    for name in ("low", "high", "normal", "high"):
        await layer.send(name, b"1")
    assert [one.channel for one in await take(layer, BANDS, 3, 10)] == ["high", "high"]
    assert [one.channel for one in await take(layer, BANDS, 1, 10)] == ["normal"]
    assert [one.channel for one in await take(layer, BANDS, 3, 10)] == ["low"]
    assert list(await take(layer, BANDS, 3, 0.01)) == []


async def test_of_what_comes_in_one_moment_only_one_is_taken(layer: Layer) -> None:
    """One hand is free: the others stay where they are, and that counts as no delivery."""
    for _ in range(20):
        taking = asyncio.create_task(take(layer, BANDS, 1, 10))
        for _ in range(10):
            await asyncio.sleep(0)
        for name in ("low", "normal", "high"):
            await layer.send(name, b"1")
        found = list(await taking)
        assert len(found) == 1
        for _ in range(2):
            found += await take(layer, BANDS, 1, 10)
        assert sorted(one.channel for one in found) == ["high", "low", "normal"]
        for one in found:
            assert (one.attempt, await layer.ack(one)) == (1, True)


async def test_cancelled_it_takes_nothing(layer: Layer) -> None:
    for turns in range(12):
        taking = asyncio.create_task(take(layer, BANDS, 1, 10))
        await asyncio.sleep(0)
        await layer.send("normal", b"1")
        for _ in range(turns):
            await asyncio.sleep(0)
        taking.cancel()
        [result] = await asyncio.gather(taking, return_exceptions=True)
        if isinstance(result, asyncio.CancelledError):
            assert await layer.queue_state("normal") == QueueState(waiting=1)
            result = await take(layer, BANDS, 1, 10)
        assert not isinstance(result, BaseException)
        [one] = result
        assert (one.attempt, await layer.ack(one)) == (1, True)


async def test_a_closed_channel_counts_as_an_empty_one(layer: Layer) -> None:
    await layer.close_channel("high")
    await layer.send("low", b"1")
    assert [one.channel for one in await take(layer, BANDS, 1, 10)] == ["low"]
    assert list(await take(layer, BANDS, 1, 0.01)) == []


async def test_a_closed_channel_is_looked_at_again_soon(layer: Layer) -> None:
    await layer.close_channel("high")
    assert list(await asyncio.wait_for(take(layer, BANDS[:1], 1, 600), 60)) == []
