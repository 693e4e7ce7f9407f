"""What is missed while an engine is away: made good, or counted, logged and told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from seaway.layers.channels import feed
from seaway.layers.channels.layer import ChannelLayer
from tests.layers.channels.support import Processes, members, processes, soon


@pytest.fixture
async def found() -> AsyncIterator[Processes]:
    async with processes() as found:
        yield found


class Outage:
    """While it lasts, what is announced does not reach a process."""

    def __init__(self, layer: ChannelLayer) -> None:
        self.hub = layer._home().hub
        self.received = self.hub.published

    def begin(self) -> None:
        self.hub.published = lambda topic, publication: None  # type: ignore[method-assign]  # lost

    def end(self) -> None:
        self.hub.published = self.received  # type: ignore[method-assign]  # as it was


async def test_a_short_outage_is_made_good(found: Processes) -> None:
    here, there = await found.start(), await found.start()
    (channel,) = await members(there, "group", 1)
    outage = Outage(there)
    outage.begin()
    for number in range(3):
        await here.group_send("group", {"n": number})
    outage.end()
    await here.group_send("group", {"n": 3})
    assert [(await soon(there, channel))["n"] for _ in range(4)] == [0, 1, 2, 3]
    assert (await there.statistics())["gaps"] == 0


async def test_what_is_gone_for_good_is_counted_logged_and_told(
    found: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    here = await found.start(capacity=1000)
    there = await found.start(capacity=1000, on_gap="layer.gap")
    (channel,) = await members(there, "group", 1)
    await here.group_send("group", {"n": 0})
    assert await soon(there, channel) == {"n": 0}
    outage = Outage(there)
    outage.begin()
    lost = feed.HISTORY.size + 20
    for number in range(lost):
        await here.group_send("group", {"n": number})
    outage.end()
    await here.group_send("group", {"n": "seen by its hole"})
    told: dict[str, Any] = await soon(there, channel)
    assert told == {"type": "layer.gap", "group": "group", "missed": lost + 1}
    assert (await there.statistics())["missed"] == lost + 1
    assert f"{lost + 1} messages to groups missed" in caplog.text
    await here.group_send("group", {"n": "after"})
    assert await soon(there, channel) == {"n": "after"}


async def test_a_sender_whose_own_process_has_a_gap_does_not_wait_for_ever(
    found: Processes,
) -> None:
    layer = await found.start(capacity=1000)
    layer._home().layer.timeout = 600
    await members(layer, "group", 1)
    outage = Outage(layer)
    outage.begin()
    sending = [
        asyncio.ensure_future(layer.group_send("group", {"n": number}))
        for number in range(feed.HISTORY.size + 20)
    ]
    await asyncio.sleep(0)
    outage.end()
    async with asyncio.timeout(20):
        await asyncio.gather(*sending, layer.group_send("group", {"n": "seen by its hole"}))
