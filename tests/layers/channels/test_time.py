"""The Channels API as time goes by: what is too old, and who has gone."""

from __future__ import annotations

import asyncio

from tests.layers.channels.support import Anyone, Clock, Make, nothing_comes, soon


async def test_a_message_that_is_too_old_is_not_received(make: Make, clock: Clock) -> None:
    layer = make(expiry=60)
    channel = await layer.new_channel()
    await layer.send(channel, {"n": 1})
    clock.advance(30)
    await layer.send(channel, {"n": 2})
    clock.advance(31)
    assert await soon(layer, channel) == {"n": 2}
    await nothing_comes(layer, channel)
    await layer.send(channel, {"n": 3})
    assert await soon(layer, channel) == {"n": 3}


async def test_a_message_that_is_too_old_is_not_received_from_a_plain_channel(make: Make) -> None:
    layer = make(expiry=0.05)  # by the engine's clock
    await layer.send("plain", {"n": 1})
    await asyncio.sleep(0.1)
    await nothing_comes(layer, "plain")


async def test_an_abandoned_member_goes(make: Make, clock: Clock) -> None:
    layer = make(expiry=60)
    channel = await layer.new_channel()
    await layer.group_add("test-group", channel)
    await layer.group_send("test-group", {"n": 1})
    assert len(layer.channels) == 1
    clock.advance(60)
    await layer.group_send("test-group", {"n": 2})
    assert await layer.group_channels("test-group") == [channel]
    clock.advance(60)
    await nothing_comes(layer, channel)
    assert len(layer.channels) == 0
    assert (await layer.statistics())["expired"] == 2
    await until_members(layer, "test-group", 0)


async def test_a_member_that_reads_late_stays_one(make: Make, clock: Clock) -> None:
    layer = make(expiry=3)
    channel = await layer.new_channel()
    await layer.group_add("test-group", channel)
    for number in range(3):
        clock.advance(2)
        await layer.group_send("test-group", {"n": number})
    assert await soon(layer, channel) == {"n": 1}  # of 0 the time is past
    assert await soon(layer, channel) == {"n": 2}
    clock.advance(10)
    await layer.group_send("test-group", {"n": 3})
    assert await soon(layer, channel) == {"n": 3}


async def until_members(layer: Anyone, group: str, number: int) -> None:
    async with asyncio.timeout(10):
        while await layer.group_count(group) != number:  # noqa: ASYNC110  others end it
            await asyncio.sleep(0.001)


async def test_a_membership_ends_after_its_time(make: Make, clock: Clock) -> None:
    layer = make(group_expiry=100)
    old, renewed = await layer.new_channel(), await layer.new_channel()
    for channel in (old, renewed):
        await layer.group_add("test-group", channel)
    clock.advance(60)
    await layer.group_add("test-group", renewed)
    clock.advance(60)
    await layer.group_send("test-group", {"n": 1})
    assert await soon(layer, renewed) == {"n": 1}
    await nothing_comes(layer, old)
    assert await layer.group_channels("test-group") == [renewed]
