"""Events that one client publishes one behind the other: told together, and answered together.

What lives here: `Run`. What must not: storing events, or whom they go to (`session`).
"""

from __future__ import annotations

from seaway.layers.base import Position
from seaway.layers.local import wire

#: Bytes after which a run ends, so that nobody has to hold all of a long one at once.
RUN_BYTES = 256 * 1024


class Run:
    """Events of one topic and one epoch, without a hole, of requests whose ids have none either."""

    __slots__ = ("_epoch", "_events", "_first_id", "_next_id", "_next_offset", "_offset", "_size",
                 "topic")  # fmt: skip

    def __init__(self, request: wire.Publish, position: Position) -> None:
        self.topic = request.topic
        self._first_id = request.id
        self._next_id = request.id + 1
        self._epoch, self._offset = position.epoch, position.offset
        self._next_offset = position.offset + 1
        self._events = [request.data]
        self._size = len(request.data)

    def take(self, request: wire.Publish, position: Position) -> bool:
        """Add what follows; False: it does not, or there is enough."""
        if (
            request.id != self._next_id
            or position.offset != self._next_offset
            or self._size >= RUN_BYTES
            or request.topic != self.topic
            or position.epoch != self._epoch
        ):
            return False
        self._next_id += 1
        self._next_offset += 1
        self._events.append(request.data)
        self._size += len(request.data)
        return True

    def published(self) -> wire.Published:
        return wire.Published(self.topic, self._epoch, self._offset, self._events)

    def placed(self) -> wire.Placed:
        return wire.Placed(self._first_id, self._epoch, self._offset, len(self._events))
