"""The groups of which channels of this process are members: one stream of the layer for each.

What lives here: `Groups`: who joins and leaves, when memberships end, a change of hubs.
What must not: how a message reaches members (`group`); the queues behind plain channels.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from seaway.exceptions import LayerError
from seaway.layers.channels.feed import RETRY_SECONDS
from seaway.layers.channels.group import Group, Proxy
from seaway.layers.channels.inbox import Inbox
from seaway.layers.channels.inboxes import Inboxes
from seaway.layers.channels.local import Tally
from seaway.layers.hub import Hub

logger = logging.getLogger("seaway.channels")


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
