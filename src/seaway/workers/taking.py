"""Taking from several channels, the first one first.

What lives here: `take`. What must not: what is done with what was taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from seaway.channels.channel import Channel
from seaway.channels.select import first_ready
from seaway.exceptions import ChannelClosed
from seaway.layers.base import Layer
from seaway.layers.queues import Delivery

#: Seconds between two looks at a channel that is closed.
CLOSED = 1.0


async def take(
    layer: Layer, channels: Sequence[Channel], limit: int, wait: float
) -> Sequence[Delivery]:
    """Up to ``limit`` messages from the first channel that has any; empty after ``wait`` seconds.

    Cancelled, it takes nothing. A closed channel counts as an empty one.
    """
    if len(channels) == 1:
        return await _receive(layer, channels[0], limit, wait)
    for channel in channels:
        found = await _receive(layer, channel, limit, 0.0)
        if found:
            return found
    _, found = await first_ready([_Source(layer, channel, wait) for channel in channels])
    return cast("Sequence[Delivery]", found)


class _Source:
    """One of several channels, as `first_ready` knows it."""

    __slots__ = ("_channel", "_layer", "_wait")

    def __init__(self, layer: Layer, channel: Channel, wait: float) -> None:
        self._layer = layer
        self._channel = channel
        self._wait = wait

    async def receive(self) -> Sequence[Delivery]:
        return await _receive(self._layer, self._channel, 1, self._wait)

    async def put_back(self, thing: Sequence[Delivery] | BaseException) -> None:
        for delivery in () if isinstance(thing, BaseException) else thing:
            await self._layer.release(delivery)


async def _receive(layer: Layer, channel: Channel, limit: int, wait: float) -> Sequence[Delivery]:
    try:
        return await layer.receive(
            channel.name, limit=limit, wait=wait, lease=channel.lease, tries=channel.tries
        )
    except ChannelClosed:
        # Somebody may open it again: the worker stays, without asking over and over.
        await asyncio.sleep(min(wait, CLOSED))
        return ()
