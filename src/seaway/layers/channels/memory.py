"""A channel layer inside one process: for tests and for trying things out.

What lives here: `InMemoryChannelLayer`.
What must not: another process.
"""

from __future__ import annotations

import time
from typing import Any

from seaway.layers.channels.base import Capacities
from seaway.layers.channels.inbox import Inbox
from seaway.layers.channels.local import LocalChannels, random_name
from seaway.layers.channels.messages import Message, decode_message, encode_message


class InMemoryChannelLayer(LocalChannels):
    """Every channel and group in this object, for all threads and event loops of the process.

    :ivar groups: group → member → the monotonic time of its last `group_add`.
    """

    def __init__(
        self,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise TypeError(f"InMemoryChannelLayer has no option {min(kwargs)!r}.")
        super().__init__(expiry, group_expiry, capacity, channel_capacity)
        self.groups: dict[str, dict[str, float]] = {}

    async def send(self, channel: str, message: Message) -> None:
        """As `BaseChannelLayer.send`.

        :raises ChannelFull: the channel holds as many messages as it may.
        :raises UnencodablePayload: also a TypeError; see `encode_message`.
        """
        data = encode_message(message)
        self.require_valid_channel_name(channel)
        self._put_local(channel, data)

    async def receive(self, channel: str) -> Message:
        """As `BaseChannelLayer.receive`. Cancelled, it takes nothing."""
        self.require_valid_channel_name(channel)
        data = await self._inboxes.receive(channel)
        self._tally.count("received")
        return decode_message(data)

    async def new_channel(self, prefix: str = "specific") -> str:
        name = f"{prefix.rstrip('.')}.inmemory!{random_name()}"
        self.require_valid_channel_name(name)
        return name

    async def group_add(self, group: str, channel: str) -> None:
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        self.groups.setdefault(group, {})[channel] = time.monotonic()
        self._inboxes.join(channel, group)

    async def group_discard(self, group: str, channel: str) -> None:
        self.require_valid_channel_name(channel)
        self.require_valid_group_name(group)
        members = self.groups.get(group, {})
        members.pop(channel, None)
        if not members:
            self.groups.pop(group, None)
        inbox = self._inboxes.get(channel)
        if inbox is not None:
            self._inboxes.leave(inbox, group)

    async def group_send(self, group: str, message: Message) -> None:
        """As `BaseChannelLayer.group_send`: a member that is full is left out, counted, logged."""
        data = encode_message(message)
        self.require_valid_group_name(group)
        self._inboxes.clean_expired()
        self._tally.count("group_sent")
        members = await self.group_channels(group)
        inboxes = self._inboxes
        full = sum(not inboxes.offer(inboxes.open(channel), data) for channel in members)
        self._tally.count("delivered", len(members) - full)
        if full:
            where = f"{full} of {len(members)} channels over capacity in group {group}"
            self._tally.lost("dropped_full", where, full)

    async def group_channels(self, group: str) -> list[str]:
        """The members' names."""
        members = self.groups.get(group)
        if members is None:
            return []
        # The oldest is first only until somebody is added again: look at each.
        oldest = time.monotonic() - self.group_expiry
        gone = [channel for channel, added in list(members.items()) if added < oldest]
        for channel in gone:
            await self.group_discard(group, channel)
        return list(members)

    async def group_count(self, group: str) -> int:
        """How many members there are."""
        return len(await self.group_channels(group))

    async def statistics(self) -> dict[str, Any]:
        """What this layer did, in numbers; see the reference."""
        return {**self._counts(), "groups": len(self.groups)}

    async def flush(self) -> None:
        for members in self.groups.values():
            for channel in members:
                inbox = self._inboxes.get(channel)
                if inbox is not None:
                    inbox.groups = ()
        self.groups = {}
        self._inboxes.clear()

    async def close(self) -> None:
        await self.flush()

    def _leave_all(self, inbox: Inbox[bytes]) -> None:
        for group in inbox.groups:
            members = self.groups.get(group, {})
            members.pop(inbox.name, None)
            if not members:
                self.groups.pop(group, None)
            self._inboxes.leave(inbox, group)
