"""The contract of channels as tests: what is sent, who receives it, and when.

What lives here: one test per sentence of `Queues.send` and `Queues.receive`.
What must not: what becomes of deliveries (`queue_flow_contract`), orders
(`queue_order_contract`), or what only one engine does.
"""
# ruff: noqa: S101  asserts are what a test suite consists of

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest

from seaway.exceptions import PayloadTooLarge
from seaway.layers.base import Layer
from seaway.layers.queues import Delivery, QueueState
from seaway.testing.contract_support import PATIENCE, Contract, Start, eventually

CHANNEL = "thumbnails"
#: A lease that no test outlives.
LONG = 300.0


async def take(layer: Layer, limit: int = 1, wait: float = PATIENCE) -> Sequence[Delivery]:
    """Receive and wait for it."""
    return await layer.receive(CHANNEL, limit=limit, wait=wait, lease=LONG)


async def take_one(layer: Layer) -> Delivery:
    found = await take(layer)
    assert len(found) == 1, "waited in vain for a message"
    return found[0]


async def take_all(layer: Layer, count: int) -> list[bytes]:
    """The data of so many messages, acknowledged one by one in the order in which they came."""
    got: list[bytes] = []
    while len(got) < count:
        found = await take(layer, count - len(got))
        assert found, f"waited in vain for more than {got}"
        for delivery in found:
            assert await layer.ack(delivery)
            got.append(delivery.data)
    return got


