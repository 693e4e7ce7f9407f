"""Those in this process who wait at a channel: for messages, or for room.

What lives here: `Waiting`: who waits where, and listening to channels while somebody does.
What must not: what they try in their turn; that is `queues`.

Of those who want the same at a channel, the first one asks and the others stand in line: news of a
channel is one question, not one for each of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from seaway.exceptions import LayerUnavailable
from seaway.layers.postgres.following import Following

R = TypeVar("R")

#: Between two looks because of time alone.
SHORTEST_NAP = 0.01
#: Seconds that a channel is listened to after the last one has gone who waited there.
LINGER = 30.0


class _Place:
    """Where those of this process wait who want the same: messages, or room for one more."""

    __slots__ = ("count", "news", "turn")

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.news = asyncio.Event()
        self.count = 0


class Waiting:
    """All who wait. `begin` comes before the first one, `end` after the last.

    :param check_open: raises `LayerUnavailable` when there is no use in waiting.
    """

    def __init__(self, check_open: Callable[[], None]) -> None:
        self._check_open = check_open
        self._following: Following
        self._over = False
        self._places: dict[tuple[str, int], _Place] = {}
        self._heard: Counter[str] = Counter()
        self._listening: set[str] = set()

    def begin(self, following: Following) -> None:
        """:param following: listens to channels, and tells `news` and `resumed`."""
        self._following = following

    def end(self) -> None:
        """Those who wait are told."""
        self._over = True
        self.resumed()

    def news(self, channel: str) -> None:
        """Something changed in a channel."""
        for (name, _), place in self._places.items():
            if name == channel:
                place.news.set()

    def resumed(self) -> None:
        """Any news may have been missed."""
        for place in self._places.values():
            place.news.set()

    async def wait(
        self,
        channel: str,
        kind: int,
        wait: float,
        longest: float,
        attempt: Callable[[], Awaitable[tuple[R | None, float | None]]],
    ) -> R | None:
        """Attempt it in turn and at each news until there is a result; None: not in time.

        :param kind: 0 for messages, a capacity for room.
        :param longest: seconds after which it is attempted again without news.
        :param attempt: gives a result, or in how many seconds time alone may make one. It is never
            cut short by the end of the wait.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        key = (channel, kind)
        place = self._places.setdefault(key, _Place())
        place.count += 1
        self._heard[channel] += 1
        locked = False
        try:
            async with asyncio.timeout_at(None if deadline == math.inf else deadline):
                await self._hear(channel)
                locked = await place.turn.acquire()
            while True:
                place.news.clear()
                result, nap = await attempt()
                left = deadline - loop.time()
                if result is not None or left <= 0:
                    return result
                await _news(place, min(longest, left), nap)
        except TimeoutError:
            return None
        finally:
            if locked:
                place.turn.release()
            place.count -= 1
            if not place.count:
                del self._places[key]
            loop.call_later(0.0 if self._over else LINGER, self._unhear, channel)

    async def _hear(self, channel: str) -> None:
        if channel in self._listening:
            return
        if self._heard[channel] == 1:
            self._following.hear("q", channel)
        try:
            await self._following.heard("q", channel)
        except LayerUnavailable:
            self._check_open()  # otherwise it is heard after the return, which is news itself
        else:
            self._listening.add(channel)

    def _unhear(self, channel: str) -> None:
        self._heard[channel] -= 1
        if not self._heard[channel]:
            del self._heard[channel]
            self._listening.discard(channel)
            if not self._over:
                self._following.unhear("q", channel)


async def _news(place: _Place, longest: float, nap: float | None) -> None:
    """Wait for news of a channel, or until time alone may have changed something there."""
    seconds = longest if nap is None else min(longest, max(SHORTEST_NAP, nap))
    with contextlib.suppress(TimeoutError):
        # Not wait_for: until Python 3.12 it loses a cancellation that comes with the news.
        async with asyncio.timeout(seconds):
            await place.news.wait()
