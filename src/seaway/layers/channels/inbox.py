"""The mailboxes of a process: what waits for a receiver, and who takes it as it comes.

What lives here: `Inbox`, one channel's mailbox, and `Inboxes`, all of a layer's.
What must not: encoding, engines, groups beyond their names.

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

logger = logging.getLogger("seaway.channels")

T = TypeVar("T")

#: Takes each item of a mailbox as it comes, on the loop on which it subscribed.
Put = Callable[[T], None]

_Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs on this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Inbox(Generic[T]):
    """One channel's mailbox: a queue with receivers that wait, or one that takes all.

    :ivar put: who takes all, on ``loop``; None: items wait in line.
    :ivar groups: whose member the channel is.
    :ivar pins: who is about to use it.
    """

    __slots__ = (
        "_ended", "_items", "_lock", "_waiters", "capacity", "groups", "loop", "name", "on_clock",
        "pins", "put",
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
                return found
        return None

    def take_all(self) -> list[T]:
        """Empty the mailbox; expired items are not among them."""
        with self._lock:
            items, self._items = self._items, None
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


class Inboxes:
    """The mailboxes of one layer by channel, each there as long as anything needs it.

    :param capacity: of a channel, by its name.
    :param expired: told of a mailbox in which so many messages went past their time unread.
    """

    def __init__(
        self,
        expiry: float,
        capacity: Callable[[str], int],
        expired: Callable[[Inbox[bytes], int], None],
    ) -> None:
        self._expiry = expiry
        self._capacity = capacity
        self._expired = expired
        self._lock = threading.Lock()
        self._inboxes: dict[str, Inbox[bytes]] = {}
        self._clock: deque[tuple[float, Inbox[bytes]]] = deque()

    def open(self, name: str) -> Inbox[bytes]:
        """The mailbox of a channel, made if there is none."""
        inbox = self._inboxes.get(name)
        if inbox is None:
            made = Inbox[bytes](name, self._capacity(name), self._lock)
            inbox = self._inboxes.setdefault(name, made)
        return inbox

    def get(self, name: str) -> Inbox[bytes] | None:
        return self._inboxes.get(name)

    def all(self) -> list[Inbox[bytes]]:
        return list(self._inboxes.values())

    def in_use(self) -> dict[str, Inbox[bytes]]:
        """Those where somebody or something waits."""
        return {inbox.name: inbox for inbox in self.all() if inbox.in_use}

    def offer(self, inbox: Inbox[bytes], data: bytes) -> bool:
        """Put a message in; False when there is no room."""
        deadline = time.monotonic() + self._expiry
        if not inbox.offer(data, deadline):
            return False
        if inbox.put is None:
            self._watch_clock(inbox, deadline)
            current = self._inboxes.setdefault(inbox.name, inbox)
            if current is not inbox:  # another thread forgot it meanwhile, and somebody made anew
                for item in inbox.take_all():
                    self.offer(current, item)
        return True

    def _watch_clock(self, inbox: Inbox[bytes], deadline: float) -> None:
        if not inbox.on_clock:
            inbox.on_clock = True
            self._clock.append((deadline, inbox))

    async def receive(self, name: str) -> bytes:
        """The next message of a channel; waits for one."""
        self.clean_expired()
        inbox = self._pinned(name)
        try:
            return await inbox.get()
        finally:
            with self._lock:
                inbox.pins -= 1
            self.clean_expired()
            self.discard_idle(inbox)

    def subscribe(self, name: str, put: Put[bytes]) -> None:
        """Give all messages of a channel to ``put``, on the running loop."""
        inbox = self._pinned(name)
        inbox.subscribe(put)
        with self._lock:
            inbox.pins -= 1

    def unsubscribe(self, name: str) -> Inbox[bytes] | None:
        """End that; the mailbox, if there was one, which is empty now."""
        inbox = self._inboxes.get(name)
        if inbox is not None:
            inbox.unsubscribe()
            inbox.take_all()
            self.discard_idle(inbox)
        return inbox

    def join(self, name: str, group: str) -> Inbox[bytes]:
        """Note that a channel is a member, so that its mailbox stays."""
        inbox = self._pinned(name)
        with self._lock:
            if group not in inbox.groups:
                inbox.groups = (*inbox.groups, group)
            inbox.pins -= 1
        return inbox

    def leave(self, inbox: Inbox[bytes], group: str) -> None:
        """Undo that."""
        with self._lock:
            inbox.groups = tuple(name for name in inbox.groups if name != group)
        self.discard_idle(inbox)

    def _pinned(self, name: str) -> Inbox[bytes]:
        """The mailbox of a channel, which nobody forgets until it is unpinned."""
        capacity = self._capacity(name)
        with self._lock:
            inbox = self._inboxes.get(name)
            if inbox is None:
                inbox = self._inboxes[name] = Inbox[bytes](name, capacity, self._lock)
            inbox.pins += 1
        return inbox

    def discard_idle(self, inbox: Inbox[bytes]) -> None:
        """Forget a mailbox that nothing needs."""
        with self._lock:
            idle = not (inbox.in_use or inbox.groups or inbox.pins)
            if idle and self._inboxes.get(inbox.name) is inbox:
                del self._inboxes[inbox.name]

    def clean_expired(self, slack: float = 0.0) -> None:
        """Drop what is past its time by more than ``slack``. Costs nothing when nothing is.

        Each mailbox is looked at when its first message is due, and then when what was its first
        one then is: so a message is dropped at the latest after twice its time.
        """
        clock, now = self._clock, time.monotonic()
        while clock and clock[0][0] + slack <= now:
            _, inbox = clock.popleft()
            inbox.on_clock = False
            dropped = inbox.expire(now)
            if dropped:
                self._expired(inbox, dropped)
            oldest = inbox.oldest()
            if oldest is None:
                self.discard_idle(inbox)
            else:
                self._watch_clock(inbox, oldest)

    def clear(self) -> None:
        """Empty every mailbox and forget those that nothing needs."""
        for inbox in self.all():
            inbox.take_all()
            self.discard_idle(inbox)
