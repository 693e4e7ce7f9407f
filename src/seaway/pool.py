"""Threads for synchronous code: bounded, persistent, and clean of old database connections.

What lives here: the one way from the event loop into synchronous Django code and back.
What must not: knowledge of topics, users or requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.core.signals import setting_changed
from django.db import close_old_connections, reset_queries

from seaway.conf import seaway_settings

T = TypeVar("T")

#: Seconds for which the connections of asynchronous database code are trusted without a look.
TRUST_SECONDS = 1.0


class _State:
    executor: ThreadPoolExecutor | None = None
    thread_sensitive = False
    looked_at = 0.0


async def run_in_pool(func: Callable[..., T], *args: object) -> T:
    """Run ``func(*args)`` in one of the ``THREADS`` threads, with a copy of the caller's context.

    Database connections that are broken or older than ``CONN_MAX_AGE`` are closed before and after,
    as around a request. Whoever finds no free thread waits its turn.
    """
    if _State.thread_sensitive:
        # The test's own connection is not ours to close, as in Django's test client.
        return await sync_to_async(func, thread_sensitive=True)(*args)
    context = contextvars.copy_context()
    work = functools.partial(context.run, _run, func, args)
    return await asyncio.get_running_loop().run_in_executor(_executor(), work)


async def refresh_connections() -> None:
    """Close what is old among the connections of asynchronous database code.

    ``await Model.objects.aget()`` runs in asgiref's thread, which no request's end tidies for us.
    One hop a second at most: a connection that broke meanwhile fails one caller, then is replaced.
    """
    if _State.thread_sensitive:
        return
    now = time.monotonic()
    if now - _State.looked_at >= TRUST_SECONDS:
        _State.looked_at = now
        await sync_to_async(close_old_connections, thread_sensitive=True)()


@contextlib.contextmanager
def thread_sensitive() -> Iterator[None]:
    """For tests: run everything where asgiref runs ``sync_to_async`` code, in one thread.

    Under Django's ``TestCase`` that is the thread whose transaction holds the test's data.
    """
    before = _State.thread_sensitive
    _State.thread_sensitive = True
    try:
        yield
    finally:
        _State.thread_sensitive = before


def _run(func: Callable[..., T], args: tuple[object, ...]) -> T:
    close_old_connections()
    reset_queries()
    try:
        return func(*args)
    except StopIteration as exc:
        # A future cannot carry StopIteration: its waiter would never be woken.
        raise RuntimeError("StopIteration escaped from synchronous code") from exc
    finally:
        close_old_connections()


def _executor() -> ThreadPoolExecutor:
    if _State.executor is None:
        _State.executor = ThreadPoolExecutor(seaway_settings().THREADS, "seaway-sync")
    return _State.executor


def _forget(*, setting: str = "SEAWAY", **_: object) -> None:
    if setting == "SEAWAY" and _State.executor is not None:
        _State.executor.shutdown(wait=False)
        _State.executor = None


def _start_afresh() -> None:
    """A forked child has the executor, but not its threads."""
    _State.executor = None


setting_changed.connect(_forget, dispatch_uid="seaway.pool")
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)
