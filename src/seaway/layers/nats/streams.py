"""Streams on the NATS engine.

What lives here: the stream part of the contract, by the parts that do it. What must not: the parts.
"""

from __future__ import annotations

from seaway.layers.base import (
    Gap,
    History,
    Layer,
    Page,
    Position,
    Receiver,
    check_limit,
    check_name,
    check_once,
    check_size,
)
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.once import Once
from seaway.layers.nats.publishing import Publisher
from seaway.layers.nats.reading import Reader
from seaway.layers.nats.topics import Topics
from seaway.layers.nats.watching import Watches


class NatsStreams(Layer):
    """The stream part of `layer.NatsLayer`."""

    _engine: Engine
    _topics: Topics
    _publisher: Publisher
    _once: Once
    _watches: Watches
    _reader: Reader
    _receiver: Receiver | None

    async def publish(
        self, topic: str, data: bytes, history: History | None = None, *, once: str = ""
    ) -> Position:
        check_name(topic)
        check_once(once)
        check_size(data, self.max_data)
        self._engine.opened()
        if once:
            return await self._once.publish(topic, data, history, once)
        return await self._publisher.publish(topic, data, history)

    async def watch(self, topic: str) -> Position:
        check_name(topic)
        self._engine.opened()
        assert self._receiver is not None  # noqa: S101  an open engine has been started
        return await self._watches.add(topic, self._receiver)

    async def unwatch(self, topic: str) -> None:
        check_name(topic)
        self._engine.opened()
        self._watches.remove(topic)

    async def read(self, topic: str, since: Position, limit: int = 100) -> Page | Gap:
        check_name(topic)
        check_limit(limit)
        self._engine.opened()
        known = self._topics.get(topic)
        if since == known.left_off:
            standing = await self._topics.look(known)
            known.left_off = None
            return Gap(standing.position)
        return await self._reader.read(known, since, limit)

    async def position(self, topic: str) -> Position:
        check_name(topic)
        self._engine.opened()
        return (await self._topics.look(self._topics.get(topic))).position
