"""PostgreSQL killed, stopped and cut off: nothing is lost in silence, nothing comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from soak.cable import Cable

from seaway.exceptions import LayerUnavailable
from seaway.layers.base import Gap, Headcount, History, Position
from seaway.testing.contract_support import KEPT, TOPIC, Process, eventually, page, started
from tests.layers.postgres.support import postgres_layer
from tests.servers.postgres import PostgresServer, postgres_server
from tests.waiting import until

LONG = History(size=100_000, seconds=3600)


@pytest.fixture(scope="module")
def fragile() -> Iterator[PostgresServer]:
    """A server to be killed and stopped."""
    with postgres_server() as server:
        yield server


@pytest_asyncio.fixture
async def cable(postgres: PostgresServer) -> AsyncIterator[Cable]:
    cable = await Cable(("127.0.0.1", postgres.port)).start()
    yield cable
    await cable.close()


def through(cable: Cable, server: PostgresServer) -> str:
    return server.url().replace(f":{server.port}/", f":{cable.port}/")


async def process(url: str, namespace: str, timeout: float = 10.0) -> Process:
    layer = postgres_layer(url, namespace)
    layer.timeout = timeout
    return await started(layer)


async def publish_until(
    here: Process, stop: asyncio.Event, told: dict[int, bytes], name: bytes = b""
) -> None:
    """Publish and keep what the layer says was published, by offset."""
    n = 0
    while not stop.is_set():
        data = name + b"%d" % n
        n += 1
        try:
            position = await here.layer.publish(TOPIC, data, LONG)
        except LayerUnavailable:
            continue  # not known: it may be in the stream, but no one was told so
        assert position.offset not in told, "two events have one offset"
        told[position.offset] = data


async def more_than(told: dict[int, bytes], count: int) -> None:
    await until(lambda: len(told) > count, patience=30)


def check_stream(there: Process, told: dict[int, bytes]) -> None:
    """Heard once, in order, without a hole, and what was told."""
    offsets = [position.offset for position in there.heard.positions()]
    assert offsets == list(range(1, len(offsets) + 1))
    heard = dict(zip(offsets, there.heard.data(), strict=True))
    assert {offset: heard.get(offset) for offset in told} == told
    assert len(set(heard.values())) == len(heard), "an event came twice"


async def test_a_server_that_is_killed_and_comes_back_loses_nothing(
    fragile: PostgresServer, namespace: str
) -> None:
    here, there = [await process(fragile.url(), namespace) for _ in range(2)]
    await there.layer.watch(TOPIC)
    await here.layer.enter(TOPIC, "ann", b"A")
    told: dict[int, bytes] = {}
    stop = asyncio.Event()
    publishing = asyncio.create_task(publish_until(here, stop, told))
    for _ in range(2):
        await more_than(told, len(told) + 50)
        fragile.kill()
        fragile.start()  # on this thread, with which it is to end
    await more_than(told, len(told) + 50)
    stop.set()
    await publishing
    await there.heard.until_count(max(told))
    check_stream(there, told)
    assert there.heard.restorations
    assert await eventually(lambda: there.layer.members(TOPIC), bool) == {"ann": b"A"}
    assert await there.layer.headcount(TOPIC) == Headcount(1, 1)
    for one in (here, there):
        await one.layer.close()


async def test_a_server_that_stands_still_makes_publishers_wait_and_then_tells_them(
    fragile: PostgresServer, namespace: str
) -> None:
    here, there = [await process(fragile.url(), namespace, timeout=0.5) for _ in range(2)]
    await there.layer.watch(TOPIC)
    told: dict[int, bytes] = {}
    stop = asyncio.Event()
    publishing = asyncio.create_task(publish_until(here, stop, told))
    await more_than(told, 20)
    fragile.pause()
    try:
        with pytest.raises(LayerUnavailable, match=r"within 0\.5 seconds"):
            await there.layer.publish("another", b"x")
        await asyncio.sleep(1.0)  # the fault lasts so long
    finally:
        fragile.resume()
    await more_than(told, len(told) + 20)
    stop.set()
    await publishing
    await there.heard.until_count(max(told))
    check_stream(there, told)
    for one in (here, there):
        await one.layer.close()


async def test_a_cut_between_one_process_and_the_server_loses_nothing(
    postgres: PostgresServer, cable: Cable, namespace: str
) -> None:
    here = await process(through(cable, postgres), namespace)
    there = await process(through(cable, postgres), namespace)
    await there.layer.watch(TOPIC)
    told: dict[int, bytes] = {}
    stop = asyncio.Event()
    publishing = asyncio.create_task(publish_until(here, stop, told))
    for _ in range(6):
        await more_than(told, len(told) + 20)
        cable.reset()
    stop.set()
    await publishing
    await there.heard.until_count(max(told))
    check_stream(there, told)
    assert len(there.heard.data()) == len(told)
    for one in (here, there):
        await one.layer.close()


async def test_what_was_done_when_its_answer_was_lost_is_not_done_again(
    postgres: PostgresServer, cable: Cable, namespace: str
) -> None:
    here = await process(through(cable, postgres), namespace)
    beside = await process(postgres.url(), namespace)
    await here.layer.publish(TOPIC, b"0", KEPT)
    await here.layer.send("jobs", b"0")
    cable.lose_answers()
    publishing = asyncio.create_task(here.layer.publish(TOPIC, b"1", KEPT))
    sending = asyncio.create_task(here.layer.send("jobs", b"1"))
    await eventually(lambda: beside.layer.position(TOPIC), lambda at: at.offset == 2)
    await eventually(lambda: beside.layer.queue_state("jobs"), lambda state: state.waiting == 2)
    several = [asyncio.create_task(here.layer.publish(TOPIC, b"%d" % n, KEPT)) for n in (2, 3, 4)]
    cable.reset()
    cable.carry()
    position, id_ = await publishing, await sending
    assert position == Position(position.epoch, 2)
    assert [at.offset for at in await asyncio.gather(*several)] == [3, 4, 5]
    found = page(await beside.layer.read(TOPIC, Position(position.epoch, 0)))
    assert [event.data for event in found.publications] == [b"0", b"1", b"2", b"3", b"4"]
    deliveries = await beside.layer.receive("jobs", limit=10)
    assert [delivery.data for delivery in deliveries] == [b"0", b"1"]
    assert deliveries[1].id == id_
    for one in (here, beside):
        await one.layer.close()


async def test_what_was_handed_out_into_a_cut_is_handed_out_again_at_once(
    postgres: PostgresServer, cable: Cable, namespace: str
) -> None:
    here = await process(through(cable, postgres), namespace)
    beside = await process(postgres.url(), namespace)
    assert list(await here.layer.receive("jobs")) == []
    await beside.layer.send("jobs", b"x")
    cable.lose_answers()
    receiving = asyncio.create_task(here.layer.receive("jobs", lease=300))
    await eventually(lambda: beside.layer.queue_state("jobs"), lambda state: state.held == 1)
    cable.reset()
    cable.carry()
    [delivery] = await receiving
    assert (delivery.data, delivery.attempt) == (b"x", 1)
    assert await here.layer.ack(delivery)
    for one in (here, beside):
        await one.layer.close()


async def test_a_network_that_swallows_everything_is_left(
    postgres: PostgresServer, cable: Cable, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seaway.layers.postgres.layer.SILENCE", 0.5)
    here = await process(through(cable, postgres), namespace, timeout=15.0)
    beside = await process(postgres.url(), namespace)
    await here.layer.watch(TOPIC)
    await here.layer.publish("warm", b"")
    cable.hold()
    sent = asyncio.create_task(here.layer.publish(TOPIC, b"here", KEPT))
    await beside.layer.publish(TOPIC, b"beside", KEPT)
    # The connections that are held stay so; the new ones go through.
    await asyncio.sleep(2.0)  # the fault lasts so long
    cable.reset()
    cable.carry()
    await sent
    await here.heard.until_count(2)
    assert sorted(here.heard.data()) == [b"beside", b"here"]
    for one in (here, beside):
        await one.layer.close()


async def test_members_come_back_after_their_lease_ran_out_in_an_outage(
    postgres: PostgresServer, cable: Cable, namespace: str
) -> None:
    beside = await process(postgres.url(), namespace)
    layer = postgres_layer(through(cable, postgres), namespace)
    layer.lease = 1.0
    here = await started(layer)
    await beside.layer.watch(TOPIC)
    await here.layer.enter(TOPIC, "ann", b"A", "p1")
    await beside.heard.until_present({"ann": b"A"})
    cable.refuse()
    await beside.heard.until_present({})
    assert await beside.layer.headcount(TOPIC) == Headcount(0, 0)
    cable.carry()
    await beside.heard.until_present({"ann": b"A"})
    assert await beside.layer.headcount(TOPIC) == Headcount(1, 1)
    for one in (here, beside):
        await one.layer.close()


async def test_a_burst_of_ten_thousand_events(postgres: PostgresServer, namespace: str) -> None:
    here, there = [await process(postgres.url(), namespace, timeout=60.0) for _ in range(2)]
    await there.layer.watch(TOPIC)
    positions = await asyncio.gather(
        *(here.layer.publish(TOPIC, b"%d" % n, LONG) for n in range(10_000))
    )
    assert [position.offset for position in positions] == list(range(1, 10_001))
    await there.heard.until_count(10_000)
    assert there.heard.data() == [b"%d" % n for n in range(10_000)]
    assert there.heard.positions() == positions
    for one in (here, there):
        await one.layer.close()


async def test_two_processes_join_and_leave_as_fast_as_they_can(
    postgres: PostgresServer, namespace: str
) -> None:
    here, there, watching = [await process(postgres.url(), namespace) for _ in range(3)]
    await watching.layer.watch(TOPIC)

    async def come_and_go(one: Process, name: str) -> None:
        for n in range(60):
            await asyncio.gather(
                *(one.layer.enter(TOPIC, f"{name}{k}", b"%d" % n, f"p{k % 3}") for k in range(5))
            )
            await asyncio.gather(*(one.layer.leave(TOPIC, f"{name}{k}") for k in range(5)))
        await one.layer.enter(TOPIC, name, b"stays", "both")

    await asyncio.gather(come_and_go(here, "a"), come_and_go(there, "b"))
    await watching.heard.until_present({"a": b"stays", "b": b"stays"})
    assert await watching.layer.members(TOPIC) == {"a": b"stays", "b": b"stays"}
    assert await watching.layer.headcount(TOPIC) == Headcount(members=2, people=1)
    for one in (here, there, watching):
        await one.layer.close()


async def test_a_follower_that_history_has_left_behind_learns_of_it(
    postgres: PostgresServer, cable: Cable, namespace: str
) -> None:
    here = await process(postgres.url(), namespace)
    there = await process(through(cable, postgres), namespace)
    first = await there.layer.watch(TOPIC)
    cable.refuse()
    for n in range(3):
        await here.layer.publish(TOPIC, b"%d" % n)
    postgres.run(f'DELETE FROM "{namespace}".events')  # as if a minute had passed
    cable.carry()
    await there.heard.until(lambda: bool(there.heard.restorations))
    assert there.heard.restorations == [(TOPIC, Position(first.epoch, 3))]
    assert await there.layer.read(TOPIC, first) == Gap(Position(first.epoch, 3))
    await here.layer.publish(TOPIC, b"3")
    await there.heard.until_count(1)
    assert there.heard.data() == [b"3"]
    for one in (here, there):
        await one.layer.close()
