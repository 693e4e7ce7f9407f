"""The contract of history as tests: reading what follows a position, and gaps.

What lives here: one test per sentence of `seaway.layers.base` on these.
What must not: anything that only one engine does.
"""
# ruff: noqa: S101  asserts are what a test suite consists of

from __future__ import annotations

import pytest

from seaway.layers.base import Gap, History, Page, Position, Publication
from seaway.testing.contract_support import KEPT, TOPIC, Contract, Start, eventually, page


@pytest.mark.asyncio
class ReadingContract(Contract):
    """History and gaps."""

    async def test_read_gives_what_follows_in_order(self, start: Start) -> None:
        here, there = await start(2)
        positions = [await here.layer.publish(TOPIC, b"%d" % n, KEPT) for n in range(5)]
        found = page(await there.layer.read(TOPIC, positions[1]))
        assert list(found.publications) == [
            Publication(position, b"%d" % n) for n, position in enumerate(positions) if n > 1
        ]
        assert found.position == positions[-1]

    async def test_read_from_before_the_first_gives_all(self, start: Start) -> None:
        [here] = await start(1)
        position = await here.layer.publish(TOPIC, b"only", KEPT)
        found = page(await here.layer.read(TOPIC, Position(position.epoch, 0)))
        assert [publication.data for publication in found.publications] == [b"only"]

    async def test_an_up_to_date_read_is_empty(self, start: Start) -> None:
        [here] = await start(1)
        position = await here.layer.publish(TOPIC, b"x", KEPT)
        found = page(await here.layer.read(TOPIC, position))
        assert list(found.publications) == []
        assert found.position == position

    async def test_an_up_to_date_read_is_empty_without_history_too(self, start: Start) -> None:
        [here] = await start(1)
        position = await here.layer.publish(TOPIC, b"x")
        found = page(await here.layer.read(TOPIC, position))
        assert list(found.publications) == []
        assert found.position == position

    async def test_limit_cuts_a_page_and_the_reader_goes_on(self, start: Start) -> None:
        [here] = await start(1)
        last = Position("", 0)
        for n in range(25):
            last = await here.layer.publish(TOPIC, b"%d" % n, KEPT)
        cursor, got, pages = Position(last.epoch, 0), [], 0
        while cursor != last:
            found = page(await here.layer.read(TOPIC, cursor, limit=10))
            assert 1 <= len(found.publications) <= 10
            assert found.position == last
            got += [publication.data for publication in found.publications]
            cursor, pages = found.publications[-1].position, pages + 1
        assert got == [b"%d" % n for n in range(25)]
        assert pages >= 3

    async def test_a_limit_below_one_is_an_error(self, start: Start) -> None:
        [here] = await start(1)
        position = await here.layer.publish(TOPIC, b"x", KEPT)
        with pytest.raises(ValueError, match="limit"):
            await here.layer.read(TOPIC, position, limit=0)

    async def test_large_events_can_be_read_in_pages(self, start: Start) -> None:
        [here] = await start(1)
        payloads = [bytes([n]) * (900 * 1024) for n in range(12)]
        for payload in payloads:
            last = await here.layer.publish(TOPIC, payload, KEPT)
        cursor, got = Position(last.epoch, 0), []
        while cursor != last:
            found = page(await here.layer.read(TOPIC, cursor))
            got += [publication.data for publication in found.publications]
            cursor = found.publications[-1].position
        assert got == payloads

    async def test_history_keeps_its_size(self, start: Start) -> None:
        [here] = await start(1)
        kept = History(size=3, seconds=600)
        positions = [await here.layer.publish(TOPIC, b"%d" % n, kept) for n in range(10)]
        found = page(await here.layer.read(TOPIC, positions[6]))
        assert [publication.data for publication in found.publications] == [b"7", b"8", b"9"]

    async def test_a_gap_when_the_next_event_was_trimmed(self, start: Start) -> None:
        [here] = await start(1)
        kept = History(size=3, seconds=600)
        positions = [await here.layer.publish(TOPIC, b"%d" % n, kept) for n in range(10)]
        assert await here.layer.read(TOPIC, positions[5]) == Gap(positions[-1])

    async def test_history_keeps_no_event_for_longer_than_its_seconds(self, start: Start) -> None:
        [here] = await start(1)
        short = History(size=100, seconds=0.3)
        position = await here.layer.publish(TOPIC, b"old", short)
        before = Position(position.epoch, 0)
        await self.pass_time(0.4)
        answer = await eventually(
            lambda: here.layer.read(TOPIC, before), lambda found: isinstance(found, Gap)
        )
        assert answer == Gap(position)

    async def test_a_stream_whose_events_are_too_old_stands_where_it_stood(
        self, start: Start
    ) -> None:
        [here] = await start(1)
        position = await here.layer.publish(TOPIC, b"old", History(size=100, seconds=0.3))
        await self.pass_time(0.4)
        assert await here.layer.position(TOPIC) == position
        assert page(await here.layer.read(TOPIC, position)).position == position
        assert (await here.layer.publish(TOPIC, b"new", KEPT)).offset == 2

    async def test_an_event_without_history_counts_but_cannot_be_read(self, start: Start) -> None:
        [here] = await start(1)
        first = await here.layer.publish(TOPIC, b"1", KEPT)
        second = await here.layer.publish(TOPIC, b"2")
        assert second.offset == 2
        assert await here.layer.read(TOPIC, first) == Gap(second)

    async def test_history_of_size_zero_is_none(self, start: Start) -> None:
        [here] = await start(1)
        none = History(size=0, seconds=60)
        first = await here.layer.publish(TOPIC, b"1", none)
        assert await here.layer.read(TOPIC, Position(first.epoch, 0)) == Gap(first)

    async def test_no_page_has_a_hole(self, start: Start) -> None:
        [here] = await start(1)
        start_of_all = await here.layer.position(TOPIC)
        for n in range(12):
            history = None if n == 6 else KEPT
            last = await here.layer.publish(TOPIC, b"%d" % n, history)
        cursor = Position(last.epoch, 7)
        found = page(await here.layer.read(TOPIC, cursor))
        assert [publication.data for publication in found.publications] == [
            b"7", b"8", b"9", b"10", b"11",
        ]  # fmt: skip
        early = await here.layer.read(TOPIC, Position(start_of_all.epoch, 3))
        if isinstance(early, Page):  # what was kept before the hole may be given, and no more
            assert [publication.data for publication in early.publications] == [b"3", b"4", b"5"]

    async def test_a_gap_for_another_epoch(self, start: Start) -> None:
        [here] = await start(1)
        position = await here.layer.publish(TOPIC, b"x", KEPT)
        assert await here.layer.read(TOPIC, Position("other", 1)) == Gap(position)
        assert await here.layer.read(TOPIC, Position("other", 0)) == Gap(position)

    async def test_a_gap_for_a_position_ahead_of_the_stream(self, start: Start) -> None:
        [here] = await start(1)
        position = await here.layer.publish(TOPIC, b"x", KEPT)
        assert await here.layer.read(TOPIC, Position(position.epoch, 2)) == Gap(position)

    async def test_a_gap_for_an_old_position_of_a_topic_that_is_new(self, start: Start) -> None:
        [here] = await start(1)
        answer = await here.layer.read(TOPIC, Position("other", 7))
        assert isinstance(answer, Gap)
        assert answer.position.offset == 0
