"""What all live connections of this process share.

What lives here: the hub, the limits, and the work that outlives a message.
What must not: anything about one connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import msgspec

from seaway.layers.hub import Hub

if TYPE_CHECKING:
    from seaway.connections.connection import Connection

logger = logging.getLogger("seaway.connections")


class Limits(msgspec.Struct, frozen=True):
    """What one client may hold or ask for.

    :param joins: topics joined at the same time; one more is answered with ``overloaded``.
    :param requests: unanswered requests after which we read no further from this client.
    :param ping_seconds: silence after which a client is asked to send a ping.
    """

    joins: int = 100
    requests: int = 64
    ping_seconds: float = 25.0


class ConnectionRegistry:
    """The live connections of one process, on its layer's event loop."""

    def __init__(self, hub: Hub, limits: Limits) -> None:
        self.hub = hub
        self.limits = limits
        self.connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work that must not be lost when its connection goes."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a request's own handling failed", exc_info=error)

    async def drain(self, seconds: float) -> None:
        """Wait until requests under way and leave hooks are done, or cancel them."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                logger.warning("cancelled %d requests that outlived the drain", len(late))
                await asyncio.gather(*late, return_exceptions=True)
