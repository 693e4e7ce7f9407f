"""The contract of a channel's room as tests: capacity, waiting for it, and closing.

What lives here: one test per sentence of `seaway.layers.queues` on these.
What must not: what only one engine does.
"""
# ruff: noqa: S101  asserts are what a test suite consists of

from __future__ import annotations

import asyncio
import math

import pytest

from seaway.exceptions import ChannelClosed, ChannelFull
from seaway.layers.queues import QueueState
from seaway.testing.contract_support import PATIENCE, Contract, Start
from seaway.testing.queue_contract import CHANNEL, LONG, take, take_all, take_one


@pytest.mark.asyncio
class QueueRoomContract(Contract):
    """Capacity and closing."""

    async def test_a_channel_holds_as_many_as_its_sender_says(self, start: Start) -> None:
        here, there = await start(2)
        for n in range(3):
            await here.layer.send(CHANNEL, b"%d" % n, capacity=3)
        with pytest.raises(ChannelFull, match=CHANNEL):
            await there.layer.send(CHANNEL, b"3", capacity=3)
        await there.layer.send(CHANNEL, b"3", capacity=4)
        assert await take_all(here.layer, 4) == [b"0", b"1", b"2", b"3"]

    async def test_delayed_and_held_messages_take_room(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.send(CHANNEL, b"held", capacity=2)
        await take_one(here.layer)
        await here.layer.send(CHANNEL, b"delayed", capacity=2, delay=LONG)
        with pytest.raises(ChannelFull):
            await here.layer.send(CHANNEL, b"x", capacity=2)

    async def test_dead_letters_take_no_room(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.send(CHANNEL, b"x", capacity=1)
        await here.layer.nack(await take_one(here.layer), dead=True)
        await here.layer.send(CHANNEL, b"y", capacity=1)
        assert await here.layer.queue_state(CHANNEL) == QueueState(waiting=1, dead=1)

    async def test_a_sender_waits_for_room(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.send(CHANNEL, b"0", capacity=1)
        sending = asyncio.create_task(here.layer.send(CHANNEL, b"1", capacity=1, wait=PATIENCE))
        delivery = await take_one(there.layer)
        await asyncio.sleep(0.1)
        assert not sending.done()
        assert await there.layer.ack(delivery)
        await sending
        assert await take_all(there.layer, 1) == [b"1"]

    async def test_a_sender_waits_so_long_and_no_longer(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.send(CHANNEL, b"0", capacity=1)
        with pytest.raises(ChannelFull):
            await here.layer.send(CHANNEL, b"1", capacity=1, wait=0.2)
        assert await take_all(here.layer, 1) == [b"0"]
        assert list(await take(here.layer, wait=0.2)) == []

    async def test_all_waiting_senders_get_in(self, start: Start) -> None:
        here, there, elsewhere = await start(3)
        sending = [
            asyncio.create_task(process.layer.send(CHANNEL, b"%d" % n, capacity=2, wait=math.inf))
            for n, process in enumerate([here, there, here, there, here, there])
        ]
        got = await take_all(elsewhere.layer, 6)
        await asyncio.gather(*sending)
        assert sorted(got) == [b"%d" % n for n in range(6)]

    # Closing -------------------------------------------------------------------------------------

    async def test_a_closed_channel_gives_what_it_has_and_takes_no_more(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.send(CHANNEL, b"x")
        await there.layer.close_channel(CHANNEL)
        with pytest.raises(ChannelClosed, match=CHANNEL):
            await here.layer.send(CHANNEL, b"y")
        assert (await here.layer.queue_state(CHANNEL)).closed
        assert await take_all(here.layer, 1) == [b"x"]
        with pytest.raises(ChannelClosed, match=CHANNEL):
            await take(there.layer, wait=LONG)

    async def test_what_is_held_in_a_closed_channel_may_come_back(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.send(CHANNEL, b"x")
        delivery = await take_one(here.layer)
        await here.layer.close_channel(CHANNEL)
        assert list(await take(there.layer, wait=0.0)) == []
        assert await here.layer.nack(delivery)
        again = await take_one(there.layer)
        waiting = asyncio.create_task(take(here.layer, wait=LONG))
        await asyncio.sleep(0.1)
        assert await there.layer.ack(again)
        with pytest.raises(ChannelClosed):
            await asyncio.wait_for(waiting, PATIENCE)

    async def test_waiting_receivers_learn_of_the_close(self, start: Start) -> None:
        here, there = await start(2)
        waiting = asyncio.create_task(take(there.layer, wait=math.inf))
        await asyncio.sleep(0.1)
        await here.layer.close_channel(CHANNEL)
        with pytest.raises(ChannelClosed):
            await asyncio.wait_for(waiting, PATIENCE)

    async def test_waiting_senders_learn_of_the_close(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.send(CHANNEL, b"0", capacity=1)
        sending = asyncio.create_task(there.layer.send(CHANNEL, b"1", capacity=1, wait=math.inf))
        await asyncio.sleep(0.1)
        await here.layer.close_channel(CHANNEL)
        with pytest.raises(ChannelClosed):
            await asyncio.wait_for(sending, PATIENCE)
        assert await take_all(here.layer, 1) == [b"0"]

    async def test_a_channel_can_be_opened_again(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.close_channel(CHANNEL)
        await here.layer.close_channel(CHANNEL)
        await there.layer.open_channel(CHANNEL)
        await there.layer.open_channel(CHANNEL)
        await here.layer.send(CHANNEL, b"x")
        assert await take_all(there.layer, 1) == [b"x"]
