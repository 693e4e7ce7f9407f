"""What the reference says is kept of CSP, over random schedules of senders, receivers, selects,
closes, cancellations and time-outs."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from seaway import Channel, ChannelClosed, TopicAddress, after, channel, select
from seaway.channels.delivery import Delivery
from seaway.conf import layer_home
from seaway.layers.queues import QueueState
from seaway.topics.follow import Follower
from tests.channels.play import AWAY, HOME, Move, Pace, moves, play, scripts, turns

Value = tuple[int, int]

#: No shrinking: the schedules are short, and one that hangs would be run for minutes.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
few = settings(
    max_examples=15,
    phases=PHASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
many = settings(few, max_examples=100)

_names = itertools.count()


def fresh(**options: Any) -> Channel:
    """A channel that no other schedule has used."""
    return channel(f"play-{next(_names)}", **options)


async def together(*actors: Any) -> None:
    async with asyncio.TaskGroup() as group:
        for actor in actors:
            group.create_task(actor)


async def send(
    pace: Pace, to: Channel, sender: int, script: list[Move], *, ordered: bool = False
) -> None:
    """Send numbers; one whose sending was cancelled is sent again, as one who cannot know does."""
    for number, move in enumerate(script):
        await pace.turns(move.pause)
        name = f"{sender}-{number}"
        order = f"{sender}" if ordered else ""
        sent = await pace.attempt(move, to.send((sender, number), once=name, order=order))
        if sent is None:
            await to.send((sender, number), once=name, order=order)


class Book:
    """What was received, and when enough of it was."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.values: list[Value] = []
        self.attempts: list[int] = []

    @property
    def full(self) -> bool:
        return len(self.values) >= self.expected

    def note(self, delivery: Delivery) -> None:
        self.values.append(tuple(delivery.value))
        self.attempts.append(delivery.attempt)

    def by_sender(self) -> dict[int, list[int]]:
        found = defaultdict(list)
        for sender, number in self.values:
            found[sender].append(number)
        return found


async def receive(pace: Pace, source: Channel, book: Book, script: list[Move]) -> None:
    """Receive as the script says, by turns with `select`, then until the book is full."""
    for number in itertools.count():
        move = script[number] if number < len(script) else Move(0, None)
        await pace.turns(move.pause)
        if book.full:
            return
        if number % 2:
            delivery = await pace.attempt(move, source.receive(wait=0.002))
        else:
            found = await pace.attempt(move, select(source, after(0.002)))
            delivery = found[1] if found else None
        if delivery is not None:
            book.note(delivery)
            assert await delivery.ack()


async def watch(source: Channel, most: int, book: Book) -> None:
    """There is never more in the channel than its capacity."""
    while not book.full:
        state = await source.state()
        assert state.waiting + state.delayed + state.held <= most
        await asyncio.sleep(0)


async def exchange(
    pace: Pace, capacity: int, senders: list[list[Move]], receivers: list[list[Move]]
) -> None:
    pipe = fresh(capacity=capacity)
    expected = [(s, n) for s, script in enumerate(senders) for n in range(len(script))]
    book = Book(len(expected))
    await together(
        *(send(pace, pipe, number, script) for number, script in enumerate(senders)),
        *(receive(pace, pipe, book, script) for script in receivers),
        watch(pipe, capacity, book),
    )
    assert Counter(book.values) == Counter(expected), "each value reaches exactly one receiver"
    assert set(book.attempts) <= {1}, "what was cancelled does not count as a delivery"
    assert await pipe.state() == QueueState()
    if len(receivers) == 1:
        for numbers in book.by_sender().values():
            assert numbers == sorted(numbers), "one receiver sees one sender's order"


actors = st.lists(scripts, min_size=1, max_size=3)


@many
@given(capacity=st.integers(1, 3), senders=actors, receivers=actors)
def test_each_value_reaches_one_receiver(
    capacity: int, senders: list[list[Move]], receivers: list[list[Move]]
) -> None:
    play(HOME, lambda: exchange(HOME, capacity, senders, receivers))


