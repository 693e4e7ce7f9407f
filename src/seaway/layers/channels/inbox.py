"""A mailbox: what waits for a receiver, and who takes it as it comes.

What lives here: `Inbox`, one channel's mailbox.
What must not: encoding, engines, groups beyond their names; other mailboxes (`inboxes`).

Everything here may be called from any thread and any event loop. A receiver takes its item itself,
in one step that cannot be cancelled: who is cancelled while it waits leaves everything where it is,
and passes its waking on to the next one.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from seaway.layers.background import running_loop

logger = logging.getLogger("seaway.channels")

T = TypeVar("T")

#: Takes each item of a mailbox as it comes, on the loop on which it subscribed.
Put = Callable[[T], None]

_Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Inbox(Generic[T]):
    """One channel's mailbox: a queue with receivers that wait, or one that takes all.

    :ivar put: who takes all, on ``loop``; None: items wait in line.
    :ivar groups: whose member the channel is.
    :ivar pins: who is about to use it.
    """

    __slots__ = (
        "_due", "_ended", "_items", "_lock", "_waiters", "capacity", "groups", "loop", "name",
        "on_clock", "pins", "put",
    )  # fmt: skip

    def __init__(self, name: str, capacity: int, lock: threading.Lock) -> None:
        self.name = name
        self.capacity = capacity
        self.put: Put[T] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.groups: tuple[str, ...] = ()
        self.on_clock = False
        self.pins = 0
        self._lock = lock
        self._items: deque[tuple[float, T]] | None = None
        self._waiters: deque[_Waiter] | None = None
        self._ended: Exception | None = None
        #: The deadline of the first item since somebody took one; 0.0: there is none.
        self._due = 0.0

    def __len__(self) -> int:
        return len(self._items) if self._items else 0

    qsize = __len__

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._items

    @property
    def in_use(self) -> bool:
        """Whether somebody or something waits here."""
        return bool(self._items or self._waiters or self.put is not None)

    # In ------------------------------------------------------------------------------------------

    def offer(self, item: T, deadline: float) -> bool:
        """Put an item in; False when there is no room.

        :param deadline: the monotonic time after which nobody gets it.
        """
        with self._lock:
            if self.put is None:
                items = self._items
                if items is None:
                    items = self._items = deque()
                if len(items) >= self.capacity:
                    return False
                items.append((deadline, item))
                self._due = self._due or deadline
                self._wake()
                return True
            put, loop = self.put, self.loop
        if loop is running_loop():
            _put(put, item)
        elif loop is not None:
            try:
                loop.call_soon_threadsafe(_put, put, item)
            except RuntimeError:  # its loop has ended, and it with it
                self.unsubscribe()
        return True

    def give_back(self, item: T) -> None:
        """Put what a receiver took, and was cancelled with, at the head of the line."""
        with self._lock:
            if self._items is None:
                self._items = deque()
            self._items.appendleft((math.inf, item))
            self._wake()

    def _wake(self) -> None:
        """Wake one receiver whose loop still runs."""
        while self._waiters:
            loop, waiter = self._waiters.popleft()
            if loop is running_loop():
                _set(waiter)
                return
            try:
                loop.call_soon_threadsafe(_set, waiter)
            except RuntimeError:
                continue
            return

    # Out -----------------------------------------------------------------------------------------

    async def get(self) -> T:
        """The next item; waits for one."""
        loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                if self._ended is not None:
                    raise self._ended
                found = self._pop()
                if found is not None:
                    return found[1]
                waiter: asyncio.Future[None] = loop.create_future()
                place = (loop, waiter)
                if self._waiters is None:
                    self._waiters = deque()
                self._waiters.append(place)
            try:
                await waiter
            except BaseException:
                with self._lock:
                    if place in self._waiters:
                        self._waiters.remove(place)
                    elif self._items:
                        self._wake()
                raise

    def _pop(self) -> tuple[float, T] | None:
        items = self._items
        while items:
            found = items.popleft()
            if found[0] > time.monotonic():
                self._due = items[0][0] if items else 0.0
                return found
        return None

    def take_all(self) -> list[T]:
        """Empty the mailbox; expired items are not among them."""
        with self._lock:
            items, self._items = self._items, None
            self._due = 0.0
        now = time.monotonic()
        return [item for deadline, item in items or () if deadline > now]

    def expire(self, now: float) -> int:
        """Drop what is past its time; how many."""
        dropped = 0
        with self._lock:
            while self._items and self._items[0][0] <= now:
                self._items.popleft()
                dropped += 1
        return dropped

    def neglected(self, seconds: float) -> bool:
        """Whether nobody has taken anything for so long after the first item was past its time."""
        return self._due > 0.0 and time.monotonic() >= self._due + seconds

    def oldest(self) -> float | None:
        """The deadline of what waits longest."""
        with self._lock:
            return self._items[0][0] if self._items else None

    def end(self, error: Exception) -> None:
        """Let every receiver, those to come too, raise ``error``."""
        with self._lock:
            self._ended = error
            for _ in range(len(self._waiters or ())):
                self._wake()

    # Whole ---------------------------------------------------------------------------------------

    def subscribe(self, put: Put[T]) -> None:
        """Give every item to ``put`` on the running loop, first of all those that wait."""
        with self._lock:
            self.put, self.loop = put, asyncio.get_running_loop()
        for item in self.take_all():
            _put(put, item)

    def unsubscribe(self) -> None:
        """End that."""
        with self._lock:
            self.put = self.loop = None


def _put(put: Put[Any], item: Any) -> None:
    try:
        put(item)
    except Exception:
        logger.exception("a subscriber failed on a message")


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
