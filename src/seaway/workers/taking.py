"""Taking from several channels, the first one first.

What lives here: `take`. What must not: what is done with what was taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from seaway.channels.channel import Channel
from seaway.exceptions import ChannelClosed
from seaway.layers.base import Layer
from seaway.layers.queues import Delivery


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
    return await _first(layer, channels, wait)


async def _first(layer: Layer, channels: Sequence[Channel], wait: float) -> Sequence[Delivery]:
    """One message from whichever gets one first, or from several in the same moment."""
    waiting = [asyncio.ensure_future(_receive(layer, channel, 1, wait)) for channel in channels]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in waiting:
            future.cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    found: list[Delivery] = []
    for result in results:
        if isinstance(result, Exception):
            raise result
        if not isinstance(result, BaseException):
            found.extend(result)
    return found


async def _receive(layer: Layer, channel: Channel, limit: int, wait: float) -> Sequence[Delivery]:
    try:
        return await layer.receive(
            channel.name, limit=limit, wait=wait, lease=channel.lease, tries=channel.tries
        )
    except ChannelClosed:
        # Somebody may open it again: the worker stays, without asking over and over.
        await asyncio.sleep(wait)
        return ()
