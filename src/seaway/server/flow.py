"""Waiting without polling: the one primitive behind every back-pressure in the server.

What lives here: `Gate`. What must not: reasons to open or close one.
"""

from __future__ import annotations

import asyncio


class Gate:
    """What coroutines wait at until somebody opens it.

    Cheaper than `asyncio.Event` where mostly nobody waits: no deque, no state, and every `open`
    wakes those who wait now and nobody later. The condition itself is the caller's to check again.
    """

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] | None = None

    def open(self) -> None:
        """Wake everybody who waits."""
        waiters = self._waiters
        if waiters is not None:
            self._waiters = None
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for the next `open`. Each waiter has a future of its own: cancelling is safe."""
        waiter = loop.create_future()
        if self._waiters is None:
            self._waiters = [waiter]
        else:
            self._waiters.append(waiter)
        await waiter
