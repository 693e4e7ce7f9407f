"""One thread of the pool for one asynchronous request: where its ``sync_to_async`` code runs.

What lives here: `Lease`, which is used as a context manager.
What must not: requests.

Thread-sensitive code of one request has to run in one thread: database connections, cursors and
transactions belong to it. Django starts a thread for each request that needs one; a lease takes one
of the pool's when the first such code comes, and gives it back at the end.

asgiref keeps an executor for each `ThreadSensitiveContext`. Ours is one for all, and finds the
lease in the caller's context: to make an entry there for each request costs as much as all else.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import queue
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext

from seaway.pool.leaving import Leaving
from seaway.pool.threads import Hold, Threads
from seaway.pool.tidying import begin_connections, tidy_connections

T = TypeVar("T")


class Lease:
    """One thread, which is taken from the pool when it is first used.

    A context manager: thread-sensitive code of this context runs there, unless an outer one rules
    already.
    """

    __slots__ = ("_aside", "_ended", "_jobs", "_leaving", "_loop", "_threads", "_token")

    def __init__(self, threads: Threads, loop: asyncio.AbstractEventLoop) -> None:
        self._threads = threads
        self._loop = loop
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] | None = None
        self._leaving: Leaving | None = None
        self._ended = False
        self._aside: ThreadPoolExecutor | None = None

    def __enter__(self) -> Lease:
        if _ruling.get(None) is None:
            # For good: to undo it would be one more thing to do for each request.
            _ruling.set(_CONTEXT)
        self._token = _lease.set(self)
        return self

    def __exit__(self, *exc: object) -> None:
        _lease.reset(self._token)
        # A task that outlives the request keeps a thread of its own, see `submit`.
        self._ended = True
        if self._jobs is not None:
            self.renew()

    @property
    def taken(self) -> bool:
        """Whether a thread is held, so that the request has connections there."""
        return self._jobs is not None

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """As `concurrent.futures.Executor` has it."""
        if self._ended:
            if self._aside is None:
                self._aside = ThreadPoolExecutor(max_workers=1)
            return self._aside.submit(fn, *args, **kwargs)
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it belongs to the one who waits
                future.set_exception(error)
            else:
                future.set_result(result)

        if self._jobs is None:
            self._take().put(job)
        else:
            self._jobs.put(job)
        return future

    def renew(self) -> None:
        """Give the thread back, if there is one; the next use takes another."""
        jobs, self._jobs = self._jobs, None
        leaving, self._leaving = self._leaving, None
        if leaving is not None:
            leaving.cancel()
        if jobs is not None:
            jobs.put(None)

    def _take(self) -> queue.SimpleQueue[Callable[[], None] | None]:
        jobs = self._jobs = queue.SimpleQueue()
        self._threads.submit(lambda: self._serve(jobs))
        return jobs

    def _begun(self, jobs: object, hold: Hold) -> None:
        """On the loop: the thread is there."""
        if jobs is self._jobs:
            self._leaving = Leaving(self._loop, hold)

    def _serve(self, jobs: queue.SimpleQueue[Callable[[], None] | None]) -> None:
        """In the thread, from the first job to the end of the lease."""
        use_loop(self._loop)
        hold = self._threads.hold()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody else wants a place
            self._loop.call_soon_threadsafe(self._begun, jobs, hold)
        begin_connections()
        try:
            while (job := jobs.get()) is not None:
                job()
        finally:
            tidy_connections()


def use_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Make ``async_to_sync`` in this thread run its coroutines on ``loop``, as it does wherever
    ``sync_to_async`` has started the thread's work."""
    local: Any = SyncToAsync.threadlocal
    if getattr(local, "main_event_loop", None) is not loop:
        local.main_event_loop = loop
        local.main_event_loop_pid = os.getpid()
    local.task_context = None


class _Leases(Executor):
    """Where asgiref runs the thread-sensitive code of all who have a lease."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        lease = _lease.get(None)
        if lease is not None:
            return lease.submit(fn, *args, **kwargs)
        # Between two leases: where asgiref would run it if it knew nothing of ours.
        executors: Any = AsyncToSync.loop_thread_executors
        executor = executors.get(asyncio.get_running_loop(), SyncToAsync.single_thread_executor)
        future: Future[T] = executor.submit(fn, *args, **kwargs)
        return future


#: The lease of the running context.
_lease: contextvars.ContextVar[Lease] = contextvars.ContextVar("seaway.lease")
_ruling = SyncToAsync.thread_sensitive_context
_CONTEXT = ThreadSensitiveContext()
SyncToAsync.context_to_thread_executor[_CONTEXT] = _Leases()
