"""When a thread that is held up leaves its place in the pool.

What lives here: `Leaving`. What must not: what holds threads up.
"""

from __future__ import annotations

import asyncio

from seaway.pool.threads import Hold

#: Seconds after which a thread that waits for somebody leaves its place to another.
HOLD_SECONDS = 0.1


class Leaving:
    """Has a job's `Hold` leave after `HOLD_SECONDS`, and asks again where too many are away.

    Belongs to one loop.
    """

    __slots__ = ("_hold", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, hold: Hold) -> None:
        self._hold = hold
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = loop.call_later(HOLD_SECONDS, self._leave)

    def _leave(self) -> None:
        left = self._hold.leave()
        self._timer = None if left else self._loop.call_later(HOLD_SECONDS, self._leave)

    def cancel(self) -> None:
        """The job ends, or has ended. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
