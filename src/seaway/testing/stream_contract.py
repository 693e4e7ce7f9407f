"""The contract of streams as tests: positions, publishing and watching.

What lives here: one test per sentence of `seaway.layers.base` on these.
What must not: reading (`reading_contract`), or anything that only one engine does.
"""
# ruff: noqa: S101  asserts are what a test suite consists of

from __future__ import annotations

import asyncio

import pytest

from seaway.layers.base import Position
from seaway.testing.contract_support import KEPT, TOPIC, Contract, Process, Start, eventually, page


@pytest.mark.asyncio
class StreamContract(Contract):
    """Positions, publishing and watching."""

    async def test_offsets_count_the_events_of_a_topic_from_one(self, start: Start) -> None:
        [here] = await start(1)
        positions = [await here.layer.publish(TOPIC, b"x") for _ in range(3)]
        assert [position.offset for position in positions] == [1, 2, 3]
        assert len({position.epoch for position in positions}) == 1

    async def test_an_epoch_is_a_short_url_safe_string(self, start: Start) -> None:
        [here] = await start(1)
        epoch = (await here.layer.publish(TOPIC, b"x")).epoch
        assert 1 <= len(epoch) <= 40
        assert epoch.replace("-", "").replace("_", "").replace(".", "").isalnum()

    async def test_topics_count_independently(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.publish(TOPIC, b"x")
        assert (await here.layer.publish("another", b"x")).offset == 1

    async def test_position_is_where_the_stream_stands(self, start: Start) -> None:
        here, there = await start(2)
        published = await here.layer.publish(TOPIC, b"x", KEPT)
        assert await here.layer.position(TOPIC) == published
        assert await there.layer.position(TOPIC) == published

    async def test_an_unused_topic_stands_before_its_first_event(self, start: Start) -> None:
        [here] = await start(1)
        before = await here.layer.position(TOPIC)
        assert before.offset == 0
        assert await here.layer.position(TOPIC) == before

    async def test_who_saw_an_unused_topic_resumes_from_there(self, start: Start) -> None:
        here, there = await start(2)
        before = await here.layer.position(TOPIC)
        assert await there.layer.watch(TOPIC) == before
        await there.layer.publish(TOPIC, b"first", KEPT)
        found = page(await here.layer.read(TOPIC, before))
        assert [publication.data for publication in found.publications] == [b"first"]

    # Publishing and watching ---------------------------------------------------------------------

    async def test_a_watcher_gets_every_event_once_and_in_order(self, start: Start) -> None:
        here, there = await start(2)
        await there.layer.watch(TOPIC)
        positions = [await here.layer.publish(TOPIC, b"%d" % n, KEPT) for n in range(200)]
        await there.heard.until(lambda: len(there.heard.publications) >= 200)
        assert there.heard.data() == [b"%d" % n for n in range(200)]
        assert there.heard.positions() == positions

    async def test_the_publisher_hears_its_own_events_when_it_watches(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.watch(TOPIC)
        position = await here.layer.publish(TOPIC, b"x")
        await here.heard.until(lambda: here.heard.positions() == [position])

    async def test_without_a_watch_nothing_is_heard(self, start: Start) -> None:
        here, there = await start(2)
        await there.layer.watch("another")
        await here.layer.publish(TOPIC, b"x")
        await here.layer.publish("another", b"y")
        await there.heard.until(lambda: there.heard.data("another") == [b"y"])
        assert there.heard.data() == here.heard.data() == []

    async def test_events_are_heard_from_the_position_that_watch_returned(
        self, start: Start
    ) -> None:
        here, there = await start(2)
        await here.layer.publish(TOPIC, b"before", KEPT)
        position = await there.layer.watch(TOPIC)
        after = await here.layer.publish(TOPIC, b"after", KEPT)
        assert after == Position(position.epoch, position.offset + 1)
        await there.heard.until(lambda: there.heard.positions() == [after])

    async def test_a_watch_amid_publishing_leaves_no_hole(self, start: Start) -> None:
        here, there = await start(2)

        async def publish() -> None:
            for n in range(300):
                await here.layer.publish(TOPIC, b"%d" % n, KEPT)

        publishing = asyncio.create_task(publish())
        await eventually(lambda: here.layer.position(TOPIC), lambda at: at.offset > 20)
        watched = await there.layer.watch(TOPIC)
        await publishing
        last = await here.layer.position(TOPIC)
        await there.heard.until(lambda: watched == last or last in there.heard.positions())
        offsets = [position.offset for position in there.heard.positions()]
        assert offsets == list(range(watched.offset + 1, 301))

    async def test_after_unwatch_nothing_new_is_heard(self, start: Start) -> None:
        here, there = await start(2)
        await there.layer.watch(TOPIC)
        await there.layer.watch("another")
        await there.layer.unwatch(TOPIC)
        await here.layer.publish(TOPIC, b"x")
        await here.layer.publish("another", b"y")
        await there.heard.until(lambda: there.heard.data("another") == [b"y"])
        assert there.heard.data() == []

    async def test_unwatching_what_is_not_watched_does_nothing(self, start: Start) -> None:
        here, there = await start(2)
        await there.layer.watch(TOPIC)
        await here.layer.unwatch(TOPIC)
        await here.layer.publish(TOPIC, b"x")
        await there.heard.until(lambda: there.heard.data() == [b"x"])

    async def test_a_topic_can_be_watched_again(self, start: Start) -> None:
        here, there = await start(2)
        await there.layer.watch(TOPIC)
        await there.layer.unwatch(TOPIC)
        await here.layer.publish(TOPIC, b"missed", KEPT)
        position = await there.layer.watch(TOPIC)
        await here.layer.publish(TOPIC, b"heard", KEPT)
        await there.heard.until(lambda: there.heard.data() == [b"heard"])
        assert there.heard.positions() == [Position(position.epoch, position.offset + 1)]

    async def test_concurrent_publishers_are_heard_in_one_order_everywhere(
        self, start: Start
    ) -> None:
        processes = await start(3)
        for process in processes:
            await process.layer.watch(TOPIC)

        async def publish(process: Process, name: bytes) -> None:
            for n in range(50):
                await process.layer.publish(TOPIC, name + b"%d" % n, KEPT)

        names = [b"a", b"b", b"c"]
        await asyncio.gather(*map(publish, processes, names))
        for process in processes:
            await process.heard.until_count(150)
        first = processes[0].heard
        assert [position.offset for position in first.positions()] == list(range(1, 151))
        for process in processes[1:]:
            assert process.heard.publications == first.publications
        for name in names:
            own = [data for data in first.data() if data.startswith(name)]
            assert own == [name + b"%d" % n for n in range(50)]

    async def test_many_publishes_at_once_keep_the_order_in_which_they_were_made(
        self, start: Start
    ) -> None:
        here, there = await start(2)
        await there.layer.watch(TOPIC)
        positions = await asyncio.gather(
            *(here.layer.publish(TOPIC, b"%d" % n) for n in range(100))
        )
        assert [position.offset for position in positions] == list(range(1, 101))
        await there.heard.until(lambda: len(there.heard.data()) >= 100)
        assert there.heard.data() == [b"%d" % n for n in range(100)]

    async def test_published_twice_with_once_it_is_there_once(self, start: Start) -> None:
        here, there = await start(2)
        await there.layer.watch(TOPIC)
        first = await here.layer.publish(TOPIC, b"first", KEPT, once="order-7")
        assert await there.layer.publish(TOPIC, b"second", KEPT, once="order-7") == first
        await here.layer.publish(TOPIC, b"another", KEPT, once="order-8")
        await here.layer.publish("elsewhere", b"there", KEPT, once="order-7")
        assert await here.layer.publish(TOPIC, b"third", KEPT, once="order-7") == first
        await here.layer.publish(TOPIC, b"last", KEPT)
        await there.heard.until_count(3)
        assert there.heard.data() == [b"first", b"another", b"last"]
        assert (await here.layer.position("elsewhere")).offset == 1

    async def test_of_many_published_at_once_with_one_once_one_counts(self, start: Start) -> None:
        processes = await start(3)
        positions = await asyncio.gather(
            *(process.layer.publish(TOPIC, b"x", KEPT, once="k") for process in processes * 3)
        )
        assert {position.offset for position in positions} == {1}

    async def test_data_is_carried_as_it_is(self, start: Start) -> None:
        here, there = await start(2)
        await there.layer.watch(TOPIC)
        payloads = [b"", bytes(range(256)), b"\r\n\x00", "ü€".encode(), b"z" * 300_000]
        for payload in payloads:
            await here.layer.publish(TOPIC, payload, KEPT)
        await there.heard.until(lambda: len(there.heard.data()) >= len(payloads))
        assert there.heard.data() == payloads
