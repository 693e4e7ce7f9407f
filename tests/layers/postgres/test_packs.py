"""Events that are published together share rows, and nobody sees it."""

from __future__ import annotations

import asyncio
from base64 import b64encode

import pytest

from seaway.layers.base import Gap, History, Position
from seaway.layers.postgres.packs import PACK_BYTES, pack, unpack
from seaway.testing.contract_support import KEPT, TOPIC, page
from tests.layers.postgres.support import processes
from tests.servers.postgres import PostgresServer

# The form of a row ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "row"),
    [
        ([b"alone"], b"alone"),
        ([b""], b""),
        ([b"a", b""], b"\0\0\0\1a\0\0\0\0"),
        ([b"a" * 256, b"\0\0\0\1"], b"\0\0\1\0" + b"a" * 256 + b"\0\0\0\4\0\0\0\1"),
    ],
)
def test_a_row_is_an_event_or_events_with_their_lengths(events: list[bytes], row: bytes) -> None:
    assert pack(events) == row
    assert unpack(row, len(events)) == events


@pytest.mark.parametrize(
    ("row", "count"),
    [(b"", 2), (b"\0\0\0\1a", 2), (b"\0\0\0\2a", 2), (b"\0\0\0\1a\0\0\0\2b", 2), (b"\0\0\0", 0)],
)
def test_a_row_that_is_not_what_it_says_is_refused(row: bytes, count: int) -> None:
    with pytest.raises(ValueError, match="a pack of"):
        unpack(row, count)


# Rows in the table ----------------------------------------------------------------------------


async def rows(server: PostgresServer, namespace: str) -> list[tuple[object, ...]]:
    return server.run(
        f'SELECT t.name, e.off, e.count FROM "{namespace}".events e '
        f'JOIN "{namespace}".topics t ON t.id = e.topic ORDER BY t.name, e.off'
    )


async def test_events_of_one_turn_share_rows_by_topic_history_and_size(
    postgres: PostgresServer, namespace: str
) -> None:
    here, there = await processes(postgres.url(), namespace, 2)
    for topic in ("a", "b"):
        await there.layer.watch(topic)
    large = b"l" * PACK_BYTES
    wanted: list[tuple[str, bytes, History | None, str]] = [
        ("a", b"1", KEPT, ""),
        ("b", b"1", None, ""),
        ("a", b"2", KEPT, ""),
        ("a", b"3", None, ""),  # another history
        ("a", b"4", None, "once"),  # may turn out to be there
        ("a", b"5", None, ""),
        ("a", large, None, ""),
        ("a", b"7", None, ""),
        ("b", b"2", None, ""),
    ]
    positions = await asyncio.gather(
        *(
            here.layer.publish(topic, data, history, once=once)
            for topic, data, history, once in wanted
        )
    )
    assert [position.offset for position in positions] == [1, 1, 2, 3, 4, 5, 6, 7, 2]
    assert await rows(postgres, namespace) == [
        ("a", 2, 2), ("a", 3, 1), ("a", 4, 1), ("a", 5, 1), ("a", 6, 1), ("a", 7, 1), ("b", 2, 2),
    ]  # fmt: skip
    for topic in ("a", "b"):
        mine = [n for n, (name, *_) in enumerate(wanted) if name == topic]
        await there.heard.until_count(len(mine), topic)
        assert there.heard.data(topic) == [wanted[n][1] for n in mine]
        assert there.heard.positions(topic) == [positions[n] for n in mine]
    for one in (here, there):
        await one.layer.close()


@pytest.mark.parametrize(("count", "size"), [(18, 200), (250, 200), (3, 2000), (40, 0)])
async def test_who_follows_gets_each_event_of_a_turn(
    postgres: PostgresServer, namespace: str, count: int, size: int
) -> None:
    """Told with the notification, or read from the table."""
    here, there = await processes(postgres.url(), namespace, 2)
    await there.layer.watch(TOPIC)
    events = [(b"%d " % n).ljust(size, b"x") for n in range(count)]
    for turn in range(1, 4):
        await asyncio.gather(*(here.layer.publish(TOPIC, event) for event in events))
        await there.heard.until_count(count * turn)
    assert there.heard.data() == events * 3
    offsets = [position.offset for position in there.heard.positions()]
    assert offsets == list(range(1, count * 3 + 1))
    for one in (here, there):
        await one.layer.close()


# Reading --------------------------------------------------------------------------------------


async def test_pages_and_history_end_within_a_row(postgres: PostgresServer, namespace: str) -> None:
    [here] = await processes(postgres.url(), namespace, 1)
    ten = History(size=10, seconds=600)
    positions = await asyncio.gather(
        *(here.layer.publish(TOPIC, b"%d" % n, ten) for n in range(1, 31))
    )
    epoch, now = positions[0].epoch, positions[-1]
    assert await rows(postgres, namespace) == [(TOPIC, 30, 30)]
    for since in (0, 5, 19):
        assert await here.layer.read(TOPIC, Position(epoch, since)) == Gap(now)
    for since in (20, 25, 29, 30):
        found = page(await here.layer.read(TOPIC, Position(epoch, since)))
        assert [event.data for event in found.publications] == [
            b"%d" % n for n in range(since + 1, 31)
        ]
        assert [event.position for event in found.publications] == positions[since:]
    found = page(await here.layer.read(TOPIC, Position(epoch, 22), limit=3))
    assert [event.data for event in found.publications] == [b"23", b"24", b"25"]
    assert found.position == now
    await here.layer.close()


async def test_a_row_that_is_corrupt_in_its_notification_is_read_from_the_table(
    postgres: PostgresServer, namespace: str
) -> None:
    [here] = await processes(postgres.url(), namespace, 1)
    at = await here.layer.watch(TOPIC)
    [[number]] = postgres.run(f'SELECT id FROM "{namespace}".topics')
    row = b64encode(pack([b"a", b"b"])[:-1]).decode()
    postgres.run(
        f"SELECT pg_notify(\"{namespace}\".ear('t', '{TOPIC}'), "
        f"'d {number} {at.epoch} 2 {TOPIC} 2 {row}')"
    )
    await asyncio.gather(*(here.layer.publish(TOPIC, data) for data in (b"1", b"2", b"3")))
    await here.heard.until_count(3)
    assert here.heard.data() == [b"1", b"2", b"3"]
    assert here.layer._following.corrupt == 1  # type: ignore[attr-defined]
    await here.layer.close()
