"""Work in the background, which ends with whoever began it.

What lives here: `Background`, the tasks of one owner, and which loop runs here at all.
What must not: what they do, or when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """Tasks on the running loop.

    :param failed: called with the error of each that failed.
    """

    __slots__ = ("_failed", "_tasks")

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin something; it is cancelled by `cancel` and `end`, unless it is done by then."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._tasks)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed(error)

    def cancel(self) -> None:
        """Ask all of it to end."""
        for task in list(self._tasks):
            task.cancel()

    async def end(self) -> None:
        """Cancel all of it, but who calls this, and wait until it has ended."""
        tasks = self._tasks - {asyncio.current_task()}
        while tasks:
            for task in tasks:
                task.cancel()
            # Again, should one have taken it for its own time-out.
            _, tasks = await asyncio.wait(tasks, timeout=1.0)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs on this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
