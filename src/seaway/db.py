"""The database from asynchronous code.

What lives here: `database_sync_to_async` and `aclose_old_connections`, of the Channels API.
What must not: threads of our own; `seaway.pool` lends one to each handler.
"""

from __future__ import annotations

from typing import Any

from asgiref.sync import SyncToAsync, sync_to_async

from seaway.pool import close_idle_connections

__all__ = ["DatabaseSyncToAsync", "aclose_old_connections", "database_sync_to_async"]


class DatabaseSyncToAsync(SyncToAsync[Any, Any]):
    """``sync_to_async`` that closes database connections which are broken or too old, before and
    after the function; one inside a transaction stays. Usable as a decorator. Takes what
    `asgiref.sync.sync_to_async` takes.
    """

    def thread_handler(self, loop: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs in the thread."""
        close_idle_connections()
        try:
            return super().thread_handler(loop, *args, **kwargs)  # type: ignore[no-untyped-call]  # asgiref's
        finally:
            close_idle_connections()


database_sync_to_async = DatabaseSyncToAsync


async def aclose_old_connections() -> None:
    """Close those connections of asynchronous database code that are broken or too old.

    For coroutines that run long: between two messages Seaway does it.
    """
    await sync_to_async(close_idle_connections)()
