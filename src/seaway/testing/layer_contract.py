"""The contract of `seaway.layers.base` as tests: every engine has to pass them, yours too.

What lives here: `LayerContract`, one test per sentence of the contract, and the `Recorder` that
hears what a layer tells. What must not: anything that only one engine does.

Needs pytest and pytest-asyncio. Inherit, say how to make layers, and pytest finds the tests::

    class TestMyLayer(LayerContract):
        async def make_layers(self, count):
            return [await started(MyLayer(self.address)) for _ in range(count)]

For failures that show the values, call ``pytest.register_assert_rewrite`` with this module's name
before importing it.
"""
# ruff: noqa: S101  asserts are what a test suite consists of

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest
import pytest_asyncio

from seaway.exceptions import InvalidName, LayerUnavailable, PayloadTooLarge
from seaway.layers.base import (
    Gap,
    History,
    Layer,
    Page,
    Position,
    PresenceChange,
    Publication,
)

T = TypeVar("T")

TOPIC = "halls/1/seats"
KEPT = History(size=100, seconds=600)
#: Seconds after which something that should have happened is taken not to happen.
PATIENCE = 15.0


class Recorder:
    """A receiver that keeps what it hears, and lets a test wait for it."""

    def __init__(self) -> None:
        self.publications: list[tuple[str, Publication]] = []
        self.changes: list[tuple[str, PresenceChange]] = []
        self.restorations: list[tuple[str, Position]] = []
        self._news = asyncio.Event()

    def published(self, topic: str, publication: Publication) -> None:
        self.publications.append((topic, publication))
        self._news.set()

    def presence_changed(self, topic: str, change: PresenceChange) -> None:
        self.changes.append((topic, change))
        self._news.set()

    def restored(self, topic: str, position: Position) -> None:
        self.restorations.append((topic, position))
        self._news.set()

    def data(self, topic: str = TOPIC) -> list[bytes]:
        """What was published on a topic, as far as it was heard, in order."""
        return [publication.data for name, publication in self.publications if name == topic]

    def positions(self, topic: str = TOPIC) -> list[Position]:
        return [publication.position for name, publication in self.publications if name == topic]

    def present(self, topic: str = TOPIC) -> dict[str, bytes]:
        """The members that all changes heard so far add up to."""
        members: dict[str, bytes] = {}
        for name, change in self.changes:
            if name == topic:
                members.update(change.entered)
                for member in change.left:
                    members.pop(member, None)
        return members

    async def until_present(self, members: dict[str, bytes], topic: str = TOPIC) -> None:
        """Wait until the changes heard add up to exactly these members."""
        await self.until(lambda: self.present(topic) == members)

    async def until_count(self, count: int, topic: str = TOPIC) -> None:
        """Wait until so many events of a topic were heard."""
        await self.until(lambda: len(self.data(topic)) >= count)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was heard fulfils a condition."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            heard = f"{self.publications[-5:]} {self.changes[-5:]} {self.restorations[-5:]}"
            raise AssertionError(f"waited in vain; heard last: {heard}") from None


@dataclass(frozen=True, slots=True)
class Process:
    """What stands for one process: a started layer, and what it told its receiver."""

    layer: Layer
    heard: Recorder


#: What the fixture ``start`` gives: makes so many processes on one engine.
Start = Callable[[int], Awaitable[list[Process]]]


async def started(layer: Layer) -> Process:
    """Start a layer with a recorder."""
    recorder = Recorder()
    await layer.start(recorder)
    return Process(layer, recorder)


