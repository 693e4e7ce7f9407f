"""Schedules of senders, receivers, selects, closes, cancellations and time-outs, and what has to
hold after each: what the reference says is kept of CSP.

What lives here: the schedules, on whatever layer is set. What must not: which ones are run, or on
which engine; those are the tests'.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter, defaultdict
from typing import Any

import pytest

from seaway import Channel, ChannelClosed, TopicAddress, after, channel, select
from seaway.channels.delivery import Delivery
from seaway.conf import layer_home
from seaway.layers.queues import QueueState
from seaway.topics.follow import Follower
from tests.channels.play import HOME, Move, Pace

Value = tuple[int, int]


_names = itertools.count()


def fresh(**options: Any) -> Channel:
    """A channel that no other schedule has used."""
    return channel(f"play-{os.getpid()}-{next(_names)}", **options)


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


async def in_order(senders: list[list[Move]], workers: list[list[bool]], capacity: int) -> None:
    """Values of one order are done in order by any number of receivers."""
    pipe = fresh(capacity=capacity, tries=100)
    done, in_hand = Book(sum(map(len, senders))), Counter[int]()
    await together(
        *(send(HOME, pipe, n, script, ordered=True) for n, script in enumerate(senders)),
        *(work(pipe, fates, done, in_hand) for fates in workers),
    )
    for sender, numbers in done.by_sender().items():
        assert numbers == list(range(len(senders[sender])))


# Closing -----------------------------------------------------------------------------------------


async def drained(senders: list[list[Move]], receivers: int, closing: int, capacity: int) -> None:
    """A closed channel is drained, then ends every loop."""
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


# Select ------------------------------------------------------------------------------------------


class Selecting:
    """Values and events that are there already, and some that come while it is waited for them."""

    def __init__(self, pace: Pace, values: list[int], events: int) -> None:
        self.pace = pace
        self.values = values
        self.events = events
        self.sources = [fresh(tries=1) for _ in values]
        self.news = TopicAddress(f"play/{os.getpid()}/{next(_names)}")
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


# Tries -------------------------------------------------------------------------------------------


async def tried(fates: list[list[bool]], receivers: int) -> None:
    """A value is done once, or dead after its tries. ``fates``: for each value, whether its first,
    second and third delivery succeeds."""
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
