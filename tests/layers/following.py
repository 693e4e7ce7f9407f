"""A client's view of a topic, over the real hub: what it got, and whether it was told of a gap.

What lives here: `Follower`, which checks the promise, and a publisher that knows what it was told.
What must not: faults.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence

from seaway.exceptions import LayerError
from seaway.layers.base import History, Layer, Position, Publication
from seaway.layers.hub import Hub
from seaway.layers.stream import EventsAlone
from tests.waiting import until

KEPT = History(size=50_000, seconds=600)


class _Encoding(EventsAlone):
    def event(self, topic: str, publication: Publication) -> bytes:
        position = publication.position
        return b"%s %d %s\n" % (position.epoch.encode(), position.offset, publication.data)

    def gap(self, topic: str) -> bytes:
        return b"gap\n"


class Follower:
    """A subscriber on one layer. After a gap it joins anew, as clients do.

    :ivar lives: what it got between two gaps: (position, data).
    """

    writable = True

    def __init__(self, layer: Layer, topic: str) -> None:
        self._layer = layer
        self._topic = topic
        self._joining: asyncio.Task[None] | None = None
        self.lives: list[list[tuple[Position, bytes]]] = [[]]
        self.hub: Hub

    async def start(self) -> Follower:
        self.hub = Hub(self._layer)
        await self._layer.start(self.hub)
        await self._join()
        return self

    async def stop(self) -> None:
        if self._joining is not None:
            self._joining.cancel()
            await asyncio.wait([self._joining])
        await self.hub.close()
        await self._layer.close()

    async def _join(self) -> None:
        while True:
            try:
                place = await self.hub.subscribe(self._topic, self, _Encoding(), replayable=True)
            except LayerError:
                await asyncio.sleep(0.05)
                continue
            self.hub.activate(place)
            return

    def write(self, frame: bytes) -> None:
        for line in frame.splitlines():
            if line == b"gap":
                self.lives.append([])
                self._joining = asyncio.get_running_loop().create_task(self._join())
            else:
                epoch, offset, data = line.split(b" ", 2)
                self.lives[-1].append((Position(epoch.decode(), int(offset)), data))

    def close(self, code: int = 0, reason: str = "") -> None:
        """Part of an outlet, unused: the topic keeps history."""

    @property
    def gaps(self) -> int:
        return len(self.lives) - 1

    def got(self) -> list[bytes]:
        return [data for life in self.lives for _, data in life]

    def check(self, told: Sequence[bytes]) -> None:
        """Every event once and in order; all that the publisher was told of, unless a gap was."""
        for life in self.lives:
            for (before, _), (after, _) in itertools.pairwise(life):
                assert after == Position(before.epoch, before.offset + 1), (before, after)
        got = self.got()
        assert len(got) == len(set(got)), "an event came twice"
        order = {data: number for number, data in enumerate(told)}
        numbers = [order[data] for data in got if data in order]
        assert numbers == sorted(numbers), "events came out of order"
        if not self.gaps:
            seen = set(got)
            missing = [data for data in told if data not in seen]
            assert not missing, f"lost in silence: {missing[:5]} of {len(missing)}"

    async def until_got(self, data: bytes, patience: float = 30.0) -> None:
        await until(lambda: any(life and life[-1][1] == data for life in self.lives), patience)

    async def until_current(self, publisher: Publisher, patience: float = 30.0) -> None:
        """Until it gets what is published; who was told of a gap joins where the stream is."""
        async with asyncio.timeout(patience):
            while True:
                last = await publisher.last()
                with contextlib.suppress(TimeoutError):
                    await self.until_got(last, 1.0)
                    return


class Publisher:
    """Publishes numbered events and keeps those of which it was told that they are published."""

    def __init__(self, layer: Layer, topic: str) -> None:
        self.layer = layer
        self._topic = topic
        self.told: list[bytes] = []
        self.failures = 0
        self._number = 0

    async def publish(self) -> bytes:
        """One event; an engine that cannot be reached is counted."""
        self._number += 1
        data = b"e%d" % self._number
        try:
            await self.layer.publish(self._topic, data, KEPT)
        except LayerError:
            self.failures += 1
        else:
            self.told.append(data)
        return data

    async def publish_until(self, end: asyncio.Event) -> None:
        while not end.is_set():
            await self.publish()
            await asyncio.sleep(0.002)

    async def last(self) -> bytes:
        """Publish until one is told to be published; it comes last."""
        while True:
            data = await self.publish()
            if self.told and self.told[-1] == data:
                return data
