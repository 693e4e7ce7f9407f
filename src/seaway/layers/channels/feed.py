"""A stream of the layer as the channel layer reads it: every message, or how many were missed.

What lives here: `Feed`, one subscription at the hub, renewed after a gap.
What must not: what the messages mean, or who gets them.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable, Iterator

from seaway.exceptions import LayerError
from seaway.layers.base import History, Position, Publication
from seaway.layers.hub import Hub
from seaway.layers.stream import EventsAlone, Subscription

logger = logging.getLogger("seaway.channels")

#: What the engine keeps of a group, so that a short outage is no loss: the events of one second of
#: a busy chat room. Members never see what is older than their membership.
HISTORY = History(size=100, seconds=30.0)
#: Seconds between two attempts to follow a stream again after a gap.
RETRY_SECONDS = 0.5

#: Before each message in a frame of the hub: its offset and its size.
_HEAD = struct.Struct(">QI")
#: Stands for "some were missed": no message has the offset 0.
_GAP = _HEAD.pack(0, 0)


class _Encoding(EventsAlone):
    """The hub's encoding for all feeds: messages as they are, each behind its head."""

    def event(self, topic: str, publication: Publication) -> bytes:
        return _HEAD.pack(publication.position.offset, len(publication.data)) + publication.data

    def gap(self, topic: str) -> bytes:
        return _GAP


_ENCODING = _Encoding()


def _messages(frames: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start < len(frames):
        offset, size = _HEAD.unpack_from(frames, start)
        start += _HEAD.size
        yield offset, frames[start : start + size]
        start += size


class Feed:
    """Follows one stream from `open` to `close`. All of it belongs on the hub's loop.

    It is an `Outlet` of the hub that always takes everything.

    :param take: called with each message's epoch, offset and data, in order; must not raise.
    :param missed: called after a gap with how many messages were missed, None if nobody knows, as
        soon as the stream is followed again.
    """

    __slots__ = (
        "_hub", "_missed", "_renewing", "_subscription", "_take", "closed", "epoch", "seen",
        "topic",
    )  # fmt: skip

    writable = True

    def __init__(
        self,
        hub: Hub,
        topic: str,
        take: Callable[[str, int, bytes], None],
        missed: Callable[[int | None], None],
    ) -> None:
        self.topic = topic
        self.closed = False
        self.epoch, self.seen = "", 0
        self._hub = hub
        self._take = take
        self._missed = missed
        self._subscription: Subscription | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Follow the stream from its present position on.

        :raises LayerError: the engine does not answer.
        """
        found = await self._subscribe()
        if not self.closed:
            self._hub.activate(found)

    async def _subscribe(self) -> Subscription:
        found = await self._hub.subscribe(self.topic, self, _ENCODING, replayable=True)
        if self.closed:
            self._hub.unsubscribe(found)
        else:
            self._subscription = found
            self.epoch, self.seen = found.cursor.epoch, found.cursor.offset
        return found

    def release(self) -> None:
        """Let go of the stream. Idempotent."""
        self.closed = True
        if self._renewing is not None:
            self._renewing.cancel()
        self._release_subscription()

    def _release_subscription(self) -> None:
        if self._subscription is not None:
            self._hub.unsubscribe(self._subscription)
            self._subscription = None

    def has_seen(self, position: Position) -> bool:
        """Whether everything up to there has been taken, or never will be."""
        return self.closed or position.epoch != self.epoch or position.offset <= self.seen

    # The hub's outlet ----------------------------------------------------------------------------

    def write(self, frame: bytes) -> None:
        for offset, data in _messages(frame):
            if not offset:
                # Before anything else runs: so the hub never stops following the stream, and
                # counting begins at the very position at which it told the gap.
                self._renewing = asyncio.get_running_loop().create_task(self._renew())
            else:
                self.seen = offset
                self._take(self.epoch, offset, data)

    def close(self, code: int, reason: str = "") -> None:
        # Only a subscription that cannot be replayed is closed by the hub, or a slow outlet.
        logger.error("the hub closed %s: %s", self.topic, reason)

    async def _renew(self) -> None:
        """Follow the stream again after a gap. In another epoch, all that is still kept of that is
        taken, too: it was sent after what was taken last."""
        epoch, seen = self.epoch, self.seen
        while not self.closed:
            try:
                found = await self._subscribe()
                if self.epoch != epoch:
                    await self._hub.recover(found, Position(self.epoch, 0))
            except LayerError as error:
                logger.warning("cannot follow %s: %s", self.topic, error)
                self._release_subscription()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if not self.closed:
                known = self.epoch == epoch and self.seen >= seen
                self._missed(self.seen - seen if known else None)
                self._hub.activate(found)
            return