async def eventually(ask: Callable[[], Awaitable[T]], wanted: Callable[[T], bool]) -> T:
    """Ask again until the answer is the wanted one."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        answer = await ask()
        if wanted(answer):
            return answer
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"asked in vain; the last answer was {answer!r}")
        await asyncio.sleep(0.02)


def page(answer: Page | Gap) -> Page:
    """The answer to a read, known to be a page."""
    assert isinstance(answer, Page), answer
    return answer


@pytest.mark.asyncio
class LayerContract(abc.ABC):
    """Inherit as ``class TestMyEngine(LayerContract)``."""

    @abc.abstractmethod
    async def make_layers(self, count: int) -> list[Process]:
        """Started layers of ``count`` different processes on one engine that nobody else uses."""

    async def pass_time(self, seconds: float) -> None:
        """Let the engine's clock go on. Override it where the engine's clock is injected."""
        await asyncio.sleep(seconds)

    @pytest_asyncio.fixture
    async def start(self) -> AsyncIterator[Start]:
        processes: list[Process] = []

        async def start(count: int) -> list[Process]:
            made = await self.make_layers(count)
            processes.extend(made)
            return made

        yield start
        for process in processes:
            await process.layer.close()

    # Positions -----------------------------------------------------------------------------------

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

    async def test_data_is_carried_as_it_is(self, start: Start) -> None:
        here, there = await start(2)
        await there.layer.watch(TOPIC)
        payloads = [b"", bytes(range(256)), b"\r\n\x00", "ü€".encode(), b"z" * 300_000]
        for payload in payloads:
            await here.layer.publish(TOPIC, payload, KEPT)
        await there.heard.until(lambda: len(there.heard.data()) >= len(payloads))
        assert there.heard.data() == payloads

    # Reading -------------------------------------------------------------------------------------

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

    # Presence ------------------------------------------------------------------------------------

    async def test_members_are_seen_from_every_process(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.enter(TOPIC, "ann", b"A")
        await there.layer.enter(TOPIC, "bob", b"B")
        for process in (here, there):
            assert await process.layer.members(TOPIC) == {"ann": b"A", "bob": b"B"}
        assert await here.layer.members("another") == {}

    async def test_entering_again_replaces_what_a_member_says(self, start: Start) -> None:
        here, there = await start(2)
        await there.layer.watch(TOPIC)
        await here.layer.enter(TOPIC, "ann", b"old")
        await here.layer.enter(TOPIC, "ann", b"new")
        assert await there.layer.members(TOPIC) == {"ann": b"new"}
        await there.heard.until(lambda: there.heard.present() == {"ann": b"new"})

    async def test_a_member_leaves(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.enter(TOPIC, "ann", b"A")
        await here.layer.enter(TOPIC, "bob", b"B")
        await here.layer.leave(TOPIC, "ann")
        assert await there.layer.members(TOPIC) == {"bob": b"B"}

    async def test_leaving_without_being_there_does_nothing(self, start: Start) -> None:
        here, there = await start(2)
        await there.layer.watch(TOPIC)
        await here.layer.leave(TOPIC, "nobody")
        await here.layer.enter(TOPIC, "ann", b"A")
        await there.heard.until(lambda: there.heard.present() == {"ann": b"A"})
        assert all(not change.left for _, change in there.heard.changes)

    async def test_a_process_cannot_remove_another_ones_member(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.enter(TOPIC, "ann", b"A")
        await there.layer.leave(TOPIC, "ann")
        assert await there.layer.members(TOPIC) == {"ann": b"A"}

    async def test_every_watching_process_hears_of_changes(self, start: Start) -> None:
        here, there, elsewhere = await start(3)
        for process in (here, there):
            await process.layer.watch(TOPIC)
        await here.layer.enter(TOPIC, "ann", b"A")
        for process in (here, there):
            await process.heard.until_present({"ann": b"A"})
        await here.layer.leave(TOPIC, "ann")
        for process in (here, there):
            await process.heard.until_present({})
            assert process.heard.changes[-1][1].left
        assert elsewhere.heard.changes == []

    async def test_presence_moves_no_position(self, start: Start) -> None:
        [here] = await start(1)
        before = await here.layer.publish(TOPIC, b"x", KEPT)
        await here.layer.enter(TOPIC, "ann", b"A")
        assert await here.layer.position(TOPIC) == before

    async def test_closing_lets_the_members_of_a_process_leave(self, start: Start) -> None:
        here, there = await start(2)
        await there.layer.watch(TOPIC)
        await there.layer.enter(TOPIC, "bob", b"B")
        await here.layer.enter(TOPIC, "ann", b"A")
        await here.layer.enter("another", "ann", b"A")
        await here.layer.close()
        await eventually(
            lambda: there.layer.members(TOPIC), lambda members: members == {"bob": b"B"}
        )
        await eventually(lambda: there.layer.members("another"), lambda members: members == {})
        await there.heard.until(lambda: there.heard.present() == {"bob": b"B"})

    # Life, names, sizes --------------------------------------------------------------------------

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
