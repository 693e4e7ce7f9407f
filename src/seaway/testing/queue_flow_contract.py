"""The contract of deliveries as tests: ack, nack, leases, and arguments that cannot be.

What lives here: one test per sentence of `seaway.layers.queues` on these.
What must not: what operators do (`queue_operator_contract`), room (`queue_room_contract`), or what
only one engine does.
"""
# ruff: noqa: S101  asserts are what a test suite consists of

from __future__ import annotations

import asyncio
import math

import pytest

from seaway.exceptions import InvalidName, LayerUnavailable
from seaway.layers.queues import QueueState
from seaway.testing.contract_support import PATIENCE, Contract, Start, eventually
from seaway.testing.queue_contract import CHANNEL, LONG, take, take_all, take_one


@pytest.mark.asyncio
class QueueFlowContract(Contract):
    """What becomes of deliveries."""

    async def test_what_is_acknowledged_is_gone(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.send(CHANNEL, b"x")
        delivery = await take_one(there.layer)
        assert await here.layer.queue_state(CHANNEL) == QueueState(held=1)
        assert await there.layer.ack(delivery)
        assert not await there.layer.ack(delivery)
        assert await here.layer.queue_state(CHANNEL) == QueueState()
        assert list(await take(here.layer, wait=0.0)) == []

    async def test_what_one_holds_no_other_gets(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.send(CHANNEL, b"x")
        await take_one(here.layer)
        assert list(await take(there.layer, wait=0.2)) == []

    async def test_another_process_may_acknowledge(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.send(CHANNEL, b"x")
        delivery = await take_one(here.layer)
        assert await there.layer.ack(delivery)
        assert not await here.layer.ack(delivery)

    # Leases --------------------------------------------------------------------------------------

    async def test_after_its_lease_it_is_handed_out_again(self, start: Start) -> None:
        here, there = await start(2)
        id_ = await here.layer.send(CHANNEL, b"x")
        [first] = await here.layer.receive(CHANNEL, wait=PATIENCE, lease=0.4)
        await self.pass_time(0.6)
        second = await take_one(there.layer)
        assert (second.id, second.data, second.attempt) == (id_, b"x", 2)
        assert second.receipt != first.receipt
        assert not await here.layer.ack(first)
        assert not await here.layer.nack(first, dead=True)
        assert not await here.layer.extend(first, LONG)
        assert await there.layer.ack(second)
        assert await here.layer.queue_state(CHANNEL) == QueueState()

    async def test_a_waiting_receiver_gets_what_another_held_too_long(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.send(CHANNEL, b"x")
        await here.layer.receive(CHANNEL, wait=PATIENCE, lease=0.4)
        waiting = asyncio.create_task(take(there.layer))
        await self.pass_time(0.6)
        assert [delivery.attempt for delivery in await waiting] == [2]

    async def test_extended_it_is_held_longer(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.send(CHANNEL, b"x")
        [delivery] = await here.layer.receive(CHANNEL, wait=PATIENCE, lease=2.0)
        assert await here.layer.extend(delivery, LONG)
        await self.pass_time(2.2)
        assert list(await take(there.layer, wait=0.0)) == []
        assert await here.layer.ack(delivery)

    async def test_extended_by_less_it_is_held_shorter(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.send(CHANNEL, b"x")
        delivery = await take_one(here.layer)
        assert await here.layer.extend(delivery, 0.2)
        await self.pass_time(0.4)
        assert (await take_one(there.layer)).attempt == 2

    async def test_it_is_dead_after_as_many_leases_as_tries(self, start: Start) -> None:
        [here] = await start(1)
        id_ = await here.layer.send(CHANNEL, b"x")
        for attempt in (1, 2):
            [delivery] = await here.layer.receive(CHANNEL, wait=PATIENCE, lease=0.3, tries=2)
            assert delivery.attempt == attempt
            await self.pass_time(0.4)
        [letter] = await eventually(
            lambda: here.layer.dead_letters(CHANNEL), lambda letters: len(letters) == 1
        )
        assert (letter.id, letter.data, letter.attempts) == (id_, b"x", 2)
        assert "lease" in letter.reason
        assert await here.layer.queue_state(CHANNEL) == QueueState(dead=1)

    # Giving back ---------------------------------------------------------------------------------

    async def test_what_is_given_back_is_handed_out_again(self, start: Start) -> None:
        here, there = await start(2)
        id_ = await here.layer.send(CHANNEL, b"x")
        await here.layer.send(CHANNEL, b"y")
        first = await take_one(here.layer)
        assert await here.layer.nack(first)
        assert not await here.layer.ack(first)
        again = await take_one(there.layer)
        assert (again.id, again.data, again.attempt) == (id_, b"x", 2)

    async def test_released_it_is_handed_out_again_and_that_does_not_count(
        self, start: Start
    ) -> None:
        (here,) = await start(1)
        for data in (b"first", b"second"):
            await here.layer.send(CHANNEL, data)
        for _ in range(3):
            first = (await here.layer.receive(CHANNEL, wait=PATIENCE, tries=1))[0]
            second = (await here.layer.receive(CHANNEL, wait=PATIENCE, tries=1))[0]
            assert (first.data, first.attempt) == (b"first", 1)
            assert (second.data, second.attempt) == (b"second", 1)
            assert await here.layer.release(first)
            assert not await here.layer.release(first)
            assert await here.layer.queue_state(CHANNEL) == QueueState(waiting=1, held=1)
            assert await here.layer.release(second)
        assert await here.layer.queue_state(CHANNEL) == QueueState(waiting=2)

    async def test_given_back_with_a_delay_it_comes_later(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.send(CHANNEL, b"x")
        assert await here.layer.nack(await take_one(here.layer), delay=0.7)
        assert list(await take(there.layer, wait=0.0)) == []
        assert await here.layer.queue_state(CHANNEL) == QueueState(delayed=1)
        await self.pass_time(0.8)
        assert (await take_one(there.layer)).attempt == 2

    async def test_given_up_it_is_dead(self, start: Start) -> None:
        [here] = await start(1)
        id_ = await here.layer.send(CHANNEL, b"x")
        delivery = await take_one(here.layer)
        assert await here.layer.nack(delivery, dead=True, reason="no such file")
        assert list(await take(here.layer, wait=0.0)) == []
        [letter] = await here.layer.dead_letters(CHANNEL)
        assert (letter.id, letter.data, letter.attempts) == (id_, b"x", 1)
        assert letter.reason == "no such file"

    async def test_given_back_after_its_last_try_it_is_dead(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.send(CHANNEL, b"x")
        for _ in range(3):
            [delivery] = await here.layer.receive(CHANNEL, wait=PATIENCE, lease=LONG, tries=3)
            assert await here.layer.nack(delivery, reason="not\nyet")
        [letter] = await here.layer.dead_letters(CHANNEL)
        assert letter.attempts == 3
        assert letter.reason == "not yet"
        assert list(await take(here.layer, wait=0.0)) == []

    # Arguments -----------------------------------------------------------------------------------

    @pytest.mark.parametrize("name", ["", "with space", "n" * 201])
    async def test_illegal_channel_names_are_refused(self, start: Start, name: str) -> None:
        [here] = await start(1)
        layer = here.layer
        attempts = [
            layer.send(name, b"x"),
            layer.send(CHANNEL, b"x", order=name or "\n"),
            layer.send(CHANNEL, b"x", once=name or "\n"),
            layer.receive(name),
            layer.close_channel(name),
            layer.open_channel(name),
            layer.queue_state(name),
            layer.purge(name),
            layer.dead_letters(name),
            layer.replay(name),
            layer.discard(name),
        ]
        for attempt in attempts:
            with pytest.raises(InvalidName, match="legal"):
                await attempt
        assert list(await layer.channels()) == []

    async def test_every_legal_channel_name_is_good(self, start: Start) -> None:
        here, there = await start(2)
        marks = "".join(chr(code) for code in range(33, 127) if chr(code) not in '"\\')
        names = (marks, "n" * 200, "{braces}", "a*?[b]", "a.b.>")
        for name in names:
            id_ = await here.layer.send(name, b"x", order=marks, once=marks)
            assert await there.layer.send(name, b"x", order=marks, once=marks) == id_
            [delivery] = await there.layer.receive(name, wait=PATIENCE, lease=LONG)
            assert delivery.channel == name
        assert list(await here.layer.channels()) == sorted(names)

    async def test_numbers_that_make_no_sense_are_refused(self, start: Start) -> None:
        [here] = await start(1)
        layer = here.layer
        await layer.send(CHANNEL, b"x")
        delivery = await take_one(layer)
        attempts = [
            layer.send(CHANNEL, b"x", capacity=0),
            layer.send(CHANNEL, b"x", wait=-1.0),
            layer.send(CHANNEL, b"x", delay=math.nan),
            layer.send(CHANNEL, b"x", ttl=-1.0),
            layer.receive(CHANNEL, limit=0),
            layer.receive(CHANNEL, tries=0),
            layer.receive(CHANNEL, lease=0.0),
            layer.receive(CHANNEL, wait=math.nan),
            layer.nack(delivery, delay=-1.0),
            layer.extend(delivery, 0.0),
            layer.dead_letters(CHANNEL, limit=0),
            layer.dead_letters(CHANNEL, skip=-1),
        ]
        for attempt in attempts:
            with pytest.raises(ValueError):  # noqa: PT011  its words are the engine's
                await attempt
        assert await layer.queue_state(CHANNEL) == QueueState(held=1)

    async def test_a_closed_layer_ends_the_waiting(self, start: Start) -> None:
        here, there = await start(2)
        await there.layer.send(CHANNEL, b"full", capacity=1)
        waiting = [
            asyncio.create_task(here.layer.receive("another", wait=math.inf)),
            asyncio.create_task(here.layer.send(CHANNEL, b"x", capacity=1, wait=math.inf)),
        ]
        await asyncio.sleep(0.1)
        await here.layer.close()
        for task in waiting:
            with pytest.raises(LayerUnavailable):
                await asyncio.wait_for(task, PATIENCE)
        with pytest.raises(LayerUnavailable):
            await here.layer.send(CHANNEL, b"x")
        assert await take_all(there.layer, 1) == [b"full"]
        assert list(await take(there.layer, wait=0.1)) == []
