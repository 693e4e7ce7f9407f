"""Events that one client publishes one behind the other: told together, and answered together.

What lives here: `Run`. What must not: storing events, or whom they go to (`session`).
"""

from __future__ import annotations

from seaway.layers.base import Position
from seaway.layers.local import wire

#: Bytes after which a run ends, so that nobody has to hold all of a long one at once.
RUN_BYTES = 256 * 1024


class Run:
    """Events of one topic and one epoch, without a hole, of requests whose ids have none either.

    :ivar positions: where the events stand; ``first_id``: of the first one's request.
    """

    __slots__ = ("_events", "_size", "first_id", "positions", "topic")

    def __init__(self, request: wire.Publish, position: Position) -> None:
        self.topic = request.topic
        self.first_id = request.id
        self.positions = [position]
        self._events = [request.data]
        self._size = len(request.data)

    def take(self, request: wire.Publish, position: Position) -> bool:
        """Add what follows; False: it does not, or there is enough."""
        positions = self.positions
        last = positions[-1]
        if (
            request.id != self.first_id + len(positions)
            or position.offset != last.offset + 1
            or self._size >= RUN_BYTES
            or request.topic != self.topic
            or position.epoch != last.epoch
        ):
            return False
        positions.append(position)
        self._events.append(request.data)
        self._size += len(request.data)
        return True

    def published(self) -> wire.Published:
        first = self.positions[0]
        return wire.Published(self.topic, first.epoch, first.offset, self._events)

    def placed(self) -> wire.Placed:
        first = self.positions[0]
        return wire.Placed(self.first_id, first.epoch, first.offset, len(self._events))
