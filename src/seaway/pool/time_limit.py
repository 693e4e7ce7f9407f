"""A time limit for the code of handlers and tasks, in a thread above all.

What lives here: `run_limited`, and `Limit` that it stops a thread's work with; `within`, the same
for asynchronous code.
What must not: what is done about work that was stopped.

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
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from seaway.exceptions import TimeLimitExceeded
from seaway.pool import run_in_pool

T = TypeVar("T")

_raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
_raise_in.argtypes = (ctypes.c_ulong, ctypes.py_object)


class Limit:
    """One call's limit: `run` in the thread, `strike` from any other one."""

    __slots__ = ("_lock", "_over", "_thread", "_timer", "struck")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._over = False
        self.struck = False

    def run(self, func: Callable[[], T]) -> T:
        """Run ``func()``. :raises TimeLimitExceeded: `strike` was called before it returned."""
        with self._lock:
            if self.struck:
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
            self._over = True
            struck = self.struck
        if struck:
            for _ in range(1000):
                time.sleep(0)

    def strike(self) -> None:
        """Have `run` raise. It has returned already: nothing."""
        with self._lock:
            if self._over:
                return
            self.struck = True
            if self._thread is not None:
                _raise_in(self._thread, TimeLimitExceeded)

    # On the event loop ---------------------------------------------------------------------------

    def watch(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """Strike whenever so many have passed, until `unwatch`, or the end of the work."""
        if not self._over:
            self._timer = loop.call_later(seconds, self._time_out, loop, seconds)

    def unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _time_out(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.strike()
        self.watch(loop, seconds)


async def run_limited(func: Callable[..., T], *args: object, seconds: float | None = None) -> T:
    """`run_in_pool`, whose work is stopped when this is cancelled, or after ``seconds``.

    They count from when a thread has begun with it, not while all threads are busy. Work that goes
    on nevertheless, as it catches every exception, is stopped again after as many. Returns only
    when it has ended, so that what depends on it can be given to others.

    :raises TimeLimitExceeded: it ran longer than ``seconds``, whatever it made of being stopped.
    """
    limit, loop = Limit(), asyncio.get_running_loop()

    def job() -> T:
        if seconds is not None:
            loop.call_soon_threadsafe(limit.watch, loop, seconds)
        try:
            return func(*args)
        except asyncio.CancelledError as error:
            raise RuntimeError("It ended with CancelledError, and nobody had stopped it") from error

    work: asyncio.Future[T] = asyncio.ensure_future(run_in_pool(limit.run, job))
    try:
        result = await asyncio.shield(work)
    except asyncio.CancelledError:
        limit.strike()
        with contextlib.suppress(Exception):  # it is stopped, and says so, or fails in another way
            await work
        raise
    except Exception as error:
        if limit.struck:
            raise _exceeded(seconds) from error
        raise
    finally:
        limit.unwatch()
    if limit.struck:
        raise _exceeded(seconds)
    return result


async def within(work: Coroutine[Any, Any, T], seconds: float | None) -> T:
    """Asynchronous work, cancelled after ``seconds``. :raises TimeLimitExceeded: it was.

    What it raises to end itself, or the process, is an error like others: ``RuntimeError``.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        async with asyncio.timeout(seconds) as limit:
            return await work
    except TimeoutError as error:
        if limit.expired():
            raise _exceeded(seconds) from error
        raise  # its own
    except asyncio.CancelledError as error:
        if task is not None and task.cancelling() > before:
            raise
        raise RuntimeError("It ended with CancelledError, and nobody had stopped it") from error
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"{error!r} in it does not end the process") from error


def _exceeded(seconds: float | None) -> TimeLimitExceeded:
    return TimeLimitExceeded(f"It ran longer than {seconds:g} s.")
