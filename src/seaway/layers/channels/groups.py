"""The groups of which channels of this process are members: one stream of the layer for each.

What lives here: `Group` (its members, and one message to all of them) and `Groups`.
What must not: what other processes do; the queues behind plain channels.

One message of the engine reaches this process for each message to a group. Each member decodes it
for itself, so that none sees what another one does to its copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec

from seaway.exceptions import LayerError
from seaway.layers.base import Position
from seaway.layers.channels.feed import RETRY_SECONDS, Feed
from seaway.layers.channels.inbox import Inbox, Inboxes
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
        full = 0
        elsewhere: dict[asyncio.AbstractEventLoop, list[Inbox[bytes]]] = {}
        for inbox in chunk:
            put = inbox.put
            if put is None:
                full += not offer(inbox, data)
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


async def insist(work: Callable[[], Coroutine[Any, Any, None]], what: str) -> None:
    """Do something, again and again while the engine does not answer."""
    troubled = False
    while True:
        try:
            await work()
        except LayerError as error:
            if not troubled:
                logger.warning("cannot take over %s yet: %s", what, error)
            troubled = True
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return


class Groups:
    """The groups with members in this process. Belongs on the hub's loop.

    :param topic: the stream of a group, by its name.
    :param expiry: seconds that a membership lasts.
    """

    def __init__(
        self,
        hub: Hub,
        topic: Callable[[str], str],
        expiry: float,
        inboxes: Inboxes,
        tally: Tally,
        tell: Callable[[Group, int | None], None],
    ) -> None:
        self.by_name: dict[str, Group] = {}
        self._hub = hub
        self._topic = topic
        self._expiry = expiry
        self._inboxes = inboxes
        self._tally = tally
        self._tell = tell

    async def add(self, name: str, channel: str) -> None:
        """Make a channel of this process a member, or extend its time."""
        inbox = self._inboxes.join(channel, name)
        group = self._open(name)
        if inbox not in group.members:
            group.changed()
        group.members[inbox] = self._until(group)
        await self._started(group)

    async def add_proxy(self, name: str, channel: str, make: Callable[[], Proxy]) -> None:
        """The same for a plain channel."""
        group = self._open(name)
        proxy = group.proxies[channel][0] if channel in group.proxies else make()
        group.proxies[channel] = (proxy, self._until(group))
        await self._started(group)

    def discard(self, name: str, channel: str) -> None:
        """End a membership. None: nothing."""
        group = self.by_name.get(name)
        inbox = self._inboxes.get(channel)
        if inbox is not None:
            self._inboxes.leave(inbox, name)
        if group is None:
            return
        group.proxies.pop(channel, None)
        if inbox is not None and group.members.pop(inbox, None) is not None:
            group.changed()
        self._close_if_empty(group)

    def leave_all(self, inbox: Inbox[bytes]) -> None:
        """End all memberships of a channel."""
        for name in inbox.groups:
            self._inboxes.leave(inbox, name)
            group = self.by_name.get(name)
            if group is not None and group.members.pop(inbox, None) is not None:
                group.changed()
                self._close_if_empty(group)

    def members(self, name: str) -> list[str]:
        """The names of the group's members in this process; of plain channels, too."""
        group = self.by_name.get(name)
        if group is None:
            return []
        self.expire(group)
        return [*(inbox.name for inbox in group.members), *group.proxies]

    def clear(self) -> None:
        """End every membership."""
        for group in list(self.by_name.values()):
            for inbox in list(group.members):
                self._inboxes.leave(inbox, group.name)
            self.stop(group)

    def stop(self, group: Group) -> None:
        """Follow a group no longer."""
        group.end()
        if self.by_name.get(group.name) is group:
            del self.by_name[group.name]

    def move_in(self, before: Groups) -> list[Coroutine[Any, Any, None]]:
        """Take over all memberships from the groups of a hub that is gone; what is to be done for
        that, each until it is done."""
        for old in list(before.by_name.values()):
            group = self._open(old.name)
            group.members.update(old.members)
            group.proxies.update(old.proxies)
            group.expires = old.expires
            group.changed()
        before.by_name.clear()
        return [insist(group.feed.open, group.name) for group in self.by_name.values()]

    # Inside --------------------------------------------------------------------------------------

    def _open(self, name: str) -> Group:
        group = self.by_name.get(name)
        if group is None:
            group = self.by_name[name] = Group(
                self._hub,
                name,
                self._topic(name),
                self._inboxes,
                self._tally,
                self._tell,
                self.expire,
            )
        return group

    async def _started(self, group: Group) -> None:
        if group.feed.epoch:
            return
        if group.starting is None:
            group.starting = asyncio.get_running_loop().create_task(group.feed.open())
        try:
            await asyncio.shield(group.starting)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not group.feed.closed or (task is not None and task.cancelling()):
                raise  # not the start was cancelled, but who waited for it
        except BaseException:
            for inbox in list(group.members):
                self._inboxes.leave(inbox, group.name)
            self.stop(group)
            raise

    def _close_if_empty(self, group: Group) -> None:
        if group.empty:
            self.stop(group)

    def _until(self, group: Group) -> float:
        until = time.monotonic() + self._expiry
        group.expires = min(group.expires, until) if not group.empty else until
        return until

    def expire(self, group: Group) -> None:
        """Let those go whose last `add` is too long ago."""
        now = time.monotonic()
        if group.expires > now:
            return
        for inbox, until in list(group.members.items()):
            if until <= now:
                del group.members[inbox]
                self._inboxes.leave(inbox, group.name)
                group.changed()
        for channel, (_, until) in list(group.proxies.items()):
            if until <= now:
                del group.proxies[channel]
        left = [*group.members.values(), *(until for _, until in group.proxies.values())]
        group.expires = min(left, default=now)
        self._close_if_empty(group)
