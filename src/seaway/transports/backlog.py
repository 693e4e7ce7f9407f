"""What was written for a client and waits until it has taken what came before.

What lives here: `Backlog`, the writing side of each sink that the server does not make.
What must not: how the client takes it (`relay`, `stream`, `polling`).
"""

from __future__ import annotations

from collections import deque

from seaway.server.handoff import Framing, Handler

#: As in the server's own sink: bytes that may wait before the hub stops writing.
HIGH_WATER = 64 * 1024


class Backlog:
    """A part of `seaway.server.handoff.Sink`.

    :param handler: told when the client has caught up.
    :ivar end: code and reason, once we have closed.
    """

    __slots__ = ("_handler", "_size", "_waiting", "end", "framing", "writable")

    def __init__(self, handler: Handler, framing: Framing) -> None:
        self.framing = framing
        self.writable = True
        self.end: tuple[int, str] | None = None
        self._handler = handler
        self._waiting: deque[bytes] = deque()
        #: Bytes that the client has not taken, those that are on their way included.
        self._size = 0

    def _rouse(self) -> None:
        """Something waits, or this is the end."""
        raise NotImplementedError

    def write(self, frame: bytes) -> None:
        if self.end is None:
            self._put(frame)
            self.writable = self._size <= HIGH_WATER
            self._rouse()

    def _put(self, frame: bytes) -> None:
        self._waiting.append(frame)
        self._size += len(frame)

    def _finish(self, code: int, reason: str) -> None:
        self.end = (int(code), reason)
        self.writable = False
        self._rouse()

    def _taken(self, size: int) -> None:
        """The client has taken so many bytes."""
        self._size -= size
        if not self._waiting and not self.writable and self.end is None:
            self.writable = True
            self._handler.on_writable()
