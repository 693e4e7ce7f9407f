"""Those in this process who wait at a channel: for a message, or for room.

What lives here: `Waiters`, and joining them. What must not: what they do when they are woken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from seaway.layers.redis import keys
from seaway.layers.redis.engine import Engine
from seaway.layers.redis.news import Subscription

#: What is announced at a channel, and who wants to know: receivers, senders, or both.
_READY, _SPACE = b"r", b"s"


class Waiters(Subscription):
    """Receivers and senders that wait at one channel.

    :ivar users: how many calls use it; at 0 it is given up.
    :ivar standing: set while news of the channel come in.
    :ivar version: counts the news, so that nobody waits for one that has come meanwhile.
    """

    __slots__ = ("_receivers", "_senders", "standing", "users", "version")

    def __init__(self, channel: bytes) -> None:
        super().__init__(channel)
        self.users = 0
        self.version = 0
        self.standing = asyncio.Event()
        self._receivers: deque[asyncio.Future[None]] = deque()
        self._senders: deque[asyncio.Future[None]] = deque()

    def begun(self, answer: Any) -> None:
        self.standing.set()
        self._wake_all()

    def told(self, data: bytes) -> None:
        self.version += 1
        if data == _READY:
            self.wake_receiver()
        elif data == _SPACE:
            self.wake_sender()
        else:
            self._wake_all()

    def ended(self) -> None:
        self.standing.set()
        self._wake_all()

    def wake_receiver(self) -> None:
        """Wake the one that has waited longest; it wakes the next if it found something."""
        _wake_first(self._receivers)

    def wake_sender(self) -> None:
        _wake_first(self._senders)

    def _wake_all(self) -> None:
        self.version += 1
        for queue in (self._receivers, self._senders):
            while queue:
                _wake_first(queue)

    async def for_message(self, version: int, seconds: float) -> None:
        """Wait for news after ``version``, or so many seconds."""
        await self._wait(self._receivers, version, seconds)

    async def for_room(self, version: int, seconds: float) -> None:
        """As `for_message`, for senders."""
        await self._wait(self._senders, version, seconds)

    async def _wait(self, queue: deque[asyncio.Future[None]], version: int, seconds: float) -> None:
        if version != self.version:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(woken)
        try:
            # Not wait_for: until Python 3.12 it loses a cancellation that comes with the news.
            async with asyncio.timeout(seconds):
                await woken
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            if woken.done() and not woken.cancelled():
                _wake_first(queue)  # it was ours; somebody else can use it
            raise
        finally:
            if woken in queue:
                queue.remove(woken)


@asynccontextmanager
async def waiting_at(engine: Engine, channel: str) -> AsyncIterator[Waiters]:
    """Those who wait at a channel, with this call among them, and news coming in."""
    news = engine.news
    name = keys.queue_keys(engine.root, channel)[0]
    waiters = news.get(name)
    if not isinstance(waiters, Waiters):
        waiters = Waiters(name)
        news.add(waiters)
    waiters.users += 1
    try:
        # Should it take too long, the next request says what is wrong.
        with suppress(TimeoutError):
            async with asyncio.timeout(engine.timeout):
                await waiters.standing.wait()
        yield waiters
    finally:
        waiters.users -= 1
        if not waiters.users:
            news.remove(waiters)


def _wake_first(queue: deque[asyncio.Future[None]]) -> None:
    while queue:
        woken = queue.popleft()
        if not woken.done():
            woken.set_result(None)
            return
