"""Who publishes and who receives: Seaway on any engine, and the bare client of each.

What lives here: one class for each, with the same orders. What must not: figures.

An event has 200 bytes and begins with when it was published, on the clock that all processes of a
machine share, in 19 digits.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from seaway.layers.base import History, Publication
from seaway.layers.engines import make_layer
from seaway.layers.hub import Hub
from seaway.layers.stream import EventsAlone

TOPIC = "bench"
SIZE, DIGITS = 200, 19
_REST = b"x" * (SIZE - DIGITS)
_UNSTAMPED = b"0" * DIGITS + _REST
#: Events of a flood that are published without waiting in between.
_TURN = 250

Answer = dict[str, Any]


def make(kind: str, url: str) -> Party:
    return {
        "seaway": Seaway,
        "seaway-history": SeawayWithHistory,
        "redis": Redis,
        "nats": Nats,
        "postgres": Postgres,
        "postgres-stored": PostgresStored,
        "unix": Unix,
    }[kind](url)


class Party:
    """Orders, and what all do alike: `_publish_all` and `_listen` are each one's own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.count = 0
        self.delays = array("q")

    async def start(self) -> None:
        """Connect."""

    async def listen(self) -> Answer:
        """Follow the topic; again: one more subscriber of this process."""
        await self._listen()
        return {}

    async def heard(self) -> Answer:
        """What came since the last time."""
        answer = {"count": self.count, "delays": list(self.delays)}
        self.count = 0
        self.delays = array("q")
        return answer

    async def so_far(self) -> Answer:
        return {"count": self.count}

    async def ping(self, count: int, pause: float) -> Answer:
        """One event after the other, with pauses, each with its time."""
        for _ in range(count):
            await self._publish_all([b"%019d" % time.monotonic_ns() + _REST])
            await asyncio.sleep(pause)
        return {}

    async def flood(self, count: int) -> Answer:
        """Many events, and at the end one with its time, which is the answer's ``last``."""
        for _ in range(count // _TURN):
            await self._publish_all([_UNSTAMPED] * _TURN)
        last = time.monotonic_ns()
        await self._publish_all([b"%019d" % last + _REST])
        return {"last": last}

    def _got(self, data: bytes | str) -> None:
        self.count += 1
        stamp = int(data[:DIGITS])
        if stamp:
            self.delays.append(time.monotonic_ns() - stamp)

    async def _listen(self) -> None:
        raise NotImplementedError

    async def _publish_all(self, events: Sequence[bytes]) -> None:
        raise NotImplementedError


class Seaway(EventsAlone, Party):
    """Subscribers on the hub."""

    history: History | None = None
    topic = TOPIC

    async def start(self) -> None:
        self.layer = make_layer(self.url, namespace="bench", place="bench")
        self.hub = Hub(self.layer)
        await self.layer.start(self.hub)

    async def _listen(self) -> None:
        outlet = _Outlet(self._got)
        self.hub.activate(await self.hub.subscribe(self.topic, outlet, self, replayable=True))

    async def _publish_all(self, events: Sequence[bytes]) -> None:
        if len(events) == 1:
            await self.layer.publish(self.topic, events[0], self.history)
        else:
            publish, topic, history = self.layer.publish, self.topic, self.history
            await asyncio.gather(*[publish(topic, event, history) for event in events])

    # Encoding of the hub.

    def event(self, topic: str, publication: Publication) -> bytes:
        return publication.data

    def gap(self, topic: str) -> bytes:
        raise AssertionError("a gap in a benchmark")


class SeawayWithHistory(Seaway):
    history = History(size=1000, seconds=300.0)
    topic = "bench-history"


class _Outlet:
    """One subscriber: gets whole events, several at once when they came at once."""

    writable = True

    def __init__(self, got: Callable[[bytes], None]) -> None:
        self._got = got

    def write(self, frame: bytes) -> None:
        for at in range(0, len(frame), SIZE):
            self._got(frame[at : at + DIGITS])

    def close(self, code: int, reason: str = "") -> None:
        """Nobody does."""


class Redis(Party):
    """redis-py with hiredis: PUBLISH and SUBSCRIBE."""

    async def start(self) -> None:
        import redis.asyncio

        self.client = redis.asyncio.from_url(self.url)
        await self.client.ping()

    async def _listen(self) -> None:
        pubsub = self.client.pubsub(ignore_subscribe_messages=True)
        await pubsub.subscribe(TOPIC)
        self.task = asyncio.create_task(self._follow(pubsub))

    async def _follow(self, pubsub: Any) -> None:
        async for message in pubsub.listen():
            self._got(message["data"])

    async def _publish_all(self, events: Sequence[bytes]) -> None:
        if len(events) == 1:
            await self.client.publish(TOPIC, events[0])
            return
        async with self.client.pipeline(transaction=False) as pipeline:
            for event in events:
                pipeline.publish(TOPIC, event)
            await pipeline.execute()


class Nats(Party):
    """nats-py: core publish, and a subscription with a callback."""

    async def start(self) -> None:
        import nats

        self.client = await nats.connect(self.url)

    async def _listen(self) -> None:
        await self.client.subscribe(TOPIC, cb=self._on_message)
        await self.client.flush()

    async def _on_message(self, message: Any) -> None:
        self._got(message.data)

    async def _publish_all(self, events: Sequence[bytes]) -> None:
        for event in events:
            await self.client.publish(TOPIC, event)
        await self.client.flush()


class Postgres(Party):
    """psycopg: LISTEN and NOTIFY, a transaction for each event or turn of a flood."""

    topic = TOPIC

    async def start(self) -> None:
        import psycopg

        connection = psycopg.AsyncConnection.connect(self.url, autocommit=True)
        self.connection: psycopg.AsyncConnection = await connection

    async def _listen(self) -> None:
        await self.connection.execute(f"LISTEN {self.topic}")
        self.task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        async for notification in self.connection.notifies():
            self._got(notification.payload)

    async def _publish_all(self, events: Sequence[bytes]) -> None:
        # Equal ones of one transaction would be one notification: each says which one it is.
        if len(events) == 1:
            await self.connection.execute(
                "SELECT pg_notify(%s, %s)", (self.topic, events[0].decode())
            )
            return
        await self.connection.execute(
            "SELECT pg_notify(%s, left(%s, -6) || lpad(n::text, 6, '0')) "
            "FROM generate_series(1, %s) n",
            (self.topic, events[0].decode(), len(events)),
        )


class PostgresStored(Postgres):
    """The same, with a row inserted in the same transaction: what anything costs that is kept."""

    topic = "bench_stored"

    async def start(self) -> None:
        await super().start()
        await self.connection.execute(
            "SELECT pg_advisory_lock(1); "
            "CREATE TABLE IF NOT EXISTS bench_events (id bigserial PRIMARY KEY, data text); "
            "SELECT pg_advisory_unlock(1)"
        )

    async def _publish_all(self, events: Sequence[bytes]) -> None:
        await self.connection.execute(
            "WITH stored AS (INSERT INTO bench_events (data) "
            "SELECT %s FROM generate_series(1, %s) RETURNING id, data) "
            "SELECT pg_notify(%s, left(data, -6) || lpad((id %% 1000000)::text, 6, '0')) "
            "FROM stored",
            (events[0].decode(), len(events), self.topic),
        )


class Unix(Party):
    """A connection to `relay`, which writes what one end says to the others."""

    async def start(self) -> None:
        path = urlsplit(self.url).path
        self.reader, self.writer = await asyncio.open_unix_connection(path)

    async def _listen(self) -> None:
        self.writer.write(b"L" * SIZE)
        await self.reader.readexactly(1)
        self.task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        while True:
            self._got(await self.reader.readexactly(SIZE))

    async def _publish_all(self, events: Sequence[bytes]) -> None:
        self.writer.write(b"".join(events))
        # As the others, it is told that this was received.
        await self.reader.readexactly(len(events))
