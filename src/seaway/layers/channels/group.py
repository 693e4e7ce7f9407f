"""One group in this process: its members, and one message to all of them.

What lives here: `Group`, the hot path of the channel layer.
What must not: which groups there are (`groups`); what other processes do.

One message of the engine reaches this process for each message to a group. Each member decodes it
for itself, so that none sees what another one does to its copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from seaway.layers.base import Position
from seaway.layers.channels.feed import Feed
from seaway.layers.channels.inbox import Inbox
from seaway.layers.channels.inboxes import Inboxes
from seaway.layers.channels.local import Tally
from seaway.layers.channels.messages import decode_message
from seaway.layers.hub import Hub

logger = logging.getLogger("seaway.channels")

#: Members that are given a message between two looks at the clock.
CHUNK = 256
#: Seconds of giving after which a large group lets the loop serve others.
TURN_SECONDS = 0.002

#: A plain channel that is a member: takes epoch, offset and data of each message.
Proxy = Callable[[str, int, bytes], None]


class Group:
    """One group's members in this process. Belongs on the hub's loop.

    :param tell: called after a gap with how many messages were missed.
    :param expire: lets those go whose membership is over.
    """

    def __init__(
        self,
        hub: Hub,
        name: str,
        topic: str,
        inboxes: Inboxes,
        tally: Tally,
        tell: Callable[[Group, int | None], None],
        expire: Callable[[Group], None],
    ) -> None:
        self.name = name
        self.members: dict[Inbox[bytes], float] = {}
        self.proxies: dict[str, tuple[Proxy, float]] = {}
        self.expires = time.monotonic()
        self.starting: asyncio.Task[None] | None = None
        self.feed = Feed(hub, topic, self._take, self._missed)
        self._loop = asyncio.get_running_loop()
        self._inboxes = inboxes
        self._tally = tally
        self._tell = tell
        self._expire = expire
        self._plan: list[Inbox[bytes]] | None = None
        self._changes = 0
        self._pending: deque[tuple[str, int, bytes]] = deque()
        self._giving = False
        self._given = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def empty(self) -> bool:
        return not self.members and not self.proxies

    def changed(self) -> None:
        """Members came or went."""
        self._plan = None
        self._changes += 1

    def end(self) -> None:
        """Nobody here is a member any longer."""
        self.feed.release()
        self.members.clear()
        self.proxies.clear()
        self._pending.clear()
        self.changed()
        if self.starting is not None:
            self.starting.cancel()
        self._release(None)

    # One message to all --------------------------------------------------------------------------

    def _take(self, epoch: str, offset: int, data: bytes) -> None:
        try:
            decode_message(data)
        except msgspec.MsgspecError:
            # Of a program that speaks another language: none of the members could read it.
            self._tally.lost("undelivered", f"not a message, in group {self.name}")
            data = b""
        self._pending.append((epoch, offset, data))
        if not self._giving:
            self._giving = True
            self._turn(self._give())

    def _turn(self, work: Iterator[None]) -> None:
        """Give until all is given or the turn is over; then go on in the next turn."""
        deadline = time.monotonic() + TURN_SECONDS
        try:
            for _ in work:
                if time.monotonic() >= deadline:
                    self._loop.call_soon(self._turn, work)
                    return
        except Exception:
            # Nothing in there raises; if it does, this group must not be deaf for good.
            logger.exception("a message to %s was cut short", self.name)
        self._giving = False

    def _give(self) -> Iterator[None]:
        while self._pending:
            epoch, offset, data = self._pending.popleft()
            if self.expires <= time.monotonic():
                self._expire(self)
            plan, changes = self._planned(), self._changes
            full = 0
            for start in range(0, len(plan) if data else 0, CHUNK):
                chunk = plan[start : start + CHUNK]
                if self._changes != changes:
                    chunk = [inbox for inbox in chunk if inbox in self.members]
                full += self._give_chunk(chunk, data)
                yield
            for proxy, _ in list(self.proxies.values()) if data else ():
                proxy(epoch, offset, data)
            if full:
                where = f"{full} of {len(plan)} channels over capacity in group {self.name}"
                self._tally.lost("dropped_full", where, full)
            self._tally.count("delivered", len(plan) - full if data else 0)
            self._release(offset)

    def _give_chunk(self, chunk: list[Inbox[bytes]], data: bytes) -> int:
        """The hot path; returns how many were full."""
        loop, offer = self._loop, self._inboxes.offer
        deadline = self._inboxes.deadline()
        full = 0
        elsewhere: dict[asyncio.AbstractEventLoop, list[Inbox[bytes]]] = {}
        for inbox in chunk:
            put = inbox.put
            if put is None:
                full += not offer(inbox, data, deadline)
            elif inbox.loop is loop:
                try:
                    put(data)
                except Exception:
                    logger.exception("a subscriber failed on a message to %s", self.name)
            elif inbox.loop is not None:
                elsewhere.setdefault(inbox.loop, []).append(inbox)
        for other, inboxes in elsewhere.items():
            try:
                other.call_soon_threadsafe(_give_there, inboxes, data)
            except RuntimeError:  # the loop has ended, and they with it
                for inbox in inboxes:
                    inbox.unsubscribe()
        return full

    def _planned(self) -> list[Inbox[bytes]]:
        if self._plan is None:
            self._plan = list(self.members)
        return self._plan

    # Waiting for one's own message ---------------------------------------------------------------

    async def given(self, position: Position, patience: float) -> None:
        """Wait until the members have what was published there, or never will.

        :param patience: seconds after which it is enough: they will get it, but not soon.
        """
        if self.feed.has_seen(position) and not self._giving:
            return
        if position.offset <= self._given and position.epoch == self.feed.epoch:
            return
        waiter = self._loop.create_future()
        self._waiting.append((position.offset, waiter))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await waiter

    def _release(self, offset: int | None) -> None:
        """Wake those who wait for messages up to ``offset``; None: all."""
        self._given = offset or 0
        waiting = self._waiting
        while waiting and (offset is None or waiting[0][0] <= offset):
            _, waiter = waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def _missed(self, number: int | None) -> None:
        self._release(None)
        self._tell(self, number)


def _give_there(inboxes: list[Inbox[bytes]], data: bytes) -> None:
    for inbox in inboxes:
        put = inbox.put
        if put is not None:
            try:
                put(data)
            except Exception:
                logger.exception("a subscriber of %s failed on a message", inbox.name)
