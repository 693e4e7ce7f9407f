"""The tasks of all consumers of one event loop.

What lives here: starting them a few per turn of the loop, and waiting for them at the end.
What must not: what they do (`run`).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from seaway.pool import Mailbox, mailbox

logger = logging.getLogger("seaway.consumers")

#: Tasks begun in one turn of the loop: about two milliseconds of handlers. A group of thousands
#: must not keep everybody else waiting.
TASKS_PER_TURN = 64

Start = Callable[[], Coroutine[Any, Any, None]]


class Work:
    """One event loop's consumers at work."""

    __slots__ = ("_begun", "_ready", "box", "loop", "tasks")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        #: Where threads of the pool leave what is to be done on the loop.
        self.box: Mailbox = mailbox()
        self.tasks: set[asyncio.Task[None]] = set()
        self._ready: deque[tuple[Start, contextvars.Context]] = deque()
        self._begun = 0

    def start(self, work: Start, context: contextvars.Context) -> None:
        """Run ``work()`` in a task, now or in one of the next turns; in the order of asking.

        It calls `done` at its end. A callback of the task would cost as much as the task.
        """
        if self._begun == 0:
            self.loop.call_soon(self._turn)
        if self._begun >= TASKS_PER_TURN or self._ready:
            self._ready.append((work, context))
        else:
            self._begin(work, context)
        self._begun += 1

    def _turn(self) -> None:
        self._begun = 0
        ready = self._ready
        while ready and self._begun < TASKS_PER_TURN:
            self._begin(*ready.popleft())
            self._begun += 1
        if self._begun:
            self.loop.call_soon(self._turn)

    def _begin(self, work: Start, context: contextvars.Context) -> None:
        self.tasks.add(self.loop.create_task(work(), context=context))

    def done(self, task: asyncio.Task[None] | None) -> None:
        """A task ends: nobody waits for it any longer."""
        if task is not None:
            self.tasks.discard(task)

    async def settle(self, seconds: float) -> None:
        """Wait until nobody is at work any more; after so many seconds, cancel who is."""
        deadline = self.loop.time() + seconds
        while self._ready or self.tasks:
            left = deadline - self.loop.time()
            if left <= 0:
                break
            await asyncio.wait({*self.tasks}, timeout=left) if self.tasks else await asyncio.sleep(
                0
            )
        late = list(self.tasks)
        for task in late:
            task.cancel()
        if late:
            logger.warning("cancelled the handlers of %d consumers at the end", len(late))
            await asyncio.gather(*late, return_exceptions=True)
            # Who was cancelled before it began has not said so.
            self.tasks.difference_update(late)


_works: dict[asyncio.AbstractEventLoop, Work] = {}


def work_of_loop() -> Work:
    """The running loop's `Work`."""
    loop = asyncio.get_running_loop()
    found = _works.get(loop)
    if found is None:
        for gone in [each for each in list(_works) if each.is_closed()]:
            _works.pop(gone, None)
        found = _works[loop] = Work(loop)
    return found


async def settle(seconds: float) -> None:
    """Wait for the consumers of this loop, at its end; see `Work.settle`."""
    await work_of_loop().settle(seconds)
