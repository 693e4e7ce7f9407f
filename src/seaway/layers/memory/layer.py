"""The memory engine: streams, queues and presence inside one process.

What lives here: `MemoryLayer`, a `Store` with an announcer. Nothing survives the process.
What must not: anything that another process could see; that is `seaway.layers.local`.
"""

from __future__ import annotations

import asyncio
import logging

from seaway.exceptions import LayerUnavailable
from seaway.layers.base import (
    Gap,
    Headcount,
    History,
    Layer,
    Page,
    Position,
    PresenceChange,
    Receiver,
    check_limit,
    check_member,
    check_name,
    check_once,
    check_size,
)
from seaway.layers.memory.desk import Desk
from seaway.layers.memory.queue_store import QueueStore
from seaway.layers.memory.queues import MemoryQueues
from seaway.layers.memory.store import Store

logger = logging.getLogger("seaway.layers")

SWEEP_EVERY = 1.0


class MemoryLayer(MemoryQueues, Layer):
    """A layer for one process. Several that share a store and a desk, on one loop, act as
    several processes.

    Announcements are direct calls in the order of the stream, made before `publish` returns.
    """

    def __init__(self, store: Store[MemoryLayer] | None = None, desk: Desk | None = None) -> None:
        super().__init__(Desk(QueueStore()) if desk is None else desk)
        self._store: Store[MemoryLayer] = Store() if store is None else store
        self._receiver: Receiver | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    def describe(self) -> str:
        return "memory (this process only)"

    async def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._store.attach(self)
        self.open_desk()
        self._sweep()

    async def close(self) -> None:
        self._receiver = None
        self.close_desk()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for topic, change in self._store.drop(self).items():
            self._announce(topic, change)

    async def publish(
        self, topic: str, data: bytes, history: History | None = None, *, once: str = ""
    ) -> Position:
        check_name(topic)
        check_size(data, self.max_data)
        check_once(once)
        store = self._opened()
        before = store.published(topic, once)
        if before is not None:
            return before
        publication = store.publish(topic, data, history, once)
        for watcher in tuple(store.watchers(topic)):
            try:
                if watcher._receiver is not None:
                    watcher._receiver.published(topic, publication)
            except Exception:
                logger.exception("the receiver failed on an event of %s", topic)
        return publication.position

    async def watch(self, topic: str) -> Position:
        return self._opened().watch(check_name(topic), self)

    async def unwatch(self, topic: str) -> None:
        self._opened().unwatch(check_name(topic), self)

    async def read(self, topic: str, since: Position, limit: int = 100) -> Page | Gap:
        return self._opened().read(check_name(topic), since, check_limit(limit))

    async def position(self, topic: str) -> Position:
        return self._opened().position(check_name(topic))

    async def enter(self, topic: str, member: str, info: bytes, person: str = "") -> None:
        check_member(topic, member, person)
        check_size(info, self.max_data)
        people = {member: person} if person else {}
        self._announce(topic, self._opened().presence.enter(self, topic, {member: info}, people))

    async def leave(self, topic: str, member: str) -> None:
        check_member(topic, member)
        self._announce(topic, self._opened().presence.leave(self, topic, member))

    async def members(self, topic: str) -> dict[str, bytes]:
        return self._opened().presence.members(check_name(topic))

    async def headcount(self, topic: str) -> Headcount:
        return self._opened().presence.headcount(check_name(topic))

    def _opened(self) -> Store[MemoryLayer]:
        if self._receiver is None:
            raise LayerUnavailable("The layer is closed.")
        return self._store

    def _announce(self, topic: str, change: PresenceChange | None) -> None:
        if change is None:
            return
        for watcher in tuple(self._store.watchers(topic)):
            try:
                if watcher._receiver is not None:
                    watcher._receiver.presence_changed(topic, change)
            except Exception:
                logger.exception("the receiver failed on a change of presence in %s", topic)

    def _sweep(self) -> None:
        self._store.sweep()
        self.sweep_desk()
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_EVERY, self._sweep)
