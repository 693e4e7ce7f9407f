"""Watched topics: what is told of them, and whether something was lost on the way.

What lives here: `Watch`, one watched topic, and `Watches`, all of this process.
What must not: the stored past; that is `reading`'s.

The subscription is placed first and the standing looked up behind it, on the same connection: the
two make one cut, in a cluster too, where both take the same route to the server that decides. What
the server tells (it republishes what it has stored) is in order, but may be lost between servers or
while a connection is made anew: then the next event shows the hole, or the check does.
"""

from __future__ import annotations

import asyncio
import logging

from seaway.exceptions import LayerError, LayerUnavailable
from seaway.layers.base import Position, PresenceChange, Publication, Receiver
from seaway.layers.nats import events, headers
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.epochs import Epochs
from seaway.layers.nats.jetstream import JetStream
from seaway.layers.nats.requests import Message, NoAnswer, NobodyThere
from seaway.layers.nats.subjects import Subjects, name
from seaway.layers.nats.topics import Standing, Topic, Topics

logger = logging.getLogger("seaway.layers")

#: Seconds between two checks, and topics that one looks at.
CHECK_SECONDS, CHECKED = 2.0, 200
#: Topics that are looked up at the same time after an outage.
AT_ONCE = 100


class Watch:
    """One watched topic. ``told_at``: the last sequence that was told or looked up."""

    __slots__ = (
        "_early",
        "_epochs",
        "_receiver",
        "epoch",
        "offset",
        "sid",
        "steady",
        "told_at",
        "topic",
    )

    def __init__(self, topic: Topic, receiver: Receiver, epochs: Epochs) -> None:
        self.topic = topic
        self._epochs = epochs
        self._receiver = receiver
        self._early: list[tuple[int, list[Publication]]] = []
        self.sid = 0
        self.epoch, self.offset, self.told_at = "", 0, 0
        #: Whether the standing is known from which on it is told.
        self.steady = False

    def begin(self, standing: Standing) -> Position:
        """Tell from here on."""
        self.epoch, self.offset = standing.epoch, standing.offset
        self.told_at = standing.sequence
        self.steady = True
        early, self._early = self._early, []
        for sequence, publications in early:
            self._tell(sequence, publications)
        return standing.position

    def told(self, message: Message) -> None:
        if message.subject.endswith(b".p"):
            self._presence(message)
            return
        found = events.parse(message.header, len(message.data))
        if found is None:
            return  # who reads counts it
        sequence = headers.number(message.header, headers.SEQUENCE)
        self._epochs.see(sequence)
        self.topic.hear(sequence, found)
        publications = found.publications(message.data)
        if self.steady:
            self._tell(sequence, publications)
        else:
            self._early.append((sequence, publications))

    def _tell(self, sequence: int, publications: list[Publication]) -> None:
        if sequence <= self.told_at:
            return
        self.told_at = sequence
        published, topic = self._receiver.published, self.topic.name
        first, last = publications[0].position, publications[-1].position
        if first.epoch == self.epoch and first.offset <= self.offset:
            # It was stored after what has this offset, too: somebody has removed messages. It must
            # not pass for one that is known.
            self.topic.left_off = Position(self.epoch, self.offset)
            self._receiver.restored(topic, last)
            publications = []
        for publication in publications:
            published(topic, publication)
        self.epoch, self.offset = last.epoch, last.offset

    def _presence(self, message: Message) -> None:
        if not self.steady:
            return
        said = headers.value(message.header, headers.MEMBER)
        subject = headers.value(message.header, headers.SUBJECT)
        if said is None or subject is None:
            return
        member = name(subject.decode().rsplit(".", 2)[1])
        if said.endswith(b" out"):
            change = PresenceChange(entered={}, left=(member,))
        else:
            change = PresenceChange(entered={member: message.data}, left=())
        self._receiver.presence_changed(self.topic.name, change)

    def restored(self, standing: Standing) -> None:
        """Looked up again: the receiver compares."""
        position = self.begin(standing)
        self._receiver.restored(self.topic.name, position)


class Watches:
    """All watched topics of this process."""

    def __init__(
        self,
        engine: Engine,
        jetstream: JetStream,
        topics: Topics,
        epochs: Epochs,
        subjects: Subjects,
    ) -> None:
        self._engine = engine
        self._jetstream = jetstream
        self._topics = topics
        self._epochs = epochs
        self._subjects = subjects
        self._watches: dict[str, Watch] = {}
        self._to_check: list[str] = []
        self._checked_up_to = 0

    async def add(self, topic: str, receiver: Receiver) -> Position:
        engine = self._engine
        watch = Watch(self._topics.get(topic), receiver, self._epochs)
        self._watches[topic] = watch
        watch.sid = engine.subscribe(self._subjects.news(topic), watch.told)
        try:
            return watch.begin(await self._topics.look(watch.topic))
        except BaseException:
            self._drop(watch)
            raise

    def remove(self, topic: str) -> None:
        watch = self._watches.get(topic)
        if watch is not None:
            self._drop(watch)

    def _drop(self, watch: Watch) -> None:
        self._engine.unsubscribe(watch.sid)
        if self._watches.get(watch.topic.name) is watch:
            del self._watches[watch.topic.name]

    # After an outage -----------------------------------------------------------------------------

    async def restore(self) -> None:
        """Look all of them up again and tell the receiver."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def restore(watch: Watch) -> None:
            async with limit:
                standing = await self._topics.look(watch.topic)
                if self._watches.get(watch.topic.name) is watch and watch.steady:
                    watch.restored(standing)

        await asyncio.gather(*(restore(watch) for watch in list(self._watches.values())))

    # Lost in silence -----------------------------------------------------------------------------

    async def keep_checking(self) -> None:
        """Every few seconds, see whether something was stored that was not told."""
        while not self._engine.closed:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await self._check()
            except (LayerUnavailable, NoAnswer, NobodyThere) as error:
                logger.debug("watched topics were not checked: %s", error)
            except LayerError as error:
                logger.warning("watched topics could not be checked: %s", error)

    async def _check(self) -> None:
        if await self._epochs.check():
            logger.warning("a new epoch has begun for all topics")
            self._topics.forget_standings()
            await self.restore()
            return
        if not self._to_check:
            if self._epochs.seen == self._checked_up_to:
                return  # nothing was stored since all were found in order
            self._checked_up_to = self._epochs.seen
            self._to_check = list(self._watches)
        some = self._to_check[-CHECKED:]
        del self._to_check[-CHECKED:]
        watches = [watch for name in some if (watch := self._watches.get(name)) is not None]
        await asyncio.gather(*(self._check_one(watch) for watch in watches if watch.steady))

    async def _check_one(self, watch: Watch) -> None:
        topic = watch.topic
        before = watch.told_at
        batch = await self._jetstream.archive.batch(
            self._topics.stream, topic.subject, before + 1, 1
        )
        if not batch.messages or not watch.steady:
            return
        # It may be on its way at this moment: what comes after the answer was not lost.
        await self._engine.round_trip()
        if watch.told_at == before and self._watches.get(topic.name) is watch:
            logger.warning("news of %s were lost; looking it up", topic.name)
            watch.restored(await self._topics.look(topic))
