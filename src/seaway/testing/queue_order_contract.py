"""The contract of what one message has to do with another, as tests: orders, and once.

What lives here: one test per sentence of `Queues.send` on these.
What must not: what only one engine does.
"""
# ruff: noqa: S101  asserts are what a test suite consists of

from __future__ import annotations

import asyncio

import pytest

from seaway.layers.queues import Delivery, QueueState
from seaway.testing.contract_support import Contract, Start
from seaway.testing.queue_contract import CHANNEL, take, take_all, take_one


@pytest.mark.asyncio
class QueueOrderContract(Contract):
    """Orders, and once."""

    async def test_of_one_order_the_next_comes_after_the_one_before(self, start: Start) -> None:
        here, there = await start(2)
        for data in (b"a1", b"a2", b"a3"):
            await here.layer.send(CHANNEL, data, order="a")
        for data in (b"a1", b"a2", b"a3"):
            [delivery] = await take(there.layer, limit=10)
            assert delivery.data == data
            assert list(await take(here.layer, wait=0.0)) == []
            assert await there.layer.ack(delivery)
        assert await here.layer.queue_state(CHANNEL) == QueueState()

    async def test_others_overtake_an_order(self, start: Start) -> None:
        [here] = await start(1)
        for data, order in ((b"a1", "a"), (b"a2", "a"), (b"b1", "b"), (b"none", "")):
            await here.layer.send(CHANNEL, data, order=order)
        got: list[Delivery] = []
        while len(got) < 3:
            got += await take(here.layer, limit=10)
        assert [delivery.data for delivery in got] == [b"a1", b"b1", b"none"]
        assert (await here.layer.queue_state(CHANNEL)).waiting == 1

    async def test_an_order_goes_on_for_a_waiting_receiver(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.send(CHANNEL, b"a1", order="a")
        await here.layer.send(CHANNEL, b"a2", order="a")
        first = await take_one(here.layer)
        waiting = asyncio.create_task(take(there.layer))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert await here.layer.ack(first)
        assert [delivery.data for delivery in await waiting] == [b"a2"]

    async def test_an_order_waits_for_what_is_tried_again(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.send(CHANNEL, b"a1", order="a")
        await here.layer.send(CHANNEL, b"a2", order="a")
        assert await here.layer.nack(await take_one(here.layer), delay=0.5)
        assert list(await take(here.layer, wait=0.0)) == []
        await self.pass_time(0.6)
        assert await take_all(here.layer, 2) == [b"a1", b"a2"]

    async def test_an_order_goes_on_after_a_death(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.send(CHANNEL, b"a1", order="a")
        await here.layer.send(CHANNEL, b"a2", order="a")
        assert await here.layer.nack(await take_one(here.layer), dead=True)
        assert await take_all(here.layer, 1) == [b"a2"]

    async def test_a_delay_holds_up_its_order(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.send(CHANNEL, b"a1", order="a", delay=0.3)
        await here.layer.send(CHANNEL, b"a2", order="a")
        assert list(await take(here.layer, wait=0.0)) == []
        await self.pass_time(0.4)
        assert await take_all(here.layer, 2) == [b"a1", b"a2"]

    # Once ----------------------------------------------------------------------------------------

    async def test_sent_twice_with_once_it_is_there_once(self, start: Start) -> None:
        here, there = await start(2)
        id_ = await here.layer.send(CHANNEL, b"first", once="order-7")
        assert await there.layer.send(CHANNEL, b"second", once="order-7") == id_
        assert await take_all(here.layer, 1) == [b"first"]
        assert await here.layer.send(CHANNEL, b"third", once="order-7") == id_
        assert list(await take(here.layer, wait=0.0)) == []

    async def test_once_counts_in_its_own_channel(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.send("another", b"x", once="order-7")
        await here.layer.send(CHANNEL, b"y", once="order-7")
        await here.layer.send(CHANNEL, b"z", once="order-8")
        assert await take_all(here.layer, 2) == [b"y", b"z"]

    async def test_of_many_at_once_one_is_sent(self, start: Start) -> None:
        processes = await start(3)
        ids = await asyncio.gather(
            *(process.layer.send(CHANNEL, b"x", once="k") for process in processes * 3)
        )
        assert len(set(ids)) == 1
        assert await processes[0].layer.queue_state(CHANNEL) == QueueState(waiting=1)

    async def test_what_was_sent_before_needs_no_room(self, start: Start) -> None:
        [here] = await start(1)
        id_ = await here.layer.send(CHANNEL, b"x", once="k", capacity=1)
        assert await here.layer.send(CHANNEL, b"x", once="k", capacity=1) == id_
