"""The hot path: one batch of a stream to all its live subscribers.

What lives here: from an accepted publication to ``outlet.write``, and giving way to the loop.
What must not: anything that awaits, and anything per subscriber but one check and one call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator

from seaway.layers.base import Position, Publication
from seaway.layers.stream import Outlet, State, Stream, Subscription

logger = logging.getLogger("seaway.hub")

#: Seconds of uninterrupted writing after which a fan-out lets the loop serve others.
TURN_SECONDS = 0.002
#: Writes between two looks at the clock: about a third of a millisecond.
CHUNK = 64

Rows = list[tuple[Outlet, Subscription]]


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
        self._turns = 0

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
        self._turns += 1
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
            # All rows before the first yield: who goes live during one has had this batch already.
            plan = [(encoding, list(outlets.items())) for encoding, outlets in stream.live.items()]
            turn = self._turns
            for encoding, rows in plan:
                try:
                    frames = b"".join([encoding.event(stream.topic, event) for event in batch])
                except Exception:
                    # The others must not suffer; these see the hole at their next event.
                    logger.exception("%s cannot be encoded", stream.topic)
                    continue
                yield from self._write(rows, frames, before, turn)
            self._flushed(stream)

    def _write(self, rows: Rows, frames: bytes, before: Position, turn: int) -> Iterator[None]:
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            if turn != self._turns:
                # Others ran since the rows were taken: somebody may have left, or come back since
                # and then holds a later position.
                chunk = [row for row in chunk if row[1].state is State.LIVE]
            for outlet, subscription in chunk:
                if outlet.writable:
                    outlet.write(frames)
                else:
                    self._fall_behind(subscription, before)
            yield
