"""Events of a topic that are published together: joined on the way, else as one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from seaway.exceptions import LayerUnavailable
from seaway.layers.base import History, Page
from seaway.layers.redis.publishing import TOGETHER_BYTES, TOGETHER_EVENTS
from seaway.testing.layer_contract import Process
from tests.layers.redis.support import connected, engine_of, processes
from tests.servers.valkey import Valkey
from tests.waiting import until

TOPIC = "halls/1"
LONG, SHORT = History(size=1000, seconds=60), History(size=2, seconds=60)


@pytest.fixture
async def here(valkey: Valkey) -> AsyncIterator[Process]:
    [here] = await processes(valkey.url, 1)
    await here.layer.watch(TOPIC)
    yield here
    await here.layer.close()


def script_calls(valkey: Valkey) -> int:
    """How many scripts the server has run."""
    statistics = valkey.info("commandstats")["cmdstat_evalsha"]
    return int(statistics.split("calls=")[1].split(",")[0])


async def test_they_keep_their_order_and_have_their_own_positions(here: Process) -> None:
    count = 2 * TOGETHER_EVENTS + 3
    data = [b"%d" % number for number in range(count)]
    positions = await asyncio.gather(*(here.layer.publish(TOPIC, one, LONG) for one in data))
    assert [position.offset for position in positions] == list(range(1, count + 1))
    await here.heard.until_count(count, TOPIC)
    assert here.heard.data(TOPIC) == data
    assert len({position.epoch for position in positions}) == 1


async def test_they_go_in_few_calls(valkey: Valkey, here: Process) -> None:
    before = script_calls(valkey)
    await asyncio.gather(*(here.layer.publish(TOPIC, b"x") for _ in range(TOGETHER_EVENTS)))
    # The first one, the others, and whatever the layer asks by itself meanwhile.
    assert script_calls(valkey) - before < 20


async def test_a_call_holds_what_the_server_does_in_one_go(here: Process) -> None:
    large = b"x" * (TOGETHER_BYTES // 2)
    positions = await asyncio.gather(*(here.layer.publish(TOPIC, large, LONG) for _ in range(9)))
    assert [position.offset for position in positions] == list(range(1, 10))


async def test_each_has_its_own_history(here: Process) -> None:
    first, *others = await asyncio.gather(
        *(here.layer.publish(TOPIC, b"%d" % n, SHORT if n > 5 else LONG) for n in range(9))
    )
    page = await here.layer.read(TOPIC, others[5])
    assert isinstance(page, Page)
    assert [event.data for event in page.publications] == [b"7", b"8"]
    assert not isinstance(await here.layer.read(TOPIC, first), Page)


async def test_who_gives_up_is_not_waited_for(here: Process) -> None:
    tasks = [asyncio.create_task(here.layer.publish(TOPIC, b"%d" % n)) for n in range(5)]
    await asyncio.sleep(0)  # all have asked
    tasks[2].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[2], asyncio.CancelledError)
    assert (await here.layer.publish(TOPIC, b"last")).offset in (5, 6)
    await until(lambda: here.heard.data(TOPIC)[-1:] == [b"last"])
    assert [one for one in here.heard.data(TOPIC) if one != b"2"] == [
        b"0",
        b"1",
        b"3",
        b"4",
        b"last",
    ]


async def test_they_are_told_when_the_layer_is_closed_meanwhile(
    own_valkey: Valkey,
) -> None:
    [here] = await processes(own_valkey.url, 1)
    own_valkey.server.pause()
    tasks = [asyncio.create_task(here.layer.publish(TOPIC, b"x")) for _ in range(5)]
    await asyncio.sleep(0)  # all have asked; one was written, or more
    await engine_of(here.layer).close()
    for refused in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(refused, LayerUnavailable)
    own_valkey.server.resume()
    await here.layer.close()


async def test_a_lost_connection_publishes_them_once(own_valkey: Valkey) -> None:
    [here] = await processes(own_valkey.url, 1)
    try:
        await here.layer.watch(TOPIC)
        tasks = [asyncio.create_task(here.layer.publish(TOPIC, b"%d" % n, LONG)) for n in range(50)]
        await asyncio.sleep(0)
        for shard in engine_of(here.layer).opened().shards():
            assert shard.commands.link is not None
            shard.commands.link.abort("by a test")
        positions = await asyncio.gather(*tasks)
        assert sorted(position.offset for position in positions) == list(range(1, 51))
        assert connected(here.layer)
        await here.heard.until_count(50, TOPIC)
        assert (await here.layer.position(TOPIC)).offset == 50
    finally:
        await here.layer.close()
