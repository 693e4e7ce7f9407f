"""``python -m soak.publisher URL``: a process that publishes, sends, and says what it was told.

What lives here: the process. What must not: counting; its reader does.

Each line of output is one thing that the layer has confirmed, written before the next is begun, so
that a kill -9 loses no line: ``E topic epoch offset number`` or ``Q number``. What was not
confirmed is written as ``? reason`` and never repeated: it may or may not have happened.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random

from seaway.exceptions import LayerError
from seaway.layers.base import History, Layer, Position, PresenceChange, Publication
from seaway.layers.engines import make_layer

HISTORY = History(size=20_000, seconds=600.0)
CHANNEL = "soak"


class _Deaf:
    """The receiver of a process that follows nothing."""

    def published(self, topic: str, publication: Publication) -> None: ...

    def presence_changed(self, topic: str, change: PresenceChange) -> None: ...

    def restored(self, topic: str, position: Position) -> None: ...


def _write(line: str) -> None:
    os.write(1, line.encode() + b"\n")


async def _publish(layer: Layer, topic: str, number: int) -> None:
    data = b'{"event":"tick","data":{"number":%d,"text":"%s"}}' % (number, b"x" * 80)
    try:
        position = await layer.publish(topic, data, HISTORY)
    except LayerError as error:
        _write(f"? {type(error).__name__}: {error}")
    else:
        _write(f"E {topic} {position.epoch} {position.offset} {number}")


async def _send(layer: Layer, number: int) -> None:
    try:
        await layer.send(CHANNEL, str(number).encode(), capacity=1_000_000)
    except LayerError as error:
        _write(f"? {type(error).__name__}: {error}")
    else:
        _write(f"Q {number}")


async def _at_rate(rate: float, numbers: range, do: object) -> None:
    """Call ``do(number)`` so many times a second, catching up after a stall with no burst."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for number in numbers:
        due = max(due + 1 / rate, loop.time() - 0.1)
        await asyncio.sleep(max(0.0, due - loop.time()))
        await do(number)  # type: ignore[operator]


async def _main(options: argparse.Namespace) -> None:
    layer = make_layer(options.url, namespace="soak", place=options.place)
    await layer.start(_Deaf())
    topics = options.topics.split(",")
    numbers = range(options.first, options.first + 10**9)
    if options.burst:
        await asyncio.gather(
            *(_publish(layer, random.choice(topics), n) for n in numbers[: options.burst])
        )
        await layer.close()
        return
    work = [
        _at_rate(options.rate / len(topics), numbers[index :: len(topics)], _to(layer, topic))
        for index, topic in enumerate(topics)
    ]
    if options.tasks:
        work.append(_at_rate(options.tasks, numbers, lambda number: _send(layer, number)))
    await asyncio.gather(*work)


def _to(layer: Layer, topic: str) -> object:
    return lambda number: _publish(layer, topic, number)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m soak.publisher")
    parser.add_argument("url")
    parser.add_argument("--place", required=True, help="as seaway.conf.place() gives it")
    parser.add_argument("--topics", required=True, help="separated by commas")
    parser.add_argument("--first", type=int, required=True, help="the first number")
    parser.add_argument("--rate", type=float, default=100.0, help="events a second, all topics")
    parser.add_argument("--tasks", type=float, default=0.0, help="messages a second to the queue")
    parser.add_argument("--burst", type=int, default=0, help="publish so many at once, and end")
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
