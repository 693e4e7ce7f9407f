"""What Django does to a thread's database connections around each request.

What lives here: `begin_connections` and `tidy_connections`. What must not: requests, threads.
"""

from __future__ import annotations

import threading

from django.db import close_old_connections, connections, reset_queries


class _Thread(threading.local):
    #: Whether the last `tidy_connections` has found none.
    without = False


_thread = _Thread()

#: True under `seaway.pool.thread_sensitive`: the test's own connection is not ours to close.
suspended = False


def begin_connections() -> None:
    """Before anything else runs in this thread: close what has become too old meanwhile, and
    forget the queries that DEBUG has logged."""
    # Everything that runs in a pool's thread ends with `tidy_connections`: what that did not find
    # is not there now.
    if not suspended and not _thread.without and connections.all(initialized_only=True):
        reset_queries()
        close_old_connections()


def tidy_connections() -> None:
    """Close this thread's connections that are broken or older than ``CONN_MAX_AGE``."""
    if suspended:
        return
    # Most requests have none, and this look is all that they pay.
    _thread.without = not connections.all(initialized_only=True)
    if not _thread.without:
        close_old_connections()
