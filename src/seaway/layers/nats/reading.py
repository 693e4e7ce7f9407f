"""Reading a topic's past.

What lives here: `Reader`: finding the first event that is wanted, and what of the stored is kept by
its history. What must not: where a topic stands (`topics`).

The stream keeps more than histories ask for (it is trimmed now and then), so what may be read is
decided here: an event counts as kept while every message from its own to the last wants it kept.
"""

from __future__ import annotations

from seaway.layers.base import Gap, Page, Position, Publication
from seaway.layers.nats import events
from seaway.layers.nats.answers import Stored
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.events import Events
from seaway.layers.nats.jetstream import JetStream
from seaway.layers.nats.topics import Standing, Topic, Topics

#: A page ends when it holds so many bytes, or so many events.
PAGE_BYTES, PAGE_EVENTS = 4 * 1024 * 1024, 5000
#: Histories up to this size are read through from their beginning to find an event; in longer ones
#: its message is searched for.
READ_THROUGH = 200
#: Messages of one request.
TOGETHER = 250


class _Kept:
    """Collects the events after an offset, as long as there is no hole."""

    def __init__(self, since: Position, standing: Standing, now: float, limit: int) -> None:
        self.found: list[Publication] = []
        self.broken = False
        self._since = since
        self._standing = standing
        self._now = now
        self._limit = limit
        self._size = 0
        self._next = since.offset + 1

    @property
    def full(self) -> bool:
        return len(self.found) >= self._limit or self._size > PAGE_BYTES

    @property
    def complete(self) -> bool:
        return self._next > self._standing.offset

    def take(self, stored: Stored, message: Events) -> None:
        if message.epoch != self._since.epoch or message.last < self._next:
            return
        seconds = min(message.seconds, self._standing.seconds)
        if message.offset > self._next or self._now - stored.time >= seconds:
            self.broken = True
            return
        if message.last - message.size > self._since.offset:
            # With this message, what was wanted first had ceased to be kept.
            self.found.clear()
            self.broken = True
            return
        for publication in message.publications(stored.data):
            offset = publication.position.offset
            if offset < self._next or offset > self._standing.offset:
                continue
            self._size += len(publication.data)
            if self.found and self.full:
                return
            self.found.append(publication)
            self._next = offset + 1


class Reader:
    """Reads for this process."""

    def __init__(self, engine: Engine, jetstream: JetStream, topics: Topics) -> None:
        self._engine = engine
        self._jetstream = jetstream
        self._topics = topics

    async def read(self, topic: Topic, since: Position, limit: int) -> Page | Gap:
        standing = await self._topics.look(topic, past=since)
        position = standing.position
        if since.epoch != position.epoch or not 0 <= since.offset <= position.offset:
            return Gap(position)
        if since == position:
            return Page((), position)
        if position.offset - standing.size > since.offset:
            return Gap(position)
        kept = _Kept(since, standing, self._engine.clock.now(), min(limit, PAGE_EVENTS))
        await self._collect(topic, kept, standing, since.offset + 1)
        return Page(kept.found, position) if kept.found else Gap(position)

    async def _collect(self, topic: Topic, kept: _Kept, standing: Standing, first: int) -> None:
        start = await self._start(topic, standing, first)
        pieces = self._jetstream.archive.through(
            self._topics.stream, topic.subject, start, standing.sequence, TOGETHER, PAGE_BYTES
        )
        async for piece in pieces:
            for stored in piece:
                message = events.parse(stored.header, len(stored.data))
                if message is None:
                    self._engine.flaws.add(f"An event of {topic.name}")
                    continue
                topic.places.note(message.epoch, message.offset, stored.sequence)
                kept.take(stored, message)
                if kept.full or kept.broken or kept.complete:
                    return

    async def _start(self, topic: Topic, standing: Standing, first: int) -> int:
        """The sequence from which on to read for an offset."""
        place = topic.places.before(standing.epoch, first)
        if place is not None:
            return place
        if standing.size <= READ_THROUGH:
            return 1
        low, high = 1, standing.sequence
        while low < high:
            middle = (low + high) // 2
            batch = await self._jetstream.archive.batch(
                self._topics.stream, topic.subject, middle, 1
            )
            if not batch.messages:
                high = middle
                continue
            [stored] = batch.messages
            message = events.parse(stored.header, len(stored.data))
            if message is None or message.epoch != standing.epoch or message.last < first:
                low = stored.sequence + 1
            else:
                high = middle
        return low