@few
@given(capacity=st.integers(1, 3), senders=actors, receivers=actors)
def test_each_value_reaches_one_receiver_on_another_loop(
    capacity: int, senders: list[list[Move]], receivers: list[list[Move]]
) -> None:
    play(AWAY, lambda: exchange(AWAY, capacity, senders, receivers))


# Order over many receivers -----------------------------------------------------------------------


async def work(source: Channel, fates: list[bool], done: Book, in_hand: Counter[int]) -> None:
    """Take, and give back for a while what fate says."""
    for number in itertools.count():
        if done.full:
            return
        delivery = await source.receive(wait=0.002)
        if delivery is None:
            continue
        sender = delivery.value[0]
        in_hand[sender] += 1
        assert in_hand[sender] == 1, "two of one order were in receivers' hands"
        await asyncio.sleep(0)
        in_hand[sender] -= 1
        if number < len(fates) and not fates[number]:
            assert await delivery.nack()
        else:
            done.note(delivery)
            assert await delivery.ack()


@many
@given(
    senders=actors,
    workers=st.lists(st.lists(st.booleans(), max_size=8), min_size=1, max_size=3),
    capacity=st.integers(1, 4),
)
def test_values_of_one_order_are_done_in_order_by_any_number_of_receivers(
    senders: list[list[Move]], workers: list[list[bool]], capacity: int
) -> None:
    async def schedule() -> None:
        pipe = fresh(capacity=capacity, tries=100)
        done, in_hand = Book(sum(map(len, senders))), Counter[int]()
        await together(
            *(send(HOME, pipe, n, script, ordered=True) for n, script in enumerate(senders)),
            *(work(pipe, fates, done, in_hand) for fates in workers),
        )
        for sender, numbers in done.by_sender().items():
            assert numbers == list(range(len(senders[sender])))

    play(HOME, schedule)


# Closing -----------------------------------------------------------------------------------------


@many
@given(
    senders=actors,
    receivers=st.integers(1, 3),
    closing=st.integers(0, 30),
    capacity=st.integers(1, 3),
)
def test_a_closed_channel_is_drained_then_ends_every_loop(
    senders: list[list[Move]], receivers: int, closing: int, capacity: int
) -> None:
    async def schedule() -> None:
        pipe = fresh(capacity=capacity)
        sent: list[Value] = []
        seen: list[Value] = []

        async def sends(sender: int, script: list[Move]) -> None:
            for number, move in enumerate(script):
                await HOME.turns(move.pause)
                try:
                    await pipe.send((sender, number))
                except ChannelClosed:
                    return
                sent.append((sender, number))

        async def receives() -> None:
            async for delivery in pipe:
                seen.append(tuple(delivery.value))
                await HOME.turns(1)
                assert await delivery.ack()

        async def closes() -> None:
            await HOME.turns(closing)
            await pipe.close()
            with pytest.raises(ChannelClosed):
                await pipe.send("too late")

        await together(
            *(sends(number, script) for number, script in enumerate(senders)),
            *(receives() for _ in range(receivers)),
            closes(),
        )
        assert Counter(seen) == Counter(sent)
        with pytest.raises(ChannelClosed):
            await pipe.receive()

    play(HOME, schedule)


# Select ------------------------------------------------------------------------------------------


