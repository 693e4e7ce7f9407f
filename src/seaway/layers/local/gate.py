"""Nothing leaves the durable broker before what it speaks of is written.

What lives here: `Gate`: commits in a thread of their own, and what clients are told after each.
What must not: what is committed (`journal`), or what clients are told (`session`).

Answers, and news of events, may tell of changes that are not written yet: so all output waits for
the commit of everything that changed before it. One commit is under way at a time; what changes
meanwhile goes into the next one. So a lone request waits for one commit, and many share one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from seaway.layers.local.journal import Journal

if TYPE_CHECKING:
    from seaway.layers.local.session import Session

logger = logging.getLogger("seaway.broker")


class Gate:
    """:param failed: called when a commit fails: nothing is true any more that was not written."""

    def __init__(self, journal: Journal, failed: Callable[[], None]) -> None:
        self._journal = journal
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._writer = ThreadPoolExecutor(1, "seaway-journal")
        self._waiting: list[Session] = []
        self._busy = False
        self._broken = False

    def pass_on(self, sessions: list[Session]) -> None:
        """Write what these sessions have to say as soon as it may be said."""
        self._waiting += sessions
        if not self._busy and not self._broken:
            self._commit()

    def _commit(self) -> None:
        changes = self._journal.take()
        waiting, self._waiting = self._waiting, []
        output = [(session, session.take()) for session in waiting]
        if not changes:
            for session, frames in output:
                session.write(frames)
            return
        self._busy = True
        future = self._writer.submit(self._journal.database.write, changes)
        future.add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(self._committed, done, output)
        )

    def _committed(self, done: Future[None], output: list[tuple[Session, list[bytes]]]) -> None:
        self._busy = False
        error = done.exception()
        if error is not None:
            self._broken = True
            logger.error("the journal cannot be written, so nothing goes on: %s", error)
            self._failed()
            return
        for session, frames in output:
            session.write(frames)
        self.pass_on([])

    async def close(self) -> None:
        """Write what is left, and end."""
        if not self._broken:
            # Behind whatever is being written: there is one thread.
            write = partial(self._journal.database.write, self._journal.take())
            await self._loop.run_in_executor(self._writer, write)
        self._writer.shutdown()
        self._journal.database.close()
