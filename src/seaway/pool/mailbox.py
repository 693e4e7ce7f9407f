"""Between an event loop and threads, in batches both ways.

What lives here: `Mailbox`. What must not: threads, Django.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

Job = Callable[[], object]

logger = logging.getLogger("seaway.pool")


class Mailbox:
    """Calls that threads leave for a loop, and jobs that the loop leaves for threads.

    Waking a loop costs a system call and a turn of it, so it is woken once for all calls that have
    come since it last looked.

    Jobs are handed over at the end of a turn. uvloop lets go of the GIL after each callback: a
    thread that has just been given a job would take it, and the loop would have to wait for it,
    five milliseconds at worst, before it reads each of the requests that have come meanwhile.
    """

    __slots__ = ("__weakref__", "_jobs", "_letters", "_woken", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._letters: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._woken = False
        self._jobs: list[tuple[Callable[[Job], object], Job]] = []

    def post(self, call: Callable[..., object], *args: Any) -> None:
        """Have ``call(*args)`` called on the loop, in the order of posting. From any thread.

        Nothing happens once the loop is closed: nobody waits any more.
        """
        self._letters.append((call, args))
        # Appended before the look at the flag, and `_open` lowers the flag before it looks for
        # letters: whichever comes first, this letter is read.
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._open)

    def hand(self, job: Job, to: Callable[[Job], object]) -> None:
        """Have ``to(job)`` called at the end of this turn of the loop. In the loop's thread only.

        At once when the loop is closed: a job may be all that is left to be tidied up.
        """
        if self.loop.is_closed():
            to(job)
            return
        if not self._jobs:
            self.loop.call_soon(self._hand_over)
        self._jobs.append((to, job))

    def _hand_over(self) -> None:
        jobs, self._jobs = self._jobs, []
        for to, job in jobs:
            to(job)

    def _open(self) -> None:
        self._woken = False
        letters = self._letters
        while letters:
            call, args = letters.popleft()
            try:
                call(*args)
            except Exception:
                logger.exception("a call from the pool has failed")


_mailboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox] = (
    weakref.WeakKeyDictionary()
)


def mailbox() -> Mailbox:
    """The running loop's one mailbox."""
    loop = asyncio.get_running_loop()
    found = _mailboxes.get(loop)
    if found is None:
        found = _mailboxes[loop] = Mailbox(loop)
    return found
