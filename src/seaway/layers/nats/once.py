"""Publishing an event once, however often it is asked for.

What lives here: `Once`. What must not: publishing itself (`publishing`).

A record for the topic and the name says under which id the event goes out, and then its position.
It is stored before the event, on the condition that there is none; so of several who publish the
same, one does. Should that one die amid it, the next one looks for the id among the topic's
events: found, it was published, and otherwise it publishes itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets

import msgspec

from seaway.exceptions import LayerError, LayerUnavailable
from seaway.layers.base import PUBLISHED_ONCE_SECONDS, History, Position
from seaway.layers.nats import events, headers
from seaway.layers.nats.answers import Conflict, Stored
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.jetstream import Condition, JetStream
from seaway.layers.nats.publishing import Publisher
from seaway.layers.nats.subjects import Streams, Subjects
from seaway.layers.nats.topics import Topics

#: Seconds between two looks whether another process has done it.
LOOK_SECONDS = 0.05


class _Record(msgspec.Struct, frozen=True):
    """``after``: the topic's last sequence before; ``epoch`` empty: not known to be published."""

    id: str
    after: int
    epoch: str = ""
    offset: int = 0


_decoder = msgspec.json.Decoder(_Record)


class Once:
    """What this process publishes once."""

    def __init__(
        self,
        engine: Engine,
        jetstream: JetStream,
        topics: Topics,
        publisher: Publisher,
        streams: Streams,
        subjects: Subjects,
    ) -> None:
        self._engine = engine
        self._jetstream = jetstream
        self._topics = topics
        self._publisher = publisher
        self._stream = streams.presence
        self._subjects = subjects

    async def publish(
        self, topic: str, data: bytes, history: History | None, once: str
    ) -> Position:
        digest = hashlib.sha256(once.encode()).hexdigest()[:32]
        subject = self._subjects.once(topic, digest)
        deadline = self._engine.loop.time() + self._engine.timeout
        found = await self._jetstream.archive.last(self._stream, subject)
        while True:
            if found is not None:
                position = await self._published(topic, subject, found, deadline)
                if position is not None:
                    return position
            standing = await self._topics.look(self._topics.get(topic))
            record = _Record(secrets.token_hex(6), standing.sequence)
            try:
                claim = await self._store(subject, record, found.sequence if found else 0)
                break
            except Conflict:
                found = await self._jetstream.archive.last(self._stream, subject)
        if self._engine.loop.time() >= deadline:
            # Another process may take this one for dead by now.
            raise LayerUnavailable(f"{topic} was not published to in time.")
        position = await self._publisher.publish(topic, data, history, record.id)
        await self._note(subject, record, position, claim)
        return position

    async def _published(
        self, topic: str, subject: str, found: Stored, deadline: float
    ) -> Position | None:
        """Where the event of a record is; None: it was not published, and nobody is about to."""
        while True:
            try:
                record = _decoder.decode(found.data)
            except msgspec.DecodeError:
                self._engine.flaws.add(f"What was published once on {topic}")
                return None
            if record.epoch:
                return Position(record.epoch, record.offset)
            if self._engine.clock.now() - found.time > 2 * self._engine.timeout:
                position = await self._look_for(topic, record)
                if position is not None:
                    await self._note(subject, record, position, found.sequence)
                return position
            self._jetstream.api.check_time(deadline, LayerError("another process is publishing it"))
            await asyncio.sleep(LOOK_SECONDS)
            again = await self._jetstream.archive.last(self._stream, subject)
            if again is None:
                return None
            found = again

    async def _look_for(self, topic: str, record: _Record) -> Position | None:
        known = self._topics.get(topic)
        standing = await self._topics.look(known, least=record.after)
        pieces = self._jetstream.archive.through(
            self._topics.stream, known.subject, record.after + 1, standing.sequence, 200
        )
        async for piece in pieces:
            for stored in piece:
                event = events.parse(stored.header, len(stored.data))
                if event is not None and event.id == record.id:
                    return Position(event.epoch, event.offset)
        return None

    async def _note(self, subject: str, record: _Record, position: Position, claim: int) -> None:
        done = _Record(record.id, record.after, position.epoch, position.offset)
        try:
            await self._store(subject, done, claim)
        except Conflict:
            return  # another one has noted it

    async def _store(self, subject: str, record: _Record, last: int) -> int:
        # Counted from the last of its records: a little longer than it has to be.
        values = {headers.TTL: b"%ds" % int(PUBLISHED_ONCE_SECONDS + 60)}
        data = msgspec.json.encode(record)
        return await self._jetstream.store(subject, data, values, Condition(last))
