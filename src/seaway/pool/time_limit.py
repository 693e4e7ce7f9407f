"""A time limit for synchronous code in a thread.

What lives here: `run_limited`, and `Limit` that it stops a thread's work with.
What must not: the limit itself; whoever cancels `run_limited` sets it.

Python can have a thread raise an exception at its next bytecode (`PyThreadState_SetAsyncExc`). Code
that waits in C (a database driver, ``time.sleep``) raises once it comes back: a time-out of the
driver's own is still needed there.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from seaway.exceptions import TimeLimitExceeded
from seaway.pool import run_in_pool

T = TypeVar("T")

_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes = (ctypes.c_ulong, ctypes.py_object)


class Limit:
    """One call's limit: `run` in the thread, `strike` from any other one."""

    __slots__ = ("_lock", "_struck", "_thread")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._struck = False

    def run(self, func: Callable[[], T]) -> T:
        """Run ``func()``. :raises TimeLimitExceeded: `strike` was called before it returned."""
        with self._lock:
            if self._struck:
                raise TimeLimitExceeded("It was stopped before it began.")
            self._thread = threading.get_ident()
        try:
            return func()
        finally:
            self._end()

    def _end(self) -> None:
        """From here on nothing is raised in this thread: what was on its way arrives now, and not
        in whatever the thread does next."""
        with self._lock:
            self._thread = None
            struck = self._struck
        if struck:
            for _ in range(1000):
                time.sleep(0)

    def strike(self) -> None:
        """Have `run` raise. It has returned already: nothing."""
        with self._lock:
            self._struck = True
            if self._thread is not None:
                _raise_in(self._thread, TimeLimitExceeded)


async def run_limited(func: Callable[..., T], *args: object) -> T:
    """`run_in_pool`, whose work is stopped when this is cancelled.

    Returns only when the work has ended, so that what depends on it can be given to others.
    """
    limit = Limit()
    work = asyncio.ensure_future(run_in_pool(limit.run, lambda: func(*args)))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        limit.strike()
        with contextlib.suppress(Exception):  # it is stopped, and says so, or fails in another way
            await work
        raise