@pytest.mark.asyncio
class QueueContract(Contract):
    """Sending and receiving."""

    async def test_a_message_reaches_a_receiver_in_another_process(self, start: Start) -> None:
        here, there = await start(2)
        id_ = await here.layer.send(CHANNEL, b"x")
        delivery = await take_one(there.layer)
        assert (delivery.channel, delivery.id, delivery.data) == (CHANNEL, id_, b"x")
        assert delivery.attempt == 1
        assert await there.layer.ack(delivery)

    async def test_each_message_reaches_one_receiver(self, start: Start) -> None:
        senders = await start(2)
        receivers = await start(2)
        got: list[Delivery] = []

        async def receive(layer: Layer) -> None:
            while len(got) < 60:
                found = await take(layer, limit=5, wait=0.5)
                got.extend(found)
                for delivery in found:
                    assert await layer.ack(delivery)

        async def send(layer: Layer, name: bytes) -> None:
            for n in range(30):
                await layer.send(CHANNEL, name + b"%d" % n)

        await asyncio.gather(
            *(receive(process.layer) for process in receivers),
            *(send(process.layer, b"%d-" % n) for n, process in enumerate(senders)),
        )
        assert sorted(delivery.data for delivery in got) == sorted(
            b"%d-%d" % (sender, n) for sender in range(2) for n in range(30)
        )
        assert {delivery.attempt for delivery in got} == {1}

    async def test_the_oldest_come_first(self, start: Start) -> None:
        here, there = await start(2)
        for n in range(12):
            await here.layer.send(CHANNEL, b"%d" % n)
        assert await take_all(there.layer, 12) == [b"%d" % n for n in range(12)]

    async def test_many_sends_at_once_keep_the_order_in_which_they_were_made(
        self, start: Start
    ) -> None:
        here, there = await start(2)
        ids = await asyncio.gather(*(here.layer.send(CHANNEL, b"%d" % n) for n in range(50)))
        assert len(set(ids)) == 50
        assert await take_all(there.layer, 50) == [b"%d" % n for n in range(50)]

    async def test_data_of_a_message_is_carried_as_it_is(self, start: Start) -> None:
        here, there = await start(2)
        payloads = [b"", bytes(range(256)), b"\r\n\x00", "ü€".encode(), b"z" * 300_000]
        for payload in payloads:
            await here.layer.send(CHANNEL, payload)
        assert await take_all(there.layer, len(payloads)) == payloads

    async def test_at_most_limit_are_received(self, start: Start) -> None:
        [here] = await start(1)
        for n in range(5):
            await here.layer.send(CHANNEL, b"%d" % n)
        assert len(await take(here.layer, limit=3)) <= 3

    async def test_large_messages_come_whatever_the_limit(self, start: Start) -> None:
        here, there = await start(2)
        payloads = [bytes([n]) * here.layer.max_data for n in range(6)]
        for payload in payloads:
            await here.layer.send(CHANNEL, payload)
        assert await take_all(there.layer, 6) == payloads

    async def test_channels_are_separate(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.send("another", b"x")
        assert list(await take(here.layer, wait=0.0)) == []

    async def test_a_topic_and_a_channel_of_one_name_are_two_things(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.publish(CHANNEL, b"event")
        await here.layer.send(CHANNEL, b"message")
        assert (await take_one(here.layer)).data == b"message"
        assert (await here.layer.position(CHANNEL)).offset == 1

    # Waiting -------------------------------------------------------------------------------------

    async def test_nothing_is_received_from_an_empty_channel(self, start: Start) -> None:
        [here] = await start(1)
        assert list(await here.layer.receive(CHANNEL)) == []
        assert list(await here.layer.receive(CHANNEL, wait=0.2)) == []

    async def test_a_receiver_waits_for_a_message(self, start: Start) -> None:
        here, there = await start(2)
        waiting = asyncio.create_task(take(there.layer))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await here.layer.send(CHANNEL, b"x")
        assert [delivery.data for delivery in await waiting] == [b"x"]

    async def test_a_receiver_waits_for_ever(self, start: Start) -> None:
        here, there = await start(2)
        waiting = asyncio.create_task(take(there.layer, wait=math.inf))
        await asyncio.sleep(0.1)
        await here.layer.send(CHANNEL, b"x")
        assert [delivery.data for delivery in await waiting] == [b"x"]

    async def test_every_waiting_receiver_gets_one(self, start: Start) -> None:
        here, there, elsewhere = await start(3)
        layers = [there.layer, elsewhere.layer, there.layer]
        waiting = [asyncio.create_task(take(layer)) for layer in layers]
        await asyncio.sleep(0.1)
        for n in range(3):
            await here.layer.send(CHANNEL, b"%d" % n)
        got = [delivery.data for found in await asyncio.gather(*waiting) for delivery in found]
        assert sorted(got) == [b"0", b"1", b"2"]

    async def test_a_cancelled_receiver_leaves_no_message_in_nobodys_hands(
        self, start: Start
    ) -> None:
        here, there = await start(2)
        kept: list[Delivery] = []
        for n in range(15):
            waiting = asyncio.create_task(take(there.layer, limit=2))
            sending = asyncio.create_task(here.layer.send(CHANNEL, b"%d" % n))
            # Now before, now while, now after the message is on its way.
            for _ in range(n % 8):
                await asyncio.sleep(0)
            if n % 3 == 0:
                await sending
            waiting.cancel()
            [result] = await asyncio.gather(waiting, return_exceptions=True)
            if not isinstance(result, BaseException):
                kept.extend(result)
            await sending
        while len(kept) < 15:
            kept.append(await take_one(there.layer))
        assert sorted(delivery.data for delivery in kept) == sorted(b"%d" % n for n in range(15))
        assert {delivery.attempt for delivery in kept} == {1}

    # Delay and time to live ----------------------------------------------------------------------

    async def test_a_delayed_message_is_received_later(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.send(CHANNEL, b"late", delay=0.7)
        assert list(await take(there.layer, wait=0.0)) == []
        assert await here.layer.queue_state(CHANNEL) == QueueState(delayed=1)
        await self.pass_time(0.8)
        assert (await take_one(there.layer)).data == b"late"

    async def test_a_waiting_receiver_gets_what_becomes_due(self, start: Start) -> None:
        here, there = await start(2)
        waiting = asyncio.create_task(take(there.layer))
        await here.layer.send(CHANNEL, b"late", delay=0.3)
        await self.pass_time(0.4)
        assert [delivery.data for delivery in await waiting] == [b"late"]

    async def test_others_overtake_a_delayed_message(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.send(CHANNEL, b"late", delay=0.3)
        await here.layer.send(CHANNEL, b"now")
        assert await take_all(here.layer, 1) == [b"now"]
        await self.pass_time(0.4)
        assert await take_all(here.layer, 1) == [b"late"]

    async def test_a_message_is_dropped_after_its_time_to_live(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.send(CHANNEL, b"short", ttl=0.2)
        await here.layer.send(CHANNEL, b"long", ttl=LONG)
        await self.pass_time(0.4)
        assert await take_all(here.layer, 1) == [b"long"]
        assert list(await take(here.layer, wait=0.0)) == []

    async def test_what_was_handed_out_is_not_dropped(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.send(CHANNEL, b"x", ttl=1.5)
        delivery = await take_one(here.layer)
        await self.pass_time(1.6)
        assert await here.layer.nack(delivery)
        assert (await take_one(here.layer)).attempt == 2

    async def test_what_was_put_back_unseen_is_dropped_in_its_time(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.send(CHANNEL, b"late", ttl=1.5)
        assert await here.layer.release(await take_one(here.layer))
        late = await take_one(here.layer)
        await here.layer.send(CHANNEL, b"soon", ttl=1.5)
        assert await here.layer.release(await take_one(here.layer))
        await self.pass_time(1.6)
        assert await here.layer.release(late)
        assert list(await take(here.layer, wait=0.0)) == []
        assert await here.layer.queue_state(CHANNEL) == QueueState()

    async def test_for_ever_is_a_time_like_others(self, start: Start) -> None:
        here, there = await start(2)
        for seconds in (1e15, math.inf):
            await here.layer.send(CHANNEL, b"later", delay=seconds)
            await here.layer.send(CHANNEL, b"kept", ttl=seconds)
            [kept] = await there.layer.receive(CHANNEL, lease=seconds, wait=PATIENCE)
            assert kept.data == b"kept"
            assert await here.layer.extend(kept, seconds)
            assert await there.layer.nack(kept, delay=seconds)
            assert await here.layer.queue_state(CHANNEL) == QueueState(delayed=2)
            assert await there.layer.queue_state(CHANNEL) == QueueState(delayed=2)
            assert await there.layer.purge(CHANNEL) == 2

    # Sizes ---------------------------------------------------------------------------------------

    async def test_a_message_over_the_limit_is_refused_and_not_sent(self, start: Start) -> None:
        [here] = await start(1)
        with pytest.raises(PayloadTooLarge, match="limit"):
            await here.layer.send(CHANNEL, b"x" * (here.layer.max_data + 1))
        await eventually(
            lambda: here.layer.queue_state(CHANNEL), lambda state: state == QueueState()
        )
