"""``python -m soak.visitor URL``: a process whose subscribers join and leave as fast as they can.

What lives here: the process. What must not: counting over several of them; its reader does.

Its last line is ``V joins holes repeats wrong``: how often it has joined, what was missing or came
twice between a join and its leave, and in how many topics the members were not, at last, the two
who stayed, or their number was not 2.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random

from seaway.exceptions import LayerError
from seaway.layers.base import Layer, Publication
from seaway.layers.engines import make_layer
from seaway.layers.hub import Hub
from seaway.layers.stream import EventsAlone

#: Seconds for which the members may be others than they should at last.
_PATIENCE = 30.0


class _Words(EventsAlone):
    """Frames are what `_Visit` reads."""

    def event(self, topic: str, publication: Publication) -> bytes:
        return b"%s %d\n" % (publication.position.epoch.encode(), publication.position.offset)

    def gap(self, topic: str) -> bytes:
        return b"gap\n"


_WORDS = _Words()


class _Visit:
    """One subscriber between its join and its leave; an outlet of the hub."""

    writable = True

    def __init__(self) -> None:
        self.holes = self.repeats = 0
        self._epoch = b""
        self._last = 0

    def begin(self, epoch: str, offset: int) -> None:
        self._epoch, self._last = epoch.encode(), offset

    def write(self, frame: bytes) -> None:
        for line in frame.splitlines():
            if line == b"gap":
                self._epoch = b""
                continue
            epoch, _, offset = line.partition(b" ")
            step = int(offset) - self._last
            # After a gap nothing may come at all: who was told of it has to join again.
            self.holes += step > 1 or epoch != self._epoch
            self.repeats += step < 1
            self._last = int(offset)

    def close(self, code: int, reason: str = "") -> None:
        """Unused: the topics keep history."""


class Visitor:
    """The joins and leaves of one process."""

    def __init__(self, layer: Layer, hub: Hub, name: str) -> None:
        self._layer = layer
        self._hub = hub
        self._name = name
        self.joins = self.holes = self.repeats = 0

    async def come_and_go(self, topic: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            visit = _Visit()
            try:
                place = await self._hub.subscribe(topic, visit, _WORDS, replayable=True)
            except LayerError:
                continue
            visit.begin(place.cursor.epoch, place.cursor.offset)
            self._hub.activate(place)
            self.joins += 1
            try:
                await self._layer.enter(topic, self._name, b"{}")
                await asyncio.sleep(random.choice((0.0, 0.0, 0.0, 0.05)))
                await self._layer.leave(topic, self._name)
            except LayerError:
                """It is not known whether it is a member: the next one, or the last, is."""
            self._hub.unsubscribe(place)
            self.holes += visit.holes
            self.repeats += visit.repeats

    async def stay(self, topic: str, names: set[str]) -> bool:
        """Enter for good; whether, after a while, those present are the ones who stay."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _PATIENCE
        entered = False
        while loop.time() < until:
            try:
                if not entered:
                    await self._layer.enter(topic, self._name, b"{}")
                    entered = True
                members = await self._layer.members(topic)
                count = await self._layer.headcount(topic)
            except LayerError:
                continue
            if set(members) == names and count.members == len(names):
                return True
            await asyncio.sleep(0.05)
        return False


async def _main(options: argparse.Namespace) -> None:
    layer = make_layer(options.url, namespace="soak", place=options.place)
    hub = Hub(layer)
    await layer.start(hub)
    visitor = Visitor(layer, hub, options.name)
    topics, names = options.topics.split(","), set(options.names.split(","))
    await asyncio.gather(*(visitor.come_and_go(topic, options.seconds) for topic in topics))
    found = await asyncio.gather(*(visitor.stay(topic, names) for topic in topics))
    # The other one may still be looking for us.
    await asyncio.sleep(1.0)
    await hub.close()
    await layer.close()
    line = f"V {visitor.joins} {visitor.holes} {visitor.repeats} {found.count(False)}\n"
    os.write(1, line.encode())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m soak.visitor")
    parser.add_argument("url")
    parser.add_argument("--place", required=True, help="as seaway.conf.place() gives it")
    parser.add_argument("--topics", required=True, help="separated by commas")
    parser.add_argument("--seconds", type=float, required=True, help="how long to come and go")
    parser.add_argument("--name", required=True, help="its own among --names, of all visitors")
    parser.add_argument("--names", required=True, help="separated by commas")
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
