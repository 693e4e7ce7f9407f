"""``python -m soak.taker URL``: a worker that holds up to 100 messages and writes what it has done.

What lives here: the process. What must not: counting; its reader does.

A line ``D number`` is written before the message is acknowledged, as a worker's effect is: after a
kill -9 a number may come twice, and none may be missing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys

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


async def _main(url: str, place: str) -> None:
    layer = make_layer(url, namespace="soak", place=place)
    await layer.start(_Deaf())
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
    options = parser.parse_args()
    asyncio.run(_main(options.url, options.place))


if __name__ == "__main__":
    sys.exit(main())
