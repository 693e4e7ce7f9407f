"""One connection: every answer reaches who asked, whatever is confirmed in between."""

from __future__ import annotations

import asyncio

from seaway.layers.base import Position, PresenceChange, Publication
from tests.layers.redis.support import namespace, processes, redis_layer
from tests.servers.valkey import Valkey
from tests.waiting import until


class _Ear:
    """A receiver that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bytes]] = []

    def published(self, topic: str, publication: Publication) -> None:
        self.told.append((topic, publication.data))

    def presence_changed(self, topic: str, change: PresenceChange) -> None:
        """Nobody is present."""

    def restored(self, topic: str, position: Position) -> None:
        raise AssertionError("nothing was lost")


async def test_several_subscriptions_may_end_at_once(valkey: Valkey) -> None:
    [watcher] = await processes(valkey.url, 1, name := namespace())
    other = redis_layer(valkey.url, name)
    ear = _Ear()
    await other.start(ear)
    layer = watcher.layer
    try:
        topics = [f"halls/{number}" for number in range(20)]
        for topic in topics:
            await layer.publish(topic, b"before")
        for _ in range(3):
            positions = await asyncio.gather(*(other.watch(topic) for topic in topics))
            assert [position.offset for position in positions] == [1] * len(topics)
            await asyncio.gather(*(other.unwatch(topic) for topic in topics))
        assert (await other.watch(topics[0])).offset == 1
        await layer.publish(topics[0], b"after")
        await until(lambda: bool(ear.told))
        assert ear.told == [(topics[0], b"after")]
    finally:
        await layer.close()
        await other.close()
