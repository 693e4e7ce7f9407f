"""From threads to an event loop, in batches.

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

logger = logging.getLogger("seaway.pool")


class Mailbox:
    """Calls that threads leave for a loop. Waking a loop costs a system call and a turn of it, so
    it is woken once for all calls that have come since it last looked."""

    __slots__ = ("__weakref__", "_letters", "_woken", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._letters: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._woken = False

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
