"""All mailboxes of a layer in this process: each there as long as anything needs it.

What lives here: `Inboxes`: making and forgetting them, and what is past its time.
What must not: how one works; encoding, engines, groups beyond their names.

Everything here may be called from any thread and any event loop.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from seaway.layers.channels.inbox import Inbox, Put


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

    def deadline(self) -> float:
        """Until when a message of now waits for its receiver."""
        return time.monotonic() + self._expiry

    def offer(self, inbox: Inbox[bytes], data: bytes, deadline: float = 0.0) -> bool:
        """Put a message in; False when there is no room."""
        deadline = deadline or self.deadline()
        if not inbox.offer(data, deadline):
            return False
        if inbox.put is None:
            if not inbox.on_clock:
                self._watch_clock(inbox, deadline)
            current = self._inboxes.setdefault(inbox.name, inbox)
            if current is not inbox:  # another thread forgot it meanwhile, and somebody made anew
                for item in inbox.take_all():
                    self.offer(current, item)
        return True

    def _watch_clock(self, inbox: Inbox[bytes], deadline: float) -> None:
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
            if not inbox.groups:
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
        with self._lock:
            inbox = self._inboxes.get(name)
            if inbox is None:
                capacity = self._capacity(name)
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
