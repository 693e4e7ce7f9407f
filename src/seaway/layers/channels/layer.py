"""The channel layer: the Channels API on any engine.

What lives here: `ChannelLayer`, its public face; everything is checked and encoded here.
What must not: settings; `seaway.channel_layers` has them.

Every coroutine may be awaited on any event loop, and so from any thread by ``async_to_sync``: what
needs the engine is handed over to the loop that owns it (`LayerHome`), and nothing is opened for a
call.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from seaway.exceptions import ChannelFull, LayerUnavailable, NotThisProcess
from seaway.layers.base import Layer
from seaway.layers.channels.base import Capacities
from seaway.layers.channels.inbox import Inbox
from seaway.layers.channels.local import LocalChannels
from seaway.layers.channels.messages import Message, decode_in_turn, encode_message
from seaway.layers.channels.names import Names
from seaway.layers.channels.node import Node
from seaway.layers.home import LayerHome

T = TypeVar("T")


class ChannelLayer(LocalChannels):
    """Channels and groups across all processes that share an engine.

    :param home: gives the home of the engine's layer, again at every use.
    :param prefix: tells apart channel layers on one engine.
    :param on_gap: the ``type`` of a message that the members of a group get when messages to it
        were missed, with ``group`` and ``missed``, how many (None: unknown). Empty: only the log
        and `statistics` tell.
    """

    extensions = ["groups", "flush", "statistics", "delay"]

    def __init__(
        self,
        home: Callable[[], LayerHome],
        *,
        prefix: str = "default",
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
        on_gap: str = "",
    ) -> None:
        super().__init__(expiry, group_expiry, capacity, channel_capacity)
        self._home = home
        self._names = Names(prefix)
        self._on_gap = on_gap
        self._node: Node | None = None
        _layers.add(self)

    @property
    def client_prefix(self) -> str:
        """This process's own part in the names of its channels."""
        return self._names.process

    # Channels ------------------------------------------------------------------------------------

    async def send(self, channel: str, message: Message, *, delay: float = 0.0) -> None:
        """Put a message into a channel.

        :param delay: seconds before which nobody receives it. For a plain channel the engine keeps
            it; for one of a process, that process does.
        :raises ChannelFull: it holds as many messages as it may. A channel of another process
            cannot tell in time: there it is counted and logged.
        :raises UnencodablePayload: also a TypeError; see `encode_message`.
        :raises LayerUnavailable: the engine does not answer.
        """
        data = encode_message(message)
        self.require_valid_channel_name(channel)
        names = self._names
        if names.is_mine(channel) and not delay > 0:
            self._put_local(channel, data)
            return
        if names.is_mine(channel):
            await self._do(lambda node: _later(node, channel, data, delay))
        elif names.is_plain(channel):
            try:
                await self._do(lambda node: node.send_queue(channel, data, delay))
            except ChannelFull:
                raise self._full(channel) from None
        else:
            await self._do(lambda node: node.send_away(channel, data, delay))
        self._tally.count("sent")

    async def receive(self, channel: str) -> Message:
        """Take the next message; waits for one. Cancelled, it takes nothing.

        :raises NotThisProcess: it lives in another process; also an AssertionError.
        """
        # One with a mailbox here is legal, and this process's own.
        here = self._inboxes.get(channel) is not None
        if not here:
            self.require_valid_channel_name(channel)
        if here or self._names.is_mine(channel):
            data = await self._inboxes.receive(channel)
        elif self._names.is_plain(channel):
            node = await self._do(_itself)
            data = await node.taker(channel).receive()
        else:
            raise NotThisProcess(f"{channel} lives in another process, which alone can receive.")
        self._tally.count("received")
        return decode_in_turn(data)

    async def new_channel(self, prefix: str = "specific") -> str:
        """The name of a new channel that lives in this process, and can be sent to from all."""
        name = self._names.new_channel(prefix)
        self.require_valid_channel_name(name)
        node = self._current_node()
        if node is None or not node.peers.present:
            await self._do(lambda node: node.peers.appear())
        return name

    def subscribe_encoded(self, channel: str, put: Callable[[bytes], None]) -> None:
        """As `LocalChannels.subscribe_encoded`.

        :raises NotThisProcess: it was not made by this process's `new_channel`.
        """
        self.require_valid_channel_name(channel)
        if not self._names.is_mine(channel):
            raise NotThisProcess(f"{channel} is not a channel of this process.")
        super().subscribe_encoded(channel, put)

    # Groups --------------------------------------------------------------------------------------

    async def group_add(self, group: str, channel: str) -> None:
        """Make a channel a member, or extend its time: what is sent to the group from now on
        reaches it.

        :raises LayerUnavailable: the engine does not answer; it is not a member.
        """
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        await self._do(lambda node: node.join(group, channel))

    async def group_discard(self, group: str, channel: str) -> None:
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        await self._do(lambda node: node.leave(group, channel))

    async def group_send(self, group: str, message: Message) -> None:
        """Send to every member, by one message of the engine to each process that has any.

        When it returns, the members in this process have it. Never ChannelFull: for a member that
        is full it is dropped, counted and logged.

        :raises LayerUnavailable: the engine does not answer; whether it was sent is not known.
        """
        data = encode_message(message)
        self.require_valid_group_name(group)
        self._inboxes.clean_expired()
        await self._do(lambda node: node.send_group(group, data))
        self._tally.count("group_sent")

    async def group_channels(self, group: str) -> list[str]:
        """The names of all members, sorted: every process is asked."""
        self.require_valid_group_name(group)
        return sorted(await self._do(lambda node: node.members(group)))

    async def group_count(self, group: str) -> int:
        """How many members there are, in all processes."""
        return len(await self.group_channels(group))

    # The whole layer -----------------------------------------------------------------------------

    async def statistics(self) -> dict[str, Any]:
        """What this process did, in numbers; see the reference."""
        node = self._node
        return {**self._counts(), "groups": len(node.groups.by_name) if node is not None else 0}

    async def channel_statistics(self, channel: str) -> dict[str, int]:
        """One channel in numbers: ``waiting``, ``delayed``, ``held``, ``capacity``."""
        self.require_valid_channel_name(channel)
        numbers = {"waiting": 0, "delayed": 0, "held": 0, "capacity": self.get_capacity(channel)}
        if self._names.is_plain(channel):
            state = await self._do(lambda node: node.queue_state(channel))
            numbers.update(waiting=state.waiting, delayed=state.delayed, held=state.held)
        else:
            inbox = self._inboxes.get(channel)
            numbers["waiting"] = len(inbox) if inbox is not None else 0
        return numbers

    async def flush(self) -> None:
        """Forget all messages and memberships, in all processes."""
        self._inboxes.clear()
        await self._do(lambda node: node.flush())

    async def close(self) -> None:
        """Leave all groups and stop listening. A later use begins anew."""
        node = self._current_node()
        if node is not None:
            await self._do(lambda node: node.close())
        self._node = None
        self._inboxes.clear()

    # Inside --------------------------------------------------------------------------------------

    async def _do(self, operation: Callable[[Node], Awaitable[T]]) -> T:
        """Do something on the loop that owns the engine's layer."""
        home = self._home()

        async def with_node(_: Layer) -> T:
            node = self._node
            if node is None or node.hub is not home.hub:
                node = self._make_node(home, node)
            while node.ready is not None:
                await asyncio.shield(node.ready)
            return await operation(node)

        return await home.arun(with_node)

    def _make_node(self, home: LayerHome, before: Node | None) -> Node:
        node = self._node = Node(
            home.hub,
            self._names,
            self._inboxes,
            self._tally,
            expiry=self.expiry,
            group_expiry=self.group_expiry,
            capacity=self.get_capacity,
            on_gap=self._on_gap,
        )
        if before is not None:
            node.move_in(before)
        return node

    def _current_node(self) -> Node | None:
        """The node, if its hub is still the home's."""
        node = self._node
        try:
            return node if node is not None and self._home().hub is node.hub else None
        except LayerUnavailable:
            return None

    def _leave_all(self, inbox: Inbox[bytes]) -> None:
        node = self._node
        if node is not None:
            try:
                node.post(node.groups.leave_all, inbox)
            except RuntimeError:
                inbox.groups = ()  # the loop has ended, and its groups with it

    def _configured(self) -> dict[str, Any]:
        return {**super()._configured(), "prefix": self._names.prefix}

    def _forked(self) -> None:
        """In the child: channels and memberships are the parent's; be another process."""
        self._names.renew()
        if self._node is not None:
            _inherited.append(self._node)
        self._node = None
        self._start_afresh()


async def _itself(node: Node) -> Node:
    return node


async def _later(node: Node, channel: str, data: bytes, delay: float) -> None:
    node.send_later(channel, data, delay)


#: What a forked child holds of its parent's: tasks of a loop that is not its own, and that it must
#: not so much as collect.
_inherited: list[Node] = []
_layers: weakref.WeakSet[ChannelLayer] = weakref.WeakSet()


def _after_fork() -> None:
    for layer in list(_layers):
        layer._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
