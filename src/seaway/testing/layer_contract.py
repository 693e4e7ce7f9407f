"""The contract of `seaway.layers.base` as tests: every engine has to pass them, yours too.

What lives here: `LayerContract`, all its parts joined, and what concerns all of them: life, names
and sizes. What must not: anything that only one engine does.

Needs pytest and pytest-asyncio. Inherit, say how to make layers, and pytest finds the tests::

    class TestMyLayer(LayerContract):
        async def make_layers(self, count):
            return [await started(MyLayer(self.address)) for _ in range(count)]

An engine in the making may begin with one part, `StreamContract` for instance. For failures that
show the values, call ``pytest.register_assert_rewrite("seaway.testing")`` before importing this.
"""
# ruff: noqa: S101  asserts are what a test suite consists of

from __future__ import annotations

import pytest

from seaway.exceptions import InvalidName, LayerUnavailable, PayloadTooLarge
from seaway.layers.base import Position
from seaway.testing.contract_support import (
    KEPT,
    PATIENCE,
    TOPIC,
    Contract,
    Process,
    Recorder,
    Start,
    eventually,
    page,
    started,
)
from seaway.testing.presence_contract import PresenceContract
from seaway.testing.queue_contract import QueueContract
from seaway.testing.queue_flow_contract import QueueFlowContract
from seaway.testing.queue_operator_contract import QueueOperatorContract
from seaway.testing.queue_order_contract import QueueOrderContract
from seaway.testing.queue_room_contract import QueueRoomContract
from seaway.testing.reading_contract import ReadingContract
from seaway.testing.stream_contract import StreamContract

__all__ = [
    "KEPT",
    "PATIENCE",
    "TOPIC",
    "LayerContract",
    "LifeContract",
    "PresenceContract",
    "Process",
    "QueueContract",
    "QueueFlowContract",
    "QueueOperatorContract",
    "QueueOrderContract",
    "QueueRoomContract",
    "ReadingContract",
    "Recorder",
    "Start",
    "StreamContract",
    "eventually",
    "page",
    "started",
]


@pytest.mark.asyncio
class LifeContract(Contract):
    """Life, names, sizes."""

    async def test_close_is_idempotent_and_final(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.close()
        await here.layer.close()
        with pytest.raises(LayerUnavailable):
            await here.layer.publish(TOPIC, b"x")
        assert (await there.layer.publish(TOPIC, b"x")).offset == 1

    async def test_describe_is_a_few_words(self, start: Start) -> None:
        [here] = await start(1)
        words = here.layer.describe()
        assert words
        assert "\n" not in words

    @pytest.mark.parametrize("name", ["", "with space", 'quo"te', "back\\slash", "ü", "n" * 201])
    async def test_illegal_names_are_refused(self, start: Start, name: str) -> None:
        [here] = await start(1)
        layer = here.layer
        attempts = [
            layer.publish(name, b"x"),
            layer.watch(name),
            layer.unwatch(name),
            layer.read(name, Position("e", 0)),
            layer.position(name),
            layer.enter(name, "ann", b""),
            layer.enter(TOPIC, name, b""),
            layer.leave(TOPIC, name),
            layer.members(name),
        ]
        for attempt in attempts:
            with pytest.raises(InvalidName, match="legal"):
                await attempt

    async def test_every_legal_name_is_good(self, start: Start) -> None:
        here, there = await start(2)
        marks = "".join(chr(code) for code in range(33, 127) if chr(code) not in '"\\')
        for name in (marks, "n" * 200, "{braces}", "a*?[b]"):
            await there.layer.watch(name)
            await here.layer.publish(name, b"x", KEPT)
            await here.layer.enter(name, marks, b"A")
            await there.heard.until_count(1, name)
            assert await there.layer.members(name) == {marks: b"A"}

    async def test_data_over_the_limit_is_refused_and_nothing_published(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.publish(TOPIC, b"x" * here.layer.max_data)
        with pytest.raises(PayloadTooLarge, match="limit"):
            await here.layer.publish(TOPIC, b"x" * (here.layer.max_data + 1))
        assert (await here.layer.position(TOPIC)).offset == 1


class LayerContract(
    StreamContract,
    ReadingContract,
    PresenceContract,
    QueueContract,
    QueueFlowContract,
    QueueOrderContract,
    QueueRoomContract,
    QueueOperatorContract,
    LifeContract,
):
    """Inherit as ``class TestMyEngine(LayerContract)``."""
