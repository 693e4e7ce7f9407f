"""One master: two kept connections, one for commands and one for news.

What lives here: `Shard`. What must not: which slots it serves; that is `topology`'s.

Two, since a server hangs up on a subscriber that is too slow, and large answers must not count
towards that. What has to be in order with the news (where a stream stands when it is subscribed to)
is asked on the connection for news.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from seaway.layers.redis.link import Link, LinkOwner
from seaway.layers.redis.pipe import Pipe

#: Opens a connection to whichever server is the master now.
Dial = Callable[[LinkOwner], Awaitable[Link]]


class Listener(Protocol):
    """Who hears what shards do: the engine."""

    def told(self, channel: bytes, data: bytes) -> None:
        """News."""

    def dropped(self, shard: Shard, channel: bytes) -> None:
        """The server ended a subscription by itself."""

    def news_up(self, shard: Shard) -> None:
        """There is a new connection for news, without subscriptions."""

    def commands_up(self, shard: Shard) -> None:
        """There is a new connection for commands."""

    def down(self, shard: Shard, trouble: str) -> None:
        """A connection was lost."""


class _Commands:
    """Owner of the connection for commands, which gets no news."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    def told(self, channel: bytes, data: bytes) -> None:
        """PipeOwner: none are subscribed to."""

    def dropped(self, channel: bytes) -> None:
        """PipeOwner: as above."""

    def lost(self, link: Link) -> None:
        """PipeOwner: the pipe itself sees to that."""

    def up(self, pipe: Pipe) -> None:
        self._shard.listener.commands_up(self._shard)

    def down(self, pipe: Pipe) -> None:
        self._shard.listener.down(self._shard, pipe.trouble)


class _News(_Commands):
    """Owner of the connection for news."""

    def told(self, channel: bytes, data: bytes) -> None:
        self._shard.listener.told(channel, data)

    def dropped(self, channel: bytes) -> None:
        self._shard.listener.dropped(self._shard, channel)

    def up(self, pipe: Pipe) -> None:
        self._shard.listener.news_up(self._shard)


class Shard:
    """The connections of one master."""

    def __init__(self, dial: Dial, listener: Listener, name: str) -> None:
        self.name = name
        self.listener = listener
        self.commands = Pipe(dial, _Commands(self), name)
        self.news = Pipe(dial, _News(self), name)

    async def connect(self) -> None:
        """:raises Unreachable, ConfigurationError: as `Dialer.dial`."""
        await self.commands.connect()
        await self.news.connect()

    def mend(self) -> None:
        """Connect in the background."""
        self.commands.mend()
        self.news.mend()

    async def close(self) -> None:
        await asyncio.gather(self.commands.close(), self.news.close())

    def retire(self, error: Exception) -> None:
        """It serves nothing any more; what waits has to be asked elsewhere."""
        self.commands.retire(error)
        self.news.retire(error)

    def forked(self) -> None:
        self.commands.forked()
        self.news.forked()

    def tick(self, now: float) -> None:
        self.commands.tick(now)
        self.news.tick(now)
