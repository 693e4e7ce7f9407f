"""Threads for synchronous code: bounded, persistent, and clean of old database connections.

What lives here: the one way from the event loop into synchronous Django code and back.
What must not: knowledge of topics, users or requests.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.core.signals import setting_changed
from django.db import connections

from seaway.conf import seaway_settings
from seaway.pool import tidying
from seaway.pool.lease import Lease, use_loop
from seaway.pool.leaving import Leaving
from seaway.pool.mailbox import Mailbox, mailbox
from seaway.pool.threads import Hold, Threads
from seaway.pool.tidying import begin_connections, close_idle_connections, tidy_connections

__all__ = [
    "Hold",
    "Lease",
    "Leaving",
    "Mailbox",
    "begin_connections",
    "close_idle_connections",
    "close_threads",
    "hold",
    "is_thread_sensitive",
    "lease",
    "mailbox",
    "make_context_sensitive",
    "refresh_connections",
    "run_in_pool",
    "submit",
    "thread_sensitive",
    "threads",
    "tidy_connections",
    "use_loop",
]

T = TypeVar("T")

#: Seconds for which the connections of asynchronous database code are trusted without a look.
TRUST_SECONDS = 1.0
#: Seconds that work under way gets when the process ends.
EXIT_SECONDS = 5.0


#: True in the context of what a test drives; see `make_context_sensitive`.
_sensitive: contextvars.ContextVar[bool] = contextvars.ContextVar("seaway.sensitive", default=False)


class _State:
    threads: Threads | None = None
    thread_sensitive = False
    looked_at = 0.0
    #: Keeps a reference to what `submit` runs in asgiref's thread.
    tasks: set[asyncio.Task[Any]] = set()


async def run_in_pool(func: Callable[..., T], *args: object) -> T:
    """Run ``func(*args)`` in one of the ``THREADS`` threads, with a copy of the caller's context.

    Database connections that are broken or older than ``CONN_MAX_AGE`` are closed before and after,
    as around a request. Whoever finds no free thread waits its turn.
    """
    if is_thread_sensitive():
        # The test's own connection is not ours to close, as in Django's test client.
        return await sync_to_async(func, thread_sensitive=True)(*args)
    box = mailbox()
    future: asyncio.Future[T] = box.loop.create_future()
    context = contextvars.copy_context()

    def job() -> None:
        use_loop(box.loop)
        try:
            result = context.run(_run, func, args)
        except BaseException as error:  # noqa: BLE001 - it belongs to the one who waits
            box.post(_settle, future, None, error)
        else:
            box.post(_settle, future, result, None)

    threads().submit(job)
    return await future


def submit(job: Callable[[], object], box: Mailbox) -> None:
    """Run ``job()`` in one of the threads; called on the event loop, whose mailbox ``box`` is.

    It catches its own exceptions, brings its own context, and looks after its connections.
    """
    if is_thread_sensitive():
        work: Coroutine[Any, Any, object] = sync_to_async(job, thread_sensitive=True)()
        task = asyncio.get_running_loop().create_task(work)
        _State.tasks.add(task)
        task.add_done_callback(_State.tasks.discard)
    else:
        box.hand(job, threads().submit)


def lease(loop: asyncio.AbstractEventLoop | None = None) -> Lease | None:
    """A thread for the synchronous code of one asynchronous request, see `seaway.pool.lease`.

    :param loop: the running loop, if the caller has it at hand.
    None under `thread_sensitive`: there asgiref's own thread serves everybody.
    """
    if is_thread_sensitive():
        return None
    return Lease(threads(), loop or asyncio.get_running_loop())


def hold() -> Hold | None:
    """The running job's claim on its thread, for one that may last; called in the thread."""
    return None if is_thread_sensitive() else threads().hold()


async def refresh_connections() -> None:
    """Close what is old among the connections of asynchronous database code.

    ``await Model.objects.aget()`` runs in asgiref's thread, which no request's end tidies for us.
    One hop a second at most: a connection that broke meanwhile fails one caller, then is replaced.
    """
    if is_thread_sensitive():
        return
    now = time.monotonic()
    if now - _State.looked_at >= TRUST_SECONDS:
        _State.looked_at = now
        await sync_to_async(close_idle_connections, thread_sensitive=True)()


@contextlib.contextmanager
def thread_sensitive() -> Iterator[None]:
    """For tests: run everything where asgiref runs ``sync_to_async`` code, in one thread.

    Under Django's ``TestCase`` that is the thread whose transaction holds the test's data.
    """
    before = _State.thread_sensitive
    _State.thread_sensitive = tidying.suspended = True
    try:
        yield
    finally:
        _State.thread_sensitive = tidying.suspended = before


def make_context_sensitive() -> None:
    """For tests: as `thread_sensitive`, for the running context and what is started from it."""
    _sensitive.set(True)


def is_thread_sensitive() -> bool:
    """Whether synchronous code of this context runs where asgiref runs it."""
    return _State.thread_sensitive or _sensitive.get()


def threads() -> Threads:
    """This process's threads, as many as the settings say."""
    found = _State.threads
    if found is None:
        options = seaway_settings()
        found = _State.threads = Threads(
            options.THREADS, options.HELD_THREADS, "seaway-sync", connections.close_all
        )
    return found


def _run(func: Callable[..., T], args: tuple[object, ...]) -> T:
    begin_connections()
    try:
        return func(*args)
    except StopIteration as exc:
        # A future cannot carry StopIteration: its waiter would never be woken.
        raise RuntimeError("StopIteration escaped from synchronous code") from exc
    except (SystemExit, KeyboardInterrupt) as exc:
        # It ends the event loop that waits for it, and all that others do there.
        raise RuntimeError(f"{exc!r} in synchronous code does not end the process") from exc
    finally:
        tidy_connections()


def _settle(future: asyncio.Future[T], result: T, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _forget(*, setting: str = "SEAWAY", **_: object) -> None:
    if setting == "SEAWAY" and _State.threads is not None:
        _State.threads.close()
        _State.threads = None


def close_threads() -> None:
    """What was begun may end; then threads and their database connections are closed. The next
    use starts new ones."""
    found, _State.threads = _State.threads, None
    if found is not None:
        found.close(EXIT_SECONDS)


def _start_afresh() -> None:
    """A forked child has the object, but not its threads."""
    _State.threads = None


setting_changed.connect(_forget, dispatch_uid="seaway.pool")
atexit.register(close_threads)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)