class Selecting:
    """Values and events that are there already, and some that come while it is waited for them."""

    def __init__(self, pace: Pace, values: list[int], events: int) -> None:
        self.pace = pace
        self.values = values
        self.events = events
        self.sources = [fresh(tries=1) for _ in values]
        self.news = TopicAddress(f"play/{next(_names)}")
        self.got: list[tuple[str, int]] = []

    async def run(self, script: list[Move], later: list[int]) -> None:
        expected = {(self.news.name, number) for number in range(self.events + len(later))}
        for source, count in zip(self.sources, self.values, strict=True):
            for number in range(count):
                await source.send(number)
                expected.add((source.name, number))
        async with self.news.follow() as follower:
            for number in range(self.events):
                await self.news.apublish("news", number)
            await together(self.publish(later), self.select(follower, script, len(expected)))
        assert Counter(self.got) == Counter(expected)
        for name in {name for name, _ in self.got}:
            numbers = [number for at, number in self.got if at == name]
            assert numbers == sorted(numbers), "each source keeps its order"
        for source in self.sources:
            assert await source.state() == QueueState(), "nothing is held, nothing has died"

    async def publish(self, later: list[int]) -> None:
        for number, pause in enumerate(later, start=self.events):
            await self.pace.turns(pause)
            await self.news.apublish("news", number)

    async def select(self, follower: Follower, script: list[Move], most: int) -> None:
        for turn in itertools.count():
            if len(self.got) >= most:
                return
            move = script[turn] if turn < len(script) else Move(0, None)
            await self.pace.turns(move.pause)
            attempt = select(*self.sources, follower, after(0.01))
            found = await self.pace.attempt(move, attempt)
            if found is not None and found[1] is not None:
                await self.note(*found)

    async def note(self, source: Any, thing: Any) -> None:
        if isinstance(thing, Delivery):
            assert source.name == thing.channel
            assert await thing.ack(), "what was chosen is in our hands"
            self.got.append((source.name, thing.value))
        else:
            self.got.append((self.news.name, thing.payload))


contents = st.lists(st.integers(0, 4), min_size=1, max_size=3)


@many
@given(
    values=contents,
    events=st.integers(0, 4),
    script=st.lists(moves, max_size=20),
    later=st.lists(turns, max_size=4),
)
def test_select_takes_from_exactly_one(
    values: list[int], events: int, script: list[Move], later: list[int]
) -> None:
    play(HOME, lambda: Selecting(HOME, values, events).run(script, later))


@few
@given(
    values=contents,
    events=st.integers(0, 4),
    script=st.lists(moves, max_size=20),
    later=st.lists(turns, max_size=4),
)
def test_select_takes_from_exactly_one_on_another_loop(
    values: list[int], events: int, script: list[Move], later: list[int]
) -> None:
    play(AWAY, lambda: Selecting(AWAY, values, events).run(script, later))


# Another engine ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """A local layer in a short directory: the path of its socket has to fit into 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        yield f"local://{directory}"


@few
@given(
    capacity=st.integers(1, 3),
    senders=actors,
    receivers=actors,
    values=contents,
    script=scripts,
)
def test_all_of_it_on_the_local_engine(
    broker: str,
    capacity: int,
    senders: list[list[Move]],
    receivers: list[list[Move]],
    values: list[int],
    script: list[Move],
) -> None:
    async def schedule() -> None:
        assert "local broker" in layer_home().layer.describe()
        await exchange(HOME, capacity, senders, receivers)
        await Selecting(HOME, values, 2).run(script, [1, 2])

    with override_settings(SEAWAY={"LAYER": broker}):
        play(HOME, schedule)


# Tries -------------------------------------------------------------------------------------------


@many
@given(
    fates=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), max_size=8),
    receivers=st.integers(1, 3),
)
def test_a_value_is_done_once_or_dead_after_its_tries(
    fates: list[list[bool]], receivers: int
) -> None:
    """``fates``: for each value, whether its first, second and third delivery succeeds."""

    async def schedule() -> None:
        pipe = fresh(tries=3)
        done: list[int] = []
        for number in range(len(fates)):
            await pipe.send(number)

        async def works() -> None:
            async for delivery in pipe:
                try:
                    async with delivery as number:
                        await HOME.turns(1)
                        if not fates[number][delivery.attempt - 1]:
                            raise OSError("not this time")
                except OSError:
                    continue
                done.append(number)

        await pipe.close()
        await together(*(works() for _ in range(receivers)))
        letters = await layer_home().arun(lambda layer: layer.dead_letters(pipe.name))
        lost = sorted(int(letter.data) for letter in letters)
        assert sorted(done) == [number for number, fate in enumerate(fates) if any(fate)]
        assert lost == [number for number, fate in enumerate(fates) if not any(fate)]
        assert {letter.attempts for letter in letters} <= {3}

    play(HOME, schedule)
