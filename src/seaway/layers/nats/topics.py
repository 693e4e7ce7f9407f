"""What this process knows of topics: where each stands, and where its events are stored.

What lives here: `Topics`, a bounded cache that is corrected by looking.
What must not: publishing, watching and reading themselves.
"""

from __future__ import annotations

import asyncio
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
#: Seconds after which a server is asked again whose answer is older than what was seen.
AGAIN_SECONDS = (0.05, 0.1, 0.2, 0.4)


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

    __slots__ = ("_heard", "_latest", "_standing", "left_off", "name", "places", "subject")

    def __init__(self, name: str, subject: str) -> None:
        self.name = name
        self.subject = subject
        self.places = Places()
        #: Where its watcher stood when offsets began to be given twice, until that is told.
        self.left_off: Position | None = None
        self._standing: Standing | None = None
        self._heard: tuple[int, Events] | None = None
        self._latest: Standing | None = None

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
        latest = self.latest
        self._standing = standing
        self._latest = standing if standing is not None and standing.sequence else latest

    def learn(self, standing: Standing) -> None:
        """What was stored; older news are dropped."""
        before = self._standing
        if before is None or standing.sequence >= before.sequence:
            self._standing = self._latest = standing

    @property
    def latest(self) -> Standing | None:
        """The last standing with a message, also when it may be another one by now; None: it never
        had one."""
        return self.standing and self._latest if self._heard else self._latest

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

    async def look(
        self,
        topic: Topic,
        deadline: float = 0.0,
        *,
        least: int = 0,
        past: Position | None = None,
    ) -> Standing:
        """Where a topic stands now.

        A server that stood still may not know yet what its successor has stored. So an answer that
        is older than what this process was told, than the sequence ``least``, or than ``past``,
        where somebody else claims to have been, is asked for again.
        """
        latest, root = topic.latest, self.epochs.root
        if latest is not None and self.epochs.known(latest.epoch):
            least = max(least, latest.sequence)

        def older(found: Standing) -> bool:
            if self.epochs.root != root:
                return False
            before = past is not None and past.epoch == found.epoch and past.offset > found.offset
            return before or found.sequence < least

        standing = await self._ask(topic, deadline)
        # One server alone is not behind itself.
        for seconds in AGAIN_SECONDS if self._jetstream.api.replicas > 1 else ():
            if not older(standing):
                break
            await asyncio.sleep(seconds)
            standing = await self._ask(topic, deadline)
        # Only for what this process knows: anybody can claim to have been anywhere.
        if standing.sequence < least and older(standing):
            await self.epochs.prove()
            standing = await self._ask(topic, deadline)
        # Now it is the truth, also when it is behind what was seen before.
        topic.standing = standing
        return standing

    async def _ask(self, topic: Topic, deadline: float) -> Standing:
        return await self._standing(
            topic, await self._jetstream.archive.last(self.stream, topic.subject, deadline)
        )

    async def _standing(self, topic: Topic, last: Stored | None) -> Standing:
        if last is None:
            if topic.latest is not None:
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
        self._engine.flaws.add(f"The stream of {topic.name}")
        best = Standing(last.sequence, self.epochs.fresh(), 0)
        pieces = self._jetstream.archive.through(self.stream, topic.subject, 1, last.sequence, 200)
        async for piece in pieces:
            for stored in piece:
                found = events.parse(stored.header, len(stored.data))
                if found is not None and self.epochs.known(found.epoch):
                    best = Standing(
                        last.sequence, found.epoch, found.last, found.size, found.seconds
                    )
        return best
