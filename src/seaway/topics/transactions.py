"""Events that belong to a database transaction: with it, or in a table of its database.

What lives here: whether one is open, and which of the two, if any, its database has.
What must not: publishing after a commit, which `address` does where there is neither.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import AsyncToSync, sync_to_async
from django.db import connections
from django.utils.connection import ConnectionDoesNotExist

from seaway.conf import layer_home, namespace_within, seaway_settings
from seaway.layers.base import History, Layer
from seaway.layers.home import LayerHome

P = ParamSpec("P")
R = TypeVar("R")

#: The homes whose layer has been started: its tables are there.
_started: weakref.WeakSet[LayerHome] = weakref.WeakSet()


def leave_to(alias: str, topic: str, data: bytes, history: History | None) -> bool:
    """Write the event into the open transaction of a database. False: it has no place there."""
    namespace = namespace_within(alias)
    if namespace is not None:
        from seaway.layers.postgres.within import publish_within

        _make_tables()
        data = layer_home().layer.seal(data, topic)
        with connections[alias].cursor() as cursor:
            publish_within(cursor, namespace, topic, data, history)
        return True
    if alias in seaway_settings().OUTBOX:
        from seaway.outbox.writing import write

        write(alias, topic, data, history)
        return True
    return False


def in_atomic_block(alias: str) -> bool:
    """Whether a transaction is open here. ``connections[alias]`` would make a connection object for
    each task that asks; where there is none there is no transaction either."""
    opened = connections.all(initialized_only=True)
    if alias not in connections.settings:
        raise ConnectionDoesNotExist(f"The connection '{alias}' doesn't exist.")
    return any(one.alias == alias and one.in_atomic_block for one in opened)


async def where_transactions_are(func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a synchronous function that asks for an open transaction, from asynchronous code: below
    ``async_to_sync()`` in its caller's thread, where the caller's transaction is; else here."""
    if getattr(AsyncToSync.executors, "current", None) is None:
        return func(*args, **kwargs)
    return await sync_to_async(func, thread_sensitive=True)(*args, **kwargs)


def _make_tables() -> None:
    """A layer makes its tables when it starts. A transaction of the caller's must not do that:
    it would hold up everybody else until its end."""
    home = layer_home()
    if home not in _started:
        home.run(_nothing)
        _started.add(home)


async def _nothing(layer: Layer) -> None:
    """The layer has been started to get here."""
