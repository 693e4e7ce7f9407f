"""How long a handler may still run once its client has gone.

What lives here: `Grace`. What must not: what comes after it (`run`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seaway.consumers.run import Run

logger = logging.getLogger("seaway.consumers")


class Grace:
    """Cancels the handler of a consumer after its ``disconnect_grace``, unless it has ended."""

    __slots__ = ("_cut_off", "_run", "_timer")

    def __init__(self, run: Run) -> None:
        self._run = run
        self._cut_off: asyncio.Task[None] | None = None
        self._timer = run.work.loop.call_later(run.consumer.disconnect_grace, self._cut)

    def end(self) -> None:
        """It has. Idempotent."""
        self._timer.cancel()

    def was_it(self) -> bool:
        """Whether it was this that has just cancelled the handler: its task can go on then."""
        task, self._cut_off = self._cut_off, None
        if task is None:
            return False
        task.uncancel()
        return True

    def _cut(self) -> None:
        run = self._run
        name = type(run.consumer).__qualname__
        if run.in_thread:
            logger.warning("a handler of %s still runs, and its client has gone", name)
        elif run.task is not None:
            logger.warning("cancelled a handler of %s, whose client has gone", name)
            self._cut_off = run.task
            run.task.cancel()
