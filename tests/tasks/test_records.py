"""Records of tasks, read while others write them."""

from collections.abc import AsyncIterator

import pytest

from seaway.layers.base import Position
from seaway.layers.hub import Hub
from seaway.layers.memory.layer import MemoryLayer
from seaway.tasks.records import Record, find, keep


class Busy(MemoryLayer):
    """Somebody writes the next record right after each look at the position."""

    writes = 0

    async def position(self, topic: str) -> Position:
        found = await super().position(topic)
        if self.writes:
            self.writes -= 1
            await keep(self, record(), 60.0)
        return found


def record() -> Record:
    return Record("one", "tests.tasks.tasks.add", "default", "default", 0, [], {})


@pytest.fixture
async def layer() -> AsyncIterator[Busy]:
    layer = Busy()
    await layer.start(Hub(layer))
    yield layer
    await layer.close()


@pytest.mark.parametrize("writes", [0, 1, 5])
async def test_a_record_is_found_however_often_it_is_replaced_meanwhile(
    layer: Busy, writes: int
) -> None:
    await keep(layer, record(), 60.0)
    layer.writes = writes
    found = await find(layer, "one")
    assert found is not None
    assert found.id == "one"


async def test_no_record_is_none(layer: Busy) -> None:
    assert await find(layer, "one") is None
    await keep(layer, record(), 0.0)
    assert await find(layer, "one") is None
