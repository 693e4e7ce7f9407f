"""The contract of what operators do with channels, as tests: looking, purging, dead letters.

What lives here: one test per sentence of `seaway.layers.queues` on these.
What must not: anything that only one engine does.
"""
# ruff: noqa: S101  asserts are what a test suite consists of

from __future__ import annotations

import asyncio
import time

import pytest

from seaway.layers.base import Layer
from seaway.layers.queues import QueueState
from seaway.testing.contract_support import Contract, Start
from seaway.testing.queue_contract import CHANNEL, LONG, take, take_all, take_one


async def kill(layer: Layer, *payloads: bytes, order: str = "") -> list[str]:
    """Make dead letters of these; returns their ids."""
    ids = []
    for payload in payloads:
        ids.append(await layer.send(CHANNEL, payload, order=order))
        assert await layer.nack(await take_one(layer), dead=True, reason="killed")
    return ids


@pytest.mark.asyncio
class QueueOperatorContract(Contract):
    """Channels in numbers, and dead letters."""

    async def test_a_channel_in_numbers(self, start: Start) -> None:
        here, there = await start(2)
        assert await here.layer.queue_state(CHANNEL) == QueueState()
        await kill(here.layer, b"dead")
        await here.layer.send(CHANNEL, b"held", order="a")
        await take_one(here.layer)
        await here.layer.send(CHANNEL, b"behind", order="a")
        await here.layer.send(CHANNEL, b"waiting")
        await here.layer.send(CHANNEL, b"delayed", delay=LONG)
        await here.layer.close_channel(CHANNEL)
        assert await there.layer.queue_state(CHANNEL) == QueueState(
            waiting=2, delayed=1, held=1, dead=1, closed=True
        )

    async def test_the_channels_in_use_are_listed(self, start: Start) -> None:
        here, there = await start(2)
        assert list(await here.layer.channels()) == []
        await here.layer.send("b-waiting", b"x")
        await here.layer.send("d-delayed", b"x", delay=LONG)
        await here.layer.close_channel("a-closed")
        await kill(here.layer, b"dead")
        await here.layer.send("used-up", b"x")
        for delivery in await here.layer.receive("used-up", wait=LONG):
            await here.layer.ack(delivery)
        assert list(await there.layer.channels()) == [
            "a-closed", "b-waiting", "d-delayed", CHANNEL,
        ]  # fmt: skip

    async def test_purging_removes_all_but_dead_letters(self, start: Start) -> None:
        here, there = await start(2)
        await kill(here.layer, b"dead")
        await here.layer.send(CHANNEL, b"held", order="a")
        delivery = await take_one(here.layer)
        await here.layer.send(CHANNEL, b"behind", order="a")
        await here.layer.send(CHANNEL, b"delayed", delay=LONG)
        await here.layer.send(CHANNEL, b"waiting")
        assert await there.layer.purge(CHANNEL) == 4
        assert await here.layer.queue_state(CHANNEL) == QueueState(dead=1)
        assert not await here.layer.ack(delivery)
        assert await there.layer.purge(CHANNEL) == 0
        await here.layer.send(CHANNEL, b"next", order="a", capacity=1)
        assert await take_all(there.layer, 1) == [b"next"]

    async def test_purging_makes_room(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.send(CHANNEL, b"x", capacity=1)
        await there.layer.purge(CHANNEL)
        await here.layer.send(CHANNEL, b"y", capacity=1)

    async def test_dead_letters_are_listed_the_oldest_first(self, start: Start) -> None:
        here, there = await start(2)
        assert list(await there.layer.dead_letters(CHANNEL)) == []
        ids = await kill(here.layer, b"0", b"1", b"2")
        letters = await there.layer.dead_letters(CHANNEL)
        assert [letter.id for letter in letters] == ids
        assert [letter.data for letter in letters] == [b"0", b"1", b"2"]
        assert {(letter.attempts, letter.reason) for letter in letters} == {(1, "killed")}
        # The engine's clock may be another machine's.
        assert all(abs(letter.died_at - time.time()) < 600 for letter in letters)
        assert [letter.id for letter in await there.layer.dead_letters(CHANNEL, 2)] == ids[:2]

    async def test_dead_letters_are_read_page_by_page(self, start: Start) -> None:
        here, there = await start(2)
        ids = await kill(here.layer, *(b"%d" % number for number in range(5)))
        pages = [await there.layer.dead_letters(CHANNEL, 2, skip=skip) for skip in (0, 2, 4, 6)]
        assert [[letter.id for letter in page] for page in pages] == [
            ids[:2], ids[2:4], ids[4:], [],
        ]  # fmt: skip

    async def test_large_dead_letters_are_all_there(self, start: Start) -> None:
        here, there = await start(2)
        size = min(1024 * 1024, here.layer.max_data)
        ids = await kill(here.layer, *(b"%d" % number * size for number in range(5)))
        letters = await there.layer.dead_letters(CHANNEL, skip=0, ids=ids)
        assert [letter.id for letter in letters] == ids
        assert [letter.id for letter in await there.layer.dead_letters(CHANNEL)] == ids
        assert {len(letter.data) for letter in letters} == {size}

    async def test_single_dead_letters_are_looked_at(self, start: Start) -> None:
        here, there = await start(2)
        ids = await kill(here.layer, b"0", b"1", b"2")
        wanted = [ids[2], "unknown", ids[0]]
        letters = await there.layer.dead_letters(CHANNEL, ids=wanted)
        assert [(letter.id, letter.data) for letter in letters] == [(ids[0], b"0"), (ids[2], b"2")]
        assert list(await there.layer.dead_letters(CHANNEL, ids=[])) == []
        [last] = await there.layer.dead_letters(CHANNEL, 1, skip=1, ids=wanted)
        assert last.id == ids[2]
        await here.layer.discard(CHANNEL, ids[2:])
        assert list(await there.layer.dead_letters(CHANNEL, ids=ids[2:])) == []

    async def test_dead_letters_are_replayed_with_all_their_tries(self, start: Start) -> None:
        here, there = await start(2)
        [id_] = await kill(here.layer, b"x")
        assert await there.layer.replay(CHANNEL) == 1
        assert list(await there.layer.dead_letters(CHANNEL)) == []
        again = await take_one(here.layer)
        assert (again.id, again.data, again.attempt) == (id_, b"x", 1)
        assert await here.layer.ack(again)
        assert await here.layer.replay(CHANNEL) == 0

    async def test_some_dead_letters_are_replayed(self, start: Start) -> None:
        [here] = await start(1)
        ids = await kill(here.layer, b"0", b"1", b"2")
        assert await here.layer.replay(CHANNEL, [ids[2], ids[0], "unknown"]) == 2
        assert [letter.id for letter in await here.layer.dead_letters(CHANNEL)] == [ids[1]]
        assert sorted(await take_all(here.layer, 2)) == [b"0", b"2"]

    async def test_replayed_ones_need_no_room(self, start: Start) -> None:
        [here] = await start(1)
        await kill(here.layer, b"dead")
        await here.layer.send(CHANNEL, b"x", capacity=1)
        assert await here.layer.replay(CHANNEL) == 1
        assert await here.layer.queue_state(CHANNEL) == QueueState(waiting=2)

    async def test_replayed_ones_keep_their_order(self, start: Start) -> None:
        [here] = await start(1)
        await kill(here.layer, b"a1", b"a2", order="a")
        await here.layer.replay(CHANNEL)
        [first] = await take(here.layer, limit=10)
        assert first.data == b"a1"
        assert await here.layer.ack(first)
        assert await take_all(here.layer, 1) == [b"a2"]

    async def test_a_waiting_receiver_gets_what_is_replayed(self, start: Start) -> None:
        here, there = await start(2)
        await kill(here.layer, b"x")
        found, _ = await asyncio.gather(take(there.layer), here.layer.replay(CHANNEL))
        assert [delivery.data for delivery in found] == [b"x"]

    async def test_dead_letters_are_discarded(self, start: Start) -> None:
        here, there = await start(2)
        ids = await kill(here.layer, b"0", b"1", b"2")
        assert await there.layer.discard(CHANNEL, ids[:1]) == 1
        assert [letter.id for letter in await here.layer.dead_letters(CHANNEL)] == ids[1:]
        assert await there.layer.discard(CHANNEL) == 2
        assert await there.layer.discard(CHANNEL) == 0
        assert await here.layer.queue_state(CHANNEL) == QueueState()
