"""One frame to many connections at once: what fan-out uses instead of a `write` for each.

What lives here: `Lane`, which knows when a batch pays, and what to do when it did not work out.
What must not: system calls (`ring`); a connection's own writing (`websocket_sink`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from seaway.server.logs import log_event, server_log
from seaway.server.ring import (
    CAPACITY,
    SLOTS,
    Descriptors,
    Ring,
    RingBroken,
    RingUnavailable,
    pack,
)

#: Fewer sinks than this are written to one by one: a batch has costs of its own.
SMALLEST = 16


class DirectSink(Protocol):
    """A sink whose socket the lane may write to."""

    direct: int
    """The socket's descriptor while no bytes wait to go before; else -1."""

    def write_rest(self, rest: bytes) -> None:
        """Write what the kernel did not take of a frame; it becomes writable again after that."""

    def abort(self) -> None:
        """Close at once."""


class Lane:
    """`seaway.server.handoff.Lane` for the sinks of one event loop.

    :ivar changes: to be counted up with every change of a sink's ``direct``; what batches have
        packed from it before is out of date then.
    """

    __slots__ = ("_on", "_ring", "changes")

    def __init__(self, *, on: bool) -> None:
        self._on = on
        self._ring: Ring | None = None
        self.changes = 0

    def batch(self, sinks: Sequence[DirectSink]) -> Batch:
        """See `seaway.server.handoff.Lane.batch`."""
        return Batch(self, sinks)

    def send(self, batch: Batch, frame: bytes) -> Sequence[int]:
        """See `seaway.server.handoff.Batch.write`."""
        sinks = batch.sinks
        if not SMALLEST <= len(sinks) <= SLOTS or len(frame) > CAPACITY or not self._on:
            return range(len(sinks))
        try:
            if self._ring is None:
                self._ring = Ring()
            results = self._ring.send(batch.descriptors(), frame)
        except RingUnavailable as error:
            self._give_up(error)
            return range(len(sinks))
        except RingBroken as error:
            # Who got what is not known; those that are closed come back and resume.
            self._give_up(error)
            for sink in sinks:
                sink.abort()
            return ()
        return () if results is None else _settle(sinks, frame, results)

    def _give_up(self, error: OSError) -> None:
        log_event(server_log, logging.DEBUG, "batch_writes_unavailable", reason=error)
        self.close()

    def close(self) -> None:
        """Write one by one from now on."""
        self._on = False
        if self._ring is not None:
            self._ring.close()
            self._ring = None


class Batch:
    """`seaway.server.handoff.Batch`: sinks, and their descriptors as the ring wants them."""

    __slots__ = ("_changes", "_lane", "_packed", "sinks")

    def __init__(self, lane: Lane, sinks: Sequence[DirectSink]) -> None:
        self._lane = lane
        self.sinks = sinks
        self._packed: Descriptors | None = None
        self._changes = -1

    def write(self, frame: bytes) -> Sequence[int]:
        """See `seaway.server.handoff.Batch.write`."""
        return self._lane.send(self, frame)

    def descriptors(self) -> Descriptors:
        """Those of the sinks in order, packed anew only if one of the lane has changed."""
        changes = self._lane.changes
        if self._packed is None or self._changes != changes:
            self._changes = changes
            self._packed = pack([sink.direct for sink in self.sinks])
        return self._packed


def _settle(sinks: Sequence[DirectSink], frame: bytes, results: Sequence[int]) -> Sequence[int]:
    """Finish the sends that were cut short; which were not made at all.

    A socket that is full or reset is left to the sink's own `write` as well, which finds the same
    and knows what to do.
    """
    size = len(frame)
    left = []
    for index, result in enumerate(results):
        if result < 0:
            left.append(index)
        elif result < size:
            sinks[index].write_rest(frame[result:])
    return left
