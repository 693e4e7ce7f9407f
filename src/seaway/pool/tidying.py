"""What Django does to a thread's database connections around each request.

What lives here: `begin_connections`, `tidy_connections`, `close_idle_connections`, and whether
there are any.
What must not: requests, threads.
"""

from __future__ import annotations

import threading
from typing import Any, cast

from django.db import connections, reset_queries


class _Thread(threading.local):
    #: Whether the last `tidy_connections` has found none.
    without = False


_thread = _Thread()

#: True under `seaway.pool.thread_sensitive`: the test's own connection is not ours to close.
suspended = False


#: Where asgiref has this thread's connections; another thing, or nothing, in some versions of it.
_kept: Any = getattr(cast("Any", connections)._connections, "_storage", None)


def has_none() -> bool:
    """Whether this thread, which runs no event loop, has no connection, open or closed."""
    if isinstance(_kept, threading.local) and not _kept.__dict__:
        return True
    # Django's way, ten times slower: it goes through the settings and asks for each alias.
    return not connections.all(initialized_only=True)


def close_idle_connections() -> None:
    """Close this thread's connections that are broken or older than ``CONN_MAX_AGE``, but for those
    inside a transaction.

    Django's own `close_old_connections` closes these, too: what ``TestCase`` has opened around a
    test would be gone.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def begin_connections() -> None:
    """Before anything else runs in this thread: close what has become too old meanwhile, and
    forget the queries that DEBUG has logged."""
    # Everything that runs in a pool's thread ends with `tidy_connections`: what that did not find
    # is not there now.
    if not suspended and not _thread.without and not has_none():
        reset_queries()
        close_idle_connections()


def tidy_connections() -> None:
    """Close this thread's connections that are broken or older than ``CONN_MAX_AGE``."""
    if suspended:
        return
    # Most requests have none, and this look is all that they pay.
    _thread.without = has_none()
    if not _thread.without:
        close_idle_connections()
