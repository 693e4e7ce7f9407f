"""The hot path: one batch of a stream to all its live subscribers.

What lives here: from an accepted publication to ``batch.write`` and ``outlet.write``, and giving
way to the loop.
What must not: anything that awaits, and anything per subscriber but one check and one call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator

from seaway.layers.base import Position, Publication
from seaway.layers.stream import Chunk, Lane, State, Stream, Subscription, Unsayable

logger = logging.getLogger("seaway.hub")

#: Seconds of uninterrupted writing after which a fan-out lets the loop serve others.
TURN_SECONDS = 0.002
#: Writes between two looks at the clock: about half a millisecond. Also what one batch holds.
CHUNK = 256


class FanOut:
    """Delivers batches, stream by stream, each event encoded once per encoding.

    :param fall_behind: told of a live subscription that cannot take the batch, and of the position
        before it.
    :param missed: told of a subscription for which an event cannot be encoded.
    :param flushed: told when a stream's batch has been written.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fall_behind: Callable[[Subscription, Position], None],
        flushed: Callable[[Stream], None],
        missed: Callable[[Subscription], None],
    ) -> None:
        self._loop = loop
        self._fall_behind = fall_behind
        self._flushed = flushed
        self._missed = missed
        self._dirty: deque[Stream] = deque()
        self._working = False

    def enqueue(self, stream: Stream, publication: Publication) -> None:
        """Deliver at the end of this turn of the loop, joined with what else arrives in it."""
        if not stream.pending:
            self._dirty.append(stream)
            if not self._working:
                self._begin()
        stream.pending.append(publication)

    def _begin(self) -> None:
        self._working = True
        self._loop.call_soon(self._turn, self._deliver())

    def _turn(self, work: Iterator[None]) -> None:
        """Deliver until all is delivered or the turn is over; then go on in the next turn."""
        deadline = time.monotonic() + TURN_SECONDS
        try:
            for _ in work:
                if time.monotonic() >= deadline:
                    self._loop.call_soon(self._turn, work)
                    return
        except Exception:
            # Outlets do not raise; if one does, it must not make this process deaf for good.
            logger.exception("a delivery was cut short; who did not get it sees a hole")
        self._working = False
        if self._dirty:
            self._begin()

    def _deliver(self) -> Iterator[None]:
        while self._dirty:
            stream = self._dirty.popleft()
            batch, stream.pending = stream.pending, []
            if not batch:
                continue
            before, stream.flushed = stream.flushed, batch[-1].position
            if stream.behind:
                stream.remember(batch)
            # The plan is of before the first yield: who goes live during one has had this batch.
            plan, departures = stream.plan(CHUNK), stream.departures
            topic = stream.topic
            for encoding, lane, chunks in plan:
                try:
                    event = encoding.event
                    frames = b"".join([event(topic, publication) for publication in batch])
                except Exception as error:
                    # The others must not suffer; these are told that they lack something.
                    if isinstance(error, Unsayable):
                        logger.error("gap topic=%s an event cannot be told: %s", topic, error)
                    else:
                        logger.exception("an event of %s cannot be encoded", topic)
                    for chunk in chunks:
                        for subscription in chunk.subscriptions:
                            self._missed(subscription)
                    continue
                for chunk in chunks:
                    if stream.departures == departures:
                        self._write(chunk, frames, before)
                    else:
                        self._write(_still_live(chunk, lane), frames, before)
                    yield
            self._flushed(stream)

    def _write(self, chunk: Chunk, frames: bytes, before: Position) -> None:
        """Write to those that are together in a batch, then one by one to those that are left."""
        outlets = chunk.outlets
        left = range(len(outlets)) if chunk.batch is None else chunk.batch.write(frames)
        for index in left:
            outlet = outlets[index]
            if outlet.writable:
                outlet.write(frames)
            else:
                self._fall_behind(chunk.subscriptions[index], before)


def _still_live(chunk: Chunk, lane: Lane | None) -> Chunk:
    """Those who are as when the plan was made: who left since may have come back, and then has
    another subscription with a later position."""
    live = State.LIVE
    return Chunk([one for one in chunk.subscriptions if one.state is live], lane)
