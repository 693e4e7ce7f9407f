"""This process's part of a channel layer on one hub: its groups, its peers, its takers.

What lives here: `Node`, which joins them, and what other processes may ask of it.
What must not: the public API, or anything that is needed without an engine.

A node lives as long as its hub. When the process gets another hub (a server adopts the layer, a
test changes the settings), the next use makes another node, which takes the memberships over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from seaway.exceptions import LayerError, LayerUnavailable
from seaway.layers.background import Background, running_loop
from seaway.layers.channels.feed import HISTORY
from seaway.layers.channels.group import Group
from seaway.layers.channels.groups import Groups, insist
from seaway.layers.channels.inboxes import Inboxes
from seaway.layers.channels.local import Tally
from seaway.layers.channels.messages import encode_message
from seaway.layers.channels.names import Names
from seaway.layers.channels.peers import Ask, Parcel, Peers
from seaway.layers.channels.takers import ProxyQueue, Taker
from seaway.layers.hub import Hub
from seaway.layers.queues import QueueState

logger = logging.getLogger("seaway.channels")


class Node:
    """All of it belongs on the hub's loop, but for `taker`.

    :param on_gap: the ``type`` of the message that members of a group get when messages to it were
        missed; empty: none.
    """

    def __init__(
        self,
        hub: Hub,
        names: Names,
        inboxes: Inboxes,
        tally: Tally,
        *,
        expiry: float,
        group_expiry: float,
        capacity: Callable[[str], int],
        on_gap: str,
    ) -> None:
        self._background = Background(_failed)
        #: Run a coroutine in the background, on the node's loop.
        self.spawn = self._background.spawn
        self.hub = hub
        self.loop = asyncio.get_running_loop()
        self.ready: asyncio.Task[None] | None = None
        self.groups = Groups(hub, names.group, group_expiry, inboxes, tally, self._group_missed)
        self.peers = Peers(
            hub,
            names.process,
            names.stream,
            self._deliver,
            self._answer,
            self._missed,
            self.spawn,
            tally,
        )
        self._names = names
        self._inboxes = inboxes
        self._tally = tally
        self._expiry = expiry
        self._capacity = capacity
        self._on_gap = on_gap
        self._takers: dict[str, Taker] = {}

    def move_in(self, before: Node) -> None:
        """Take over from the node of a hub that is gone; ``ready`` is done when that is done."""
        before.end()
        self.ready = self.spawn(self._move_in(before))

    async def _move_in(self, before: Node) -> None:
        try:
            work = self.groups.move_in(before.groups)
            if before.peers.present:
                work.append(insist(self.peers.appear, "this process's channels"))
            if work:
                tasks = [self.spawn(one) for one in work]
                await asyncio.wait(tasks, timeout=self.hub.layer.timeout)
        finally:
            self.ready = None

    def end(self) -> None:
        """Its hub is gone: nobody waits for it any longer."""
        for taker in self._takers.values():
            taker.end(LayerUnavailable("The layer was closed meanwhile."))

    async def close(self) -> None:
        """Leave everything and stop. The hub stays."""
        self.groups.clear()
        try:
            await self.peers.disappear()
        except LayerError as error:
            logger.debug("not taken off the list: %s", error)
        self.end()
        self._background.cancel()

    # Channels ------------------------------------------------------------------------------------

    async def send_queue(
        self, channel: str, data: bytes, delay: float = 0.0, once: str = ""
    ) -> None:
        """Into a plain channel; ChannelFull when it holds as many as it may."""
        await self.hub.layer.send(
            self._names.queue(channel),
            data,
            capacity=self._capacity(channel),
            delay=delay,
            ttl=delay + self._expiry,
            once=once,
        )

    async def send_away(self, channel: str, data: bytes, delay: float = 0.0) -> None:
        """To a channel of another process."""
        process = self._names.process_of(channel)
        await self.peers.send(process, Parcel(channel, delay, data))

    def send_later(self, channel: str, data: bytes, delay: float) -> None:
        """Into a channel of this process, after a while."""
        self.loop.call_later(delay, self._deliver, Parcel(channel, 0.0, data))

    def taker(self, channel: str) -> Taker:
        """Who takes from a plain channel; from any thread."""
        taker = self._takers.get(channel)
        if taker is None:
            queue = self._names.queue(channel)
            made = Taker(self.hub.layer, self.loop, queue, self._tally, self.spawn)
            taker = self._takers.setdefault(channel, made)
        return taker

    # Groups --------------------------------------------------------------------------------------

    async def join(self, group: str, channel: str) -> None:
        """Make a channel a member, whoever's it is."""
        if self._names.is_mine(channel):
            await self.peers.appear()  # who has members must be there to be asked
            await self.groups.add(group, channel)
        elif self._names.is_plain(channel):
            await self.peers.appear()
            await self.groups.add_proxy(group, channel, lambda: self._proxy(group, channel))
        else:
            process = self._names.process_of(channel)
            answers = await self.peers.ask("join", group=group, channel=channel, process=process)
            if not answers:
                logger.warning("%s does not join %s: its process is gone", channel, group)

    async def leave(self, group: str, channel: str) -> None:
        """End its membership, in whichever process."""
        self.groups.discard(group, channel)
        if not self._names.is_mine(channel):
            process = "" if self._names.is_plain(channel) else self._names.process_of(channel)
            await self.peers.ask("leave", group=group, channel=channel, process=process)

    async def members(self, group: str) -> set[str]:
        """The names of all members, from all processes."""
        answers = await self.peers.ask("members", group=group)
        found = set(self.groups.members(group))
        return found.union(*(answer or () for answer in answers.values()))

    async def flush(self) -> None:
        """Forget all messages and memberships, in all processes."""
        self._flush_here()
        await self.peers.ask("flush")
        for queue in await self.hub.layer.channels():
            if self._names.is_queue(queue):
                await self.hub.layer.purge(queue)
                await self.hub.layer.discard(queue)

    async def send_group(self, group: str, data: bytes) -> None:
        """To all members; the members in this process have it when this returns."""
        layer = self.hub.layer
        position = await layer.publish(self._names.group(group), data, HISTORY)
        here = self.groups.by_name.get(group)
        if here is not None:
            await here.given(position, layer.timeout)

    async def queue_state(self, channel: str) -> QueueState:
        """A plain channel in numbers."""
        return await self.hub.layer.queue_state(self._names.queue(channel))

    def _flush_here(self) -> None:
        self.groups.clear()
        self._inboxes.clear()

    def _proxy(self, group: str, channel: str) -> ProxyQueue:
        async def put(data: bytes, once: str) -> None:
            await self.send_queue(channel, data, once=once)

        return ProxyQueue(group, put, self._expiry, self._tally, self.spawn)

    # What others send and ask --------------------------------------------------------------------

    def _deliver(self, parcel: Parcel) -> None:
        channel = parcel.channel
        if parcel.delay > 0:
            self.send_later(channel, parcel.data, parcel.delay)
        elif not self._names.is_mine(channel):
            self._tally.lost("undelivered", f"{channel} is not a channel of this process")
        elif not self._inboxes.offer(self._inboxes.open(channel), parcel.data):
            self._tally.lost("undelivered", f"{channel} is full")

    def _answer(self, ask: Ask) -> Any:
        answer = _ANSWERS.get(ask.what)
        return answer(self, ask) if answer is not None else None

    async def _answer_join(self, ask: Ask) -> bool:
        if not self._names.is_mine(ask.channel):
            return False
        await self.groups.add(ask.group, ask.channel)
        return True

    def _answer_leave(self, ask: Ask) -> None:
        self.groups.discard(ask.group, ask.channel)

    def _answer_members(self, ask: Ask) -> list[str]:
        return self.groups.members(ask.group)

    def _answer_flush(self, ask: Ask) -> None:
        self._flush_here()

    # Gaps ----------------------------------------------------------------------------------------

    def _group_missed(self, group: Group, number: int | None) -> None:
        """Log it and count it; and tell the members, if they want to know."""
        if number == 0:
            return
        self._count_gap(f"group {group.name}", number)
        if self._on_gap:
            data = encode_message({"type": self._on_gap, "group": group.name, "missed": number})
            for inbox in list(group.members):
                self._inboxes.offer(inbox, data)

    def _missed(self, number: int | None) -> None:
        if number != 0:
            self._count_gap("messages between processes", number)

    def _count_gap(self, where: str, number: int | None) -> None:
        if number is None:
            self._tally.lost("gaps", where)
        else:
            self._tally.count("gaps")
            self._tally.lost("missed", where, number)

    # Tasks and threads ---------------------------------------------------------------------------

    def post(self, call: Callable[..., None], *args: Any) -> None:
        """Call something on the node's loop; from any thread.

        :raises RuntimeError: the loop has ended.
        """
        if running_loop() is self.loop:
            call(*args)
        else:
            self.loop.call_soon_threadsafe(call, *args)


def _failed(error: BaseException) -> None:
    logger.error("the channel layer failed", exc_info=error)


#: What one process may ask of another.
_ANSWERS: dict[str, Callable[[Node, Ask], Any]] = {
    "join": Node._answer_join,
    "leave": Node._answer_leave,
    "members": Node._answer_members,
    "flush": Node._answer_flush,
}
