"""The servers' clock, by what they write."""

from __future__ import annotations

import asyncio

import pytest

from seaway.layers.nats.clock import Clock

pytestmark = pytest.mark.asyncio


async def test_the_answer_that_came_fastest_counts() -> None:
    loop = asyncio.get_running_loop()
    clock = Clock(loop)
    assert clock.now() == pytest.approx(loop.time(), abs=60)
    clock.set(1e9, loop.time() - 1)
    assert clock.now() == pytest.approx(1e9, abs=60)
    clock.set(2e9, loop.time() - 1000)
    assert clock.now() == pytest.approx(1e9, abs=60), "asked long before it was answered"
    clock.set(3e9, loop.time())
    assert clock.now() == pytest.approx(3e9, abs=60)
