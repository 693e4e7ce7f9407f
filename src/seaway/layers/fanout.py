"""The hot path: one batch of a stream to all its live subscribers.

What lives here: from an accepted publication to ``lane.write`` and ``outlet.write``, and giving way
to the loop.
What must not: anything that awaits, and anything per subscriber but one check and one call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator

from seaway.layers.base import Position, Publication
from seaway.layers.stream import Lane, Outlet, State, Stream, Subscription

logger = logging.getLogger("seaway.hub")

#: Seconds of uninterrupted writing after which a fan-out lets the loop serve others.
TURN_SECONDS = 0.002
#: Writes between two looks at the clock: about half a millisecond. Also what one batch holds.
CHUNK = 256


class FanOut:
    """Delivers batches, stream by stream, each event encoded once per encoding.

    :param fall_behind: told of a live subscription that cannot take the batch, and of the position
        before it.
    :param flushed: told when a stream's batch has been written.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fall_behind: Callable[[Subscription, Position], None],
        flushed: Callable[[Stream], None],
    ) -> None:
        self._loop = loop
        self._fall_behind = fall_behind
        self._flushed = flushed
        self._dirty: deque[Stream] = deque()
        self._working = False

    def enqueue(self, stream: Stream, publication: Publication) -> None:
        """Deliver at the end of this turn of the loop, joined with what else arrives in it."""
        if not stream.pending:
            self._dirty.append(stream)
            self._begin()
        stream.pending.append(publication)

    def _begin(self) -> None:
        if not self._working:
            self._working = True
            self._loop.call_soon(self._turn, self._deliver())

    def _turn(self, work: Iterator[None]) -> None:
        """Deliver until all is delivered or the turn is over; then go on in the next turn."""
        deadline = time.monotonic() + TURN_SECONDS
        for _ in work:
            if time.monotonic() >= deadline:
                self._loop.call_soon(self._turn, work)
                return
        self._working = False

    def _deliver(self) -> Iterator[None]:
        while self._dirty:
            stream = self._dirty.popleft()
            batch, stream.pending = stream.pending, []
            if not batch:
                continue
            before, stream.flushed = stream.flushed, batch[-1].position
            stream.remember(batch)
            # All lists before the first yield: who goes live during one has had this batch already.
            plan = [
                (encoding, lane, list(outlets), list(outlets.values()))
                for (encoding, lane), outlets in stream.live.items()
            ]
            departures = stream.departures
            for encoding, lane, outlets, theirs in plan:
                try:
                    frames = b"".join([encoding.event(stream.topic, event) for event in batch])
                except Exception:
                    # The others must not suffer; these see the hole at their next event.
                    logger.exception("%s cannot be encoded", stream.topic)
                    continue
                for start in range(0, len(outlets), CHUNK):
                    chunk = slice(start, start + CHUNK)
                    some, subscriptions = outlets[chunk], theirs[chunk]
                    if stream.departures != departures:
                        some, subscriptions = _still_live(some, subscriptions)
                    self._write(lane, some, subscriptions, frames, before)
                    yield
            self._flushed(stream)

    def _write(
        self,
        lane: Lane | None,
        outlets: list[Outlet],
        subscriptions: list[Subscription],
        frames: bytes,
        before: Position,
    ) -> None:
        """Write to those that are together in a lane, then one by one to those that are left."""
        left = range(len(outlets)) if lane is None else lane.write(outlets, frames)
        for index in left:
            outlet = outlets[index]
            if outlet.writable:
                outlet.write(frames)
            else:
                self._fall_behind(subscriptions[index], before)


def _still_live(
    outlets: list[Outlet], subscriptions: list[Subscription]
) -> tuple[list[Outlet], list[Subscription]]:
    """Those who are as when the lists were taken: who left since may have come back, and then has
    another subscription with a later position."""
    live = State.LIVE
    stay = [index for index, one in enumerate(subscriptions) if one.state is live]
    return [outlets[index] for index in stay], [subscriptions[index] for index in stay]
