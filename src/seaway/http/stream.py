"""The way of a streaming response from the thread that makes it to the loop that sends it.

What lives here: `Stream`, which holds the thread back while the client does not keep up.
What must not: Django, ASGI messages.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable

from seaway.pool import Mailbox

#: Bytes that wait for the loop before the thread that makes them has to wait.
WINDOW = 64 * 1024


class Stream:
    """Parts of a body: put in by one thread, taken out on the loop.

    `take` and `abandon` belong to the loop, everything else to the thread.
    """

    __slots__ = (
        "_abandoned",
        "_box",
        "_ended",
        "_error",
        "_lock",
        "_parts",
        "_room",
        "_size",
        "_waiter",
    )

    def __init__(self, box: Mailbox) -> None:
        self._box = box
        self._lock = threading.Lock()
        self._room = threading.Event()
        self._parts: list[bytes] = []
        self._size = 0
        self._abandoned = False
        self._ended = False
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    def fill(self, parts: Iterable[bytes]) -> None:
        """Put in every part, then the end, or the error by which the iterable has ended."""
        try:
            for part in parts:
                if part and not self._put(part):
                    break
        except Exception as failure:  # noqa: BLE001 - raised again in `take`
            self._error = failure
        self._ended = True
        self._box.post(self._wake)

    def _put(self, part: bytes) -> bool:
        """Wait until there is room for more than ``part``; False if nobody takes any more."""
        with self._lock:
            if self._abandoned:
                return False
            self._parts.append(part)
            self._size += len(part)
            full = self._size > WINDOW
            if full:
                self._room.clear()
        self._box.post(self._wake)
        if full:
            self._room.wait()
        return not self._abandoned

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> bytes | None:
        """All parts that wait, joined; None at the end. Raises what the iterable raised."""
        while True:
            # Before the look at the parts: the last of them come before the end.
            ended = self._ended
            with self._lock:
                parts, self._parts, self._size = self._parts, [], 0
                self._room.set()
            if parts:
                return parts[0] if len(parts) == 1 else b"".join(parts)
            if ended:
                if self._error is not None:
                    raise self._error
                return None
            self._waiter = self._box.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def abandon(self) -> None:
        """Nobody takes any more: the thread stops at its next part."""
        with self._lock:
            self._abandoned = True
            self._parts.clear()
            self._room.set()
