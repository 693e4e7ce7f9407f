"""The Redis engine.

What lives here: `RedisLayer`, its parts put together, and its life.
What must not: the parts.
"""

from __future__ import annotations

import asyncio

from seaway.exceptions import LayerError
from seaway.layers.base import Receiver
from seaway.layers.redis.address import Address
from seaway.layers.redis.engine import Engine
from seaway.layers.redis.presence import RedisPresence
from seaway.layers.redis.publishing import Publishing
from seaway.layers.redis.queues import RedisQueues
from seaway.layers.redis.streams import RedisStreams


class RedisLayer(RedisStreams, RedisPresence, RedisQueues):
    """Streams, queues and presence on Redis 7 or Valkey 8 and later.

    :param namespace: the first part of every key: projects with different ones do not meet.
    """

    def __init__(self, address: Address, namespace: str) -> None:
        self.address = address
        self.timeout = address.options.timeout
        self.lease = address.options.lease
        self._engine = Engine(address, namespace, self.timeout, self._enter_again)
        self._publishing = Publishing(self._engine)
        self._receiver: Receiver | None = None
        self._begin_presence()
        self._begin_queues()

    def describe(self) -> str:
        return f"Redis at {self.address.describe()}"

    @property
    def flaws(self) -> int:
        """How many corrupt entries were found, and skipped, in the engine's data."""
        return self._engine.flaws.count

    async def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        await self._engine.start()
        try:
            await self._renew()
        except BaseException:
            await self._engine.close()
            raise
        self._engine.spawn(self._keep_alive())

    async def close(self) -> None:
        if self._engine.connected:
            self._engine.connected = False
            try:
                async with asyncio.timeout(self.timeout):
                    await self._bury(self._engine.process, by_itself=True)
            except (LayerError, TimeoutError):
                pass  # then its members leave when its lease has run out
        await self._engine.close()

    def forked(self) -> None:
        self._engine.forked()
