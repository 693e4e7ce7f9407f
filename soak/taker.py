"""``python -m soak.taker URL``: a worker that holds up to 100 messages and writes what it has done.

What lives here: the process. What must not: counting; its reader does.

A line ``D number`` is written before the message is acknowledged, as a worker's effect is: after a
kill -9 a number may come twice, and none may be missing. With ``--hold`` it does nothing with its
messages, and writes ``H`` when it has so many.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random

from seaway.exceptions import LayerError
from seaway.layers.base import Layer
from seaway.layers.engines import make_layer
from seaway.layers.queues import Delivery
from soak.publisher import CHANNEL, _Deaf

#: Messages in hand, and seconds for which each is worked on.
HELD, WORK = 100, 0.5
LEASE = 5.0


async def _handle(layer: Layer, delivery: Delivery) -> None:
    await asyncio.sleep(random.random() * WORK)
    os.write(1, b"D %s\n" % delivery.data)
    try:
        await layer.ack(delivery)
    except LayerError:
        """Its lease will bring it back."""


async def _hold(layer: Layer, count: int) -> None:
    held = 0
    while held < count:
        try:
            found = await layer.receive(
                CHANNEL, limit=count - held, wait=1.0, lease=LEASE, tries=1000
            )
        except LayerError:
            await asyncio.sleep(0.2)
            continue
        held += len(found)
    os.write(1, b"H\n")
    await asyncio.Event().wait()


async def _main(options: argparse.Namespace) -> None:
    layer = make_layer(options.url, namespace="soak", place=options.place)
    await layer.start(_Deaf())
    if options.hold:
        await _hold(layer, options.hold)
    held: set[asyncio.Task[None]] = set()
    while True:
        if len(held) >= HELD:
            await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
            continue
        try:
            found = await layer.receive(
                CHANNEL, limit=HELD - len(held), wait=1.0, lease=LEASE, tries=1000
            )
        except LayerError:
            await asyncio.sleep(0.2)
            continue
        for delivery in found:
            task = asyncio.create_task(_handle(layer, delivery))
            held.add(task)
            task.add_done_callback(held.discard)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m soak.taker")
    parser.add_argument("url")
    parser.add_argument("--place", required=True, help="as seaway.conf.place() gives it")
    parser.add_argument("--hold", type=int, default=0, help="take so many, and do nothing")
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
