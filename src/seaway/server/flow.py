"""Coroutines: how the server starts the application's, and how any of them waits without polling.

What lives here: `start_task`, and `Gate`, the one primitive behind every back-pressure.
What must not: reasons to start a task, or to open or close a gate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


def start_task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None], name: str
) -> asyncio.Task[None]:
    """``loop.create_task``, by the shorter way where nobody has a task factory.

    A task that is given its name when it is made needs not make one up, "Task-123" for instance,
    which costs a fifth of a task.
    """
    if loop.get_task_factory() is None:
        return asyncio.Task(work, loop=loop, name=name)
    return loop.create_task(work, name=name)


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
