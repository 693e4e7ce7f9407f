"""The board: how many connections each worker of a server has, in memory that all of them share.

What lives here: one number for each worker, and the question whether another has fewer.
What must not: accepting (`acceptor`), processes (`supervisor`).

Why: workers that share a listening socket wake together when somebody connects, and whoever is
first takes all that wait; the kernel's SO_REUSEPORT spreads by a hash, which knows nothing of
connections that last. See "Long-lived connections are shared out by a board" in the decisions.
"""

from __future__ import annotations

import mmap
import os
import tempfile

_WORD = 4
#: A slot of nobody, or of a worker that accepts no more.
_CLOSED = -1
#: How many more connections than the emptiest worker one may have: a few, or 1/32 of its own.
_SLACK, _SLACK_SHIFT = 4, 5


class Board:
    """Shared counts, seen from one slot. The supervisor makes it; workers open its descriptor."""

    def __init__(self, fd: int, slot: int = 0) -> None:
        self.fd = fd
        self._slot = slot
        self._memory = mmap.mmap(fd, 0)
        self._counts = memoryview(self._memory).cast("i")
        self.slots = len(self._counts)
        #: What the emptiest worker had when `crowded` was asked last.
        self.least = 0

    @classmethod
    def make(cls, slots: int) -> Board:
        """A new one with nobody on it."""
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("seaway-board", os.MFD_CLOEXEC)
        else:
            fd, name = tempfile.mkstemp(prefix="seaway-board-")
            os.unlink(name)  # noqa: PTH108 - the descriptor is all that is used
        os.ftruncate(fd, slots * _WORD)
        board = cls(fd)
        for slot in range(slots):
            board.leave(slot)
        return board

    def leave(self, slot: int) -> None:
        """Whoever had ``slot`` accepts no more."""
        self._counts[slot] = _CLOSED

    def note(self, count: int) -> None:
        """This worker has so many connections, and accepts more."""
        self._counts[self._slot] = count

    def stop(self) -> None:
        """This worker accepts no more."""
        self.leave(self._slot)

    def crowded(self, count: int) -> bool:
        """Whether another worker that accepts has clearly fewer than ``count``."""
        self._counts[self._slot] = count
        self.least = min((each for each in self._counts if each >= 0), default=count)
        return count - self.least > max(_SLACK, count >> _SLACK_SHIFT)

    def close(self) -> None:
        """Give the memory back."""
        self._counts.release()
        self._memory.close()
        os.close(self.fd)
