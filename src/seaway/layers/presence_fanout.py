"""Who came and who went, on its way to the subscribers of a stream: as lists, or as counts.

What lives here: `PresenceFanOut`, the part of the hub that tells of presence.
What must not: events, or where subscribers stand in a stream (`hub`, `fanout`).

Where members see each other, a change names those who came and went, joined over a short window.
Where they are only counted (`Stream.counted`), a process asks the layer for the number once a
second at most while it changes, and tells each subscriber the number: 10,000 members that come in
one minute cost each of them 60 short messages, and not the names of 10,000.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from seaway.exceptions import LayerError
from seaway.layers.base import Headcount, Layer, PresenceChange
from seaway.layers.stream import Encoding, Stream, Subscription

logger = logging.getLogger("seaway.hub")

#: Seconds over which changes of presence are joined: a hall that fills makes one message, not n².
PRESENCE_SECONDS = 0.05
#: Seconds between two counts.
COUNT_SECONDS = 1.0


class PresenceFanOut:
    """:param streams: the hub's own. :param spawn: runs what has to ask the layer."""

    def __init__(
        self,
        layer: Layer,
        streams: Mapping[str, Stream],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._layer = layer
        self._streams = streams
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._dirty: set[str] = set()

    def changed(self, topic: str, change: PresenceChange) -> None:
        """Join changes over a short window; the latest word on a member wins."""
        stream = self._streams.get(topic)
        if stream is None:
            return
        if not stream.counted:
            stream.changes.update(change.entered)
            stream.changes.update(dict.fromkeys(change.left))
        if topic not in self._dirty:
            self._dirty.add(topic)
            seconds = COUNT_SECONDS if stream.counted else PRESENCE_SECONDS
            self._loop.call_later(seconds, self._flush, topic)

    def tell(self, stream: Stream, only: Subscription | None = None) -> None:
        """Tell who is present now: one that missed changes, or all after an outage."""
        self._spawn(self._count(stream, only) if stream.counted else self._list(stream, only))

    def _flush(self, topic: str) -> None:
        self._dirty.discard(topic)
        stream = self._streams.get(topic)
        if stream is None:
            return
        if stream.counted:
            self._spawn(self._count(stream, None))
        elif stream.changes:
            change = stream.take_changes()
            self._write(stream, None, lambda encoding: encoding.presence(topic, change))

    async def _list(self, stream: Stream, only: Subscription | None) -> None:
        try:
            members = await self._layer.members(stream.topic)
        except LayerError as error:
            logger.warning("members unknown topic=%s error=%s", stream.topic, error)
            return
        if not members:
            return  # a topic without presence: with it, the one who asks is a member
        infos = list(members.values())
        self._write(stream, only, lambda encoding: encoding.members(stream.topic, infos))

    async def _count(self, stream: Stream, only: Subscription | None) -> None:
        try:
            count: Headcount = await self._layer.headcount(stream.topic)
        except LayerError as error:
            logger.warning("headcount unknown topic=%s error=%s", stream.topic, error)
            return
        if only is None and count == stream.told:
            return
        if only is None:
            stream.told = count
        self._write(stream, only, lambda encoding: encoding.headcount(stream.topic, count))

    def _write(
        self, stream: Stream, only: Subscription | None, frame: Callable[[Encoding], bytes]
    ) -> None:
        if only is None:
            for subscription in stream.behind:
                subscription.stale = True
        for (encoding, _), outlets in list(stream.live.items()):
            rows = [row for row in outlets.values() if only is None or row is only]
            if rows:
                _write_each(rows, frame(encoding))


def _write_each(subscriptions: Iterable[Subscription], frame: bytes) -> None:
    for subscription in subscriptions:
        if subscription.outlet.writable:
            subscription.outlet.write(frame)
        else:
            subscription.stale = True
