"""One thread of the pool for one asynchronous request: where its ``sync_to_async`` code runs.

What lives here: `Lease`, an executor for asgiref, and `leased`, which makes asgiref use it.
What must not: requests.

Thread-sensitive code of one request has to run in one thread: database connections, cursors and
transactions belong to it. Django starts a thread for each request that needs one; a lease takes one
of the pool's when the first such code comes, and gives it back at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from asgiref.sync import SyncToAsync, ThreadSensitiveContext

from seaway.pool.leaving import Leaving
from seaway.pool.threads import Hold, Threads
from seaway.pool.tidying import begin_connections, tidy_connections

T = TypeVar("T")


class Lease(Executor):
    """An executor with one thread, which it takes from the pool when it is first used."""

    def __init__(self, threads: Threads, loop: asyncio.AbstractEventLoop) -> None:
        self._threads = threads
        self._loop = loop
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] | None = None
        self._leaving: Leaving | None = None

    @property
    def taken(self) -> bool:
        """Whether a thread is held, so that the request has connections there."""
        return self._jobs is not None

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """As `concurrent.futures.Executor` has it."""
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


class leased:  # noqa: N801  used like a function
    """Run thread-sensitive code of this context in ``lease``, unless an outer one rules already.

    A class, as every message to a consumer has one: a generator costs three times as much.
    """

    __slots__ = ("_context", "_lease", "_token")

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._context: ThreadSensitiveContext | None = None

    def __enter__(self) -> None:
        variable = SyncToAsync.thread_sensitive_context
        if variable.get(None) is None:
            context = self._context = ThreadSensitiveContext()
            SyncToAsync.context_to_thread_executor[context] = self._lease
            self._token = variable.set(context)

    def __exit__(self, *exc: object) -> None:
        context = self._context
        if context is not None:
            # A task that outlives the request gets a thread of its own from asgiref, as under
            # Django.
            SyncToAsync.context_to_thread_executor.pop(context, None)
            SyncToAsync.thread_sensitive_context.reset(self._token)
            self._lease.renew()
