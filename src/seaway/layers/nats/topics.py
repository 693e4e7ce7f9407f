"""What this process knows of topics: where each stands, and where its events are stored.

What lives here: `Topics`, a bounded cache that is corrected by looking.
What must not: publishing, watching and reading themselves.
"""

from __future__ import annotations

from bisect import bisect_right

import msgspec

from seaway.layers.base import Position
from seaway.layers.nats import events
from seaway.layers.nats.answers import Stored
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.epochs import Epochs
from seaway.layers.nats.events import Events
from seaway.layers.nats.jetstream import JetStream
from seaway.layers.nats.subjects import Subjects

#: Topics that are remembered, and places of events for each.
TOPICS, PLACES = 10_000, 2048


class Standing(msgspec.Struct, frozen=True):
    """Where a topic stands. ``sequence``: of its last message, 0 without one; ``size`` and
    ``seconds``: the history that its last publisher wanted."""

    sequence: int
    epoch: str
    offset: int
    size: int = 0
    seconds: float = 0.0

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.offset)


class Places:
    """First offset → sequence of the messages of one epoch, as far as they were seen."""

    __slots__ = ("_epoch", "_sequences")

    def __init__(self) -> None:
        self._epoch = ""
        self._sequences: dict[int, int] = {}

    def note(self, epoch: str, offset: int, sequence: int) -> None:
        if epoch != self._epoch:
            self._epoch = epoch
            self._sequences = {}
        self._sequences[offset] = sequence
        if len(self._sequences) > PLACES:
            for old in sorted(self._sequences)[: PLACES // 2]:
                del self._sequences[old]

    def before(self, epoch: str, offset: int) -> int | None:
        """The sequence of a message that has this event, or of one before it."""
        if epoch != self._epoch:
            return None
        found = self._sequences.get(offset)
        if found is not None:
            return found
        offsets = sorted(self._sequences)
        at = bisect_right(offsets, offset)
        return self._sequences[offsets[at - 1]] if at else None


class Topic:
    """One topic as this process knows it."""

    __slots__ = ("_heard", "_standing", "_used", "name", "places", "subject")

    def __init__(self, name: str, subject: str) -> None:
        self.name = name
        self.subject = subject
        self.places = Places()
        self._standing: Standing | None = None
        self._heard: tuple[int, Events] | None = None
        self._used = False

    @property
    def standing(self) -> Standing | None:
        """Not older than what this process was told; None: unknown."""
        if self._heard is not None:
            sequence, heard = self._heard
            self._heard = None
            self.learn(Standing(sequence, heard.epoch, heard.last, heard.size, heard.seconds))
        return self._standing

    @standing.setter
    def standing(self, standing: Standing | None) -> None:
        self._used = self.used or (standing is not None and standing.sequence > 0)
        self._standing = standing
        self._heard = None

    def learn(self, standing: Standing) -> None:
        """What was stored; older news are dropped."""
        self._used = True
        before = self._standing
        if before is None or standing.sequence >= before.sequence:
            self._standing = standing

    @property
    def used(self) -> bool:
        """Whether it had a message once."""
        return self._used or self._heard is not None

    def hear(self, sequence: int, heard: Events) -> None:
        """What was told of a watched topic, to be looked at when it is needed."""
        self._heard = sequence, heard
        self.places.note(heard.epoch, heard.offset, sequence)


class Topics:
    """All topics that this process used lately."""

    def __init__(
        self,
        engine: Engine,
        jetstream: JetStream,
        epochs: Epochs,
        stream: str,
        subjects: Subjects,
    ) -> None:
        self._engine = engine
        self._jetstream = jetstream
        self.epochs = epochs
        self.stream = stream
        self._subjects = subjects
        self._topics: dict[str, Topic] = {}

    def get(self, name: str) -> Topic:
        topic = self._topics.pop(name, None)
        if topic is None:
            topic = Topic(name, self._subjects.topic(name))
            if len(self._topics) >= TOPICS:
                del self._topics[next(iter(self._topics))]
        self._topics[name] = topic  # at the end: the least recently used goes first
        return topic

    def forget_standings(self) -> None:
        """The stream is another one."""
        for topic in self._topics.values():
            topic.standing = None

    async def look(self, topic: Topic, deadline: float = 0.0) -> Standing:
        """Where a topic stands now, from the one server that decides."""
        last = await self._jetstream.last(self.stream, topic.subject, deadline)
        standing = await self._standing(topic, last)
        # Looking is the truth, also when it is behind what was seen before.
        topic.standing = standing
        return standing

    async def _standing(self, topic: Topic, last: Stored | None) -> Standing:
        if last is None:
            if topic.used:
                await self.epochs.refresh()  # its stream may be another one by now
            return Standing(0, self.epochs.fresh(), 0)
        found = events.parse(last.header, len(last.data))
        if found is None:
            return await self._behind_corruption(topic, last)
        if not self.epochs.known(found.epoch):
            await self.epochs.refresh()
            if not self.epochs.known(found.epoch):
                return Standing(last.sequence, self.epochs.fresh(), 0)
        topic.places.note(found.epoch, found.offset, last.sequence)
        return Standing(last.sequence, found.epoch, found.last, found.size, found.seconds)

    async def _behind_corruption(self, topic: Topic, last: Stored) -> Standing:
        """The last message is not ours: the last that is says where the topic stands."""
        self._engine.flaw(f"The stream of {topic.name}")
        best = Standing(last.sequence, self.epochs.fresh(), 0)
        start = 1
        while start <= last.sequence:
            batch = await self._jetstream.batch(self.stream, topic.subject, start, 200)
            for stored in batch.messages:
                found = events.parse(stored.header, len(stored.data))
                if found is not None and self.epochs.known(found.epoch):
                    best = Standing(
                        last.sequence, found.epoch, found.last, found.size, found.seconds
                    )
            if not batch.pending or not batch.messages:
                break
            start = batch.messages[-1].sequence + 1
        return best
