"""The time as the servers have it.

What lives here: `Clock`, which is set by what servers write. What must not: asking them.
"""

from __future__ import annotations

import asyncio


class Clock:
    """The servers' clock, as far as it is known, by the loop's."""

    __slots__ = ("_error", "_loop", "_offset")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._offset: float | None = None
        self._error = 0.0

    def now(self) -> float:
        """Seconds since 1970; before the first `set`, of the loop's clock."""
        return self._loop.time() + (self._offset or 0.0)

    def set(self, stamp: float, asked: float) -> None:
        """A server wrote ``stamp`` between ``asked``, by the loop's clock, and now."""
        now = self._loop.time()
        error = (now - asked) / 2
        # The error of an old measurement grows with time, as clocks drift.
        self._error += 0.0005
        if self._offset is None or error <= self._error:
            self._offset = stamp - (asked + now) / 2
            self._error = error
