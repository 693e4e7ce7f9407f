"""A process that uses the layer, for tests that kill or freeze it. Run by `support.Worker`.

Says what it hears; on ``restored`` it reads what it missed, as the hub does.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from seaway.layers.base import History, Page, Position, PresenceChange, Publication
from seaway.layers.local.client import LocalLayer
from seaway.layers.local.place import Place


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201  this is how it talks to the test


class Speaker:
    def __init__(self, layer: LocalLayer) -> None:
        self.layer = layer
        self.last = Position("", 0)
        self.reading: asyncio.Task[None] | None = None

    def published(self, topic: str, publication: Publication) -> None:
        if publication.position.offset == self.last.offset + 1:
            self.last = publication.position
            say("event", publication.position.offset)

    def presence_changed(self, topic: str, change: PresenceChange) -> None:
        say("presence", sorted(change.entered), sorted(change.left))

    def restored(self, topic: str, position: Position) -> None:
        say("restored", position.offset)
        self.reading = asyncio.create_task(self.read(topic))

    async def read(self, topic: str) -> None:
        while True:
            answer = await self.layer.read(topic, self.last)
            if not isinstance(answer, Page):
                say("gap")
                return
            for publication in answer.publications:
                self.published(topic, publication)
            if self.last == answer.position:
                say("recovered", self.last.offset)
                return


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--lease", type=float, default=60.0)
    parser.add_argument("--linger", type=float, default=0.5)
    options = parser.parse_args()
    layer = LocalLayer(Place(options.directory), linger=options.linger)
    layer.lease = options.lease
    layer.timeout = 30
    speaker = Speaker(layer)
    await layer.start(speaker)
    say("started")
    while line := await asyncio.to_thread(sys.stdin.readline):
        match line.split():
            case ["watch", topic]:
                speaker.last = await layer.watch(topic)
            case ["enter", topic, member]:
                await layer.enter(topic, member, b"{}")
            case ["publish", topic, count]:
                for n in range(int(count)):
                    await layer.publish(topic, b"%d" % n, History())
            case ["receive", channel]:
                found = await layer.receive(channel, wait=30, lease=600)
                say("received", *(delivery.data.decode() for delivery in found))
                continue
        say("done")
    await layer.close()


asyncio.run(main())
