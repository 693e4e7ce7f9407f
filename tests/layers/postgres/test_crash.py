"""What a crash of the server takes, and what is said of it: positions are never given twice.

The server of these tests writes nothing to its disk by itself but what is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
import pytest_asyncio

from seaway.layers.base import Gap, Position
from seaway.layers.postgres import schema
from seaway.layers.postgres.cursors import Cursor
from seaway.testing.contract_support import KEPT, TOPIC, Process, page
from tests.layers.postgres.support import processes
from tests.servers.postgres import PostgresServer, postgres_server
from tests.waiting import until

#: Events without history, published one after the other: enough for the last ones to be lost.
MANY = 30


@pytest.fixture(scope="module")
def fragile() -> Iterator[PostgresServer]:
    """A server to be killed, in which nothing is written before its time."""
    with postgres_server({"wal_writer_delay": "10s", "autovacuum": "off"}) as server:
        yield server


@pytest_asyncio.fixture
async def two(fragile: PostgresServer, namespace: str) -> AsyncIterator[list[Process]]:
    found = await processes(fragile.url(), namespace, 2)
    for one in found:
        one.layer.timeout = 20.0
    yield found
    for one in found:
        await one.layer.close()


def crash(server: PostgresServer) -> None:
    # On this thread, with which the server is to end.
    server.kill()
    server.start()


async def publish_many(process: Process, topic: str = TOPIC) -> list[Position]:
    return [await process.layer.publish(topic, b"%d" % n) for n in range(MANY)]


async def test_a_topic_without_history_begins_a_new_epoch_and_its_followers_are_told(
    fragile: PostgresServer, two: list[Process]
) -> None:
    here, there = two
    await there.layer.watch(TOPIC)
    before = await publish_many(here)
    await there.heard.until_count(MANY)
    assert there.heard.positions() == before
    crash(fragile)
    after = await here.layer.publish(TOPIC, b"after")
    assert after.epoch != before[-1].epoch
    await there.heard.until(
        lambda: any(position.epoch == after.epoch for _, position in there.heard.restorations)
    )
    assert await there.layer.read(TOPIC, before[-1]) == Gap(after)
    [*_, (_, position)] = there.heard.restorations
    if position.offset == 0:  # else it came back after the event
        await there.heard.until_count(MANY + 1)
        assert there.heard.positions()[-1] == after


async def test_killed_again_and_again_no_position_is_given_twice(
    fragile: PostgresServer, two: list[Process]
) -> None:
    here, there = two
    await there.layer.watch(TOPIC)
    told: dict[Position, bytes] = {}
    stop = asyncio.Event()

    async def publish(name: bytes) -> None:
        n = 0
        while not stop.is_set():
            n += 1
            position = await here.layer.publish(TOPIC, name + b"%d" % n)
            assert position not in told, "two events have one position"
            told[position] = name + b"%d" % n

    publishers = [asyncio.create_task(publish(name)) for name in (b"a", b"b", b"c")]
    for _ in range(3):
        before = len(told)
        await until(lambda: len(told) > before + MANY, patience=30)  # noqa: B023  awaited here
        crash(fragile)
    before = len(told)
    await until(lambda: len(told) > before + MANY, patience=30)
    stop.set()
    await asyncio.gather(*publishers)
    last = await here.layer.position(TOPIC)
    # What was published before it was back is behind the gap that it was told of.
    await there.heard.until(
        lambda: (
            last in there.heard.positions()
            or last in [position for _, position in there.heard.restorations]
        )
    )
    heard = dict(zip(there.heard.positions(), there.heard.data(), strict=True))
    assert len(heard) == len(there.heard.positions()), "an event came twice"
    assert {position: heard.get(position, data) for position, data in told.items()} == told
    assert len({position.epoch for position in told}) == 4
    for epoch in {position.epoch for position in heard}:
        offsets = [position.offset for position in heard if position.epoch == epoch]
        assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
    # What was not heard was before a return, or at the end of an epoch: a gap either way.
    returned = {position.epoch: position.offset for _, position in there.heard.restorations}
    for position in told.keys() - heard.keys():
        assert position.epoch != last.epoch or position.offset <= returned[position.epoch]


async def test_an_event_heard_of_before_the_return_is_told(
    postgres: PostgresServer, namespace: str
) -> None:
    """Where the topic stands was asked, then an event came, then the answer."""
    [there] = await processes(postgres.url(), namespace, 1)
    epoch = (await there.layer.watch(TOPIC)).epoch
    # An event of which nobody is told.
    postgres.run(f'UPDATE "{namespace}".topics SET off = 1')
    [[number]] = postgres.run(
        f'INSERT INTO "{namespace}".events (topic, off, data) '
        f"SELECT id, 1, 'x' FROM \"{namespace}\".topics RETURNING topic"
    )
    assert isinstance(number, int)
    news = there.layer._following._news  # type: ignore[attr-defined]
    news.told(TOPIC, number, epoch, 1)
    news.resume({TOPIC: Cursor(number, epoch, 0)})
    await there.heard.until(lambda: bool(there.heard.restorations))
    assert there.heard.data() == [b"x"]
    assert there.heard.restorations == [(TOPIC, Position(epoch, 1))]
    await there.layer.close()


async def test_what_has_history_survives_with_its_epoch(
    fragile: PostgresServer, two: list[Process]
) -> None:
    here, there = two
    await there.layer.watch(TOPIC)
    [first, *_] = [await here.layer.publish(TOPIC, b"%d" % n, KEPT) for n in range(MANY)]
    crash(fragile)
    after = await here.layer.publish(TOPIC, b"after", KEPT)
    assert after == Position(first.epoch, MANY + 1)
    await there.heard.until_count(MANY + 1)
    found = page(await there.layer.read(TOPIC, first)).publications
    assert [event.position.offset for event in found] == list(range(2, MANY + 2))


async def test_an_event_with_history_makes_all_before_it_safe(
    fragile: PostgresServer, two: list[Process]
) -> None:
    here, _ = two
    await publish_many(here)
    kept = await here.layer.publish(TOPIC, b"kept", KEPT)
    crash(fragile)
    assert await here.layer.position(TOPIC) == kept


async def test_events_without_history_after_one_with_it_end_the_epoch(
    fragile: PostgresServer, two: list[Process]
) -> None:
    here, _ = two
    kept = await here.layer.publish(TOPIC, b"kept", KEPT)
    await asyncio.gather(*(here.layer.publish(TOPIC, b"%d" % n) for n in range(MANY)))
    last = await here.layer.position(TOPIC)
    assert last == Position(kept.epoch, MANY + 1)
    crash(fragile)
    assert (await here.layer.position(TOPIC)).epoch != kept.epoch


async def test_batches_of_several_topics_are_told_apart(
    fragile: PostgresServer, two: list[Process]
) -> None:
    here, _ = two
    for _ in range(3):
        await asyncio.gather(
            *(here.layer.publish("fleeting", b"%d" % n) for n in range(MANY)),
            *(here.layer.publish("lasting", b"%d" % n, KEPT) for n in range(MANY)),
        )
    for _ in range(3):
        await asyncio.gather(*(here.layer.publish(f"fleeting/{n}", b"x") for n in range(MANY)))
    fleeting, lasting = [await here.layer.position(topic) for topic in ("fleeting", "lasting")]
    other = await here.layer.position("fleeting/7")
    crash(fragile)
    assert await here.layer.position("lasting") == lasting
    assert (await here.layer.position("fleeting")).epoch != fleeting.epoch
    assert (await here.layer.position("fleeting/7")).epoch != other.epoch


async def test_what_was_published_once_is_remembered(
    fragile: PostgresServer, two: list[Process]
) -> None:
    here, _ = two
    await publish_many(here)
    once = await here.layer.publish(TOPIC, b"x", once="order-7")
    crash(fragile)
    assert await here.layer.publish(TOPIC, b"x", once="order-7") == once


async def test_an_orderly_stop_ends_no_epoch(fragile: PostgresServer, two: list[Process]) -> None:
    here, _ = two
    *_, last = await publish_many(here)
    fragile.stop()
    fragile.start()
    assert await here.layer.position(TOPIC) == last


async def test_the_first_after_a_crash_may_be_somebodys_transaction(
    fragile: PostgresServer, namespace: str
) -> None:
    [here] = await processes(fragile.url(), namespace, 1)
    *_, last = await publish_many(here)
    await here.layer.close()
    crash(fragile)
    fragile.run(f"SELECT \"{namespace}\".publish_at_commit('{TOPIC}', 'x', 0, 1)")
    [[epoch, offset]] = fragile.run(f'SELECT epoch, off FROM "{namespace}".topics')
    assert epoch != last.epoch
    assert offset == 1


async def test_a_transaction_that_would_not_wait_does_for_an_event_with_history(
    fragile: PostgresServer, two: list[Process], namespace: str
) -> None:
    here, _ = two
    await publish_many(here, "another")  # and the writer of the log sleeps
    statement = f"SELECT \"{namespace}\".publish_at_commit('{TOPIC}', 'x', 10, 600)"
    with psycopg.connect(fragile.url(), options="-c synchronous_commit=off") as connection:
        connection.execute(statement.encode())
    told = await here.layer.position(TOPIC)
    crash(fragile)
    assert await here.layer.position(TOPIC) == told
    assert told.offset == 1


async def test_tables_of_the_first_version_are_migrated(
    postgres: PostgresServer, namespace: str
) -> None:
    postgres.run("CREATE ROLE reader LOGIN PASSWORD 'secret'")
    [first] = await processes(postgres.url(), namespace, 1)
    kept = [await first.layer.publish(TOPIC, b"%d" % n, KEPT) for n in range(3)]
    await first.layer.close()
    postgres.run(
        f'DROP TABLE "{namespace}".unbroken; ALTER TABLE "{namespace}".topics DROP COLUMN unsafe;'
        f'DROP INDEX "{namespace}".events_request;'
        f'ALTER TABLE "{namespace}".events DROP COLUMN count;'
        f'UPDATE "{namespace}".meta SET version = 1002;'
        f'GRANT USAGE ON SCHEMA "{namespace}" TO reader;'
        f'GRANT ALL ON ALL TABLES IN SCHEMA "{namespace}" TO reader'
    )
    [second] = await processes(postgres.url(), namespace, 1)
    found = page(await second.layer.read(TOPIC, kept[0])).publications
    assert [event.position for event in found] == kept[1:]
    await second.layer.close()
    assert postgres.run(f'SELECT version FROM "{namespace}".meta') == [(schema.VERSION,)]
    [third] = await processes(postgres.url(user="reader"), namespace, 1)
    assert await third.layer.publish(TOPIC, b"x") == Position(kept[0].epoch, 4)
    await third.layer.close()
