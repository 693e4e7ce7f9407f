"""The queue half of the memory engine: the contract over a `Desk` in this process.

What lives here: `MemoryQueues`, futures on a desk. What must not: state; the desk's store has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from seaway.exceptions import LayerError, LayerUnavailable
from seaway.layers.memory.desk import Desk, Waiting
from seaway.layers.queue_checks import (
    check_channel,
    check_lease,
    check_letters,
    check_receive,
    check_seconds,
    check_send,
    one_line,
)
from seaway.layers.queues import (
    CAPACITY,
    LEASE,
    TRIES,
    DeadLetter,
    Delivery,
    Queues,
    QueueState,
)

R = TypeVar("R")


class MemoryQueues(Queues):
    """Channels of one process, or of several layers that share a desk."""

    max_data: int

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._open = False
        #: What is awaited here, and how to take it back from the desk.
        self._awaited: dict[asyncio.Future[Any], Waiting[Any]] = {}

    def open_desk(self) -> None:
        self._open = True

    def close_desk(self) -> None:
        """Those who wait are told."""
        self._open = False
        for future, waiting in list(self._awaited.items()):
            self._desk.leave(waiting)
            if not future.done():
                future.set_exception(LayerUnavailable("The layer was closed meanwhile."))

    def sweep_desk(self) -> None:
        self._desk.store.sweep()

    async def send(
        self,
        channel: str,
        data: bytes,
        *,
        capacity: int = CAPACITY,
        wait: float = 0.0,
        delay: float = 0.0,
        ttl: float | None = None,
        order: str = "",
        once: str = "",
    ) -> str:
        check_send(
            channel, data, self.max_data,
            capacity=capacity, wait=wait, delay=delay, ttl=ttl, order=order, once=once,
        )  # fmt: skip
        desk = self._at_desk()
        attempt = partial(
            desk.store.send, channel, data,
            capacity=capacity, delay=delay, ttl=ttl, order=order, once=once,
        )  # fmt: skip
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        waiting = desk.send(
            channel, attempt, _into(future),
            capacity=capacity, wait=wait, wanted=lambda: not future.done(),
        )  # fmt: skip
        return await self._result(future, waiting)

    async def receive(
        self,
        channel: str,
        *,
        limit: int = 1,
        wait: float = 0.0,
        lease: float = LEASE,
        tries: int = TRIES,
    ) -> Sequence[Delivery]:
        check_receive(channel, limit=limit, wait=wait, lease=lease, tries=tries)
        desk = self._at_desk()
        attempt = partial(desk.store.receive, channel, limit=limit, lease=lease, tries=tries)
        future: asyncio.Future[list[Delivery]] = asyncio.get_running_loop().create_future()
        waiting = desk.receive(
            channel, attempt, _into(future), wait=wait, wanted=lambda: not future.done()
        )
        try:
            return await self._result(future, waiting)
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                desk.store.release(channel, [delivery.receipt for delivery in future.result()])
                desk.stir(channel)
            raise

    async def ack(self, delivery: Delivery) -> bool:
        desk, channel = self._at_desk(), check_channel(delivery.channel)
        done = desk.store.ack(channel, delivery.receipt)
        desk.stir(channel)
        return done

    async def nack(
        self, delivery: Delivery, *, delay: float = 0.0, dead: bool = False, reason: str = ""
    ) -> bool:
        check_seconds(delay, "delay")
        desk, channel = self._at_desk(), check_channel(delivery.channel)
        done = desk.store.nack(
            channel, delivery.receipt, delay=delay, dead=dead, reason=one_line(reason)
        )
        desk.stir(channel)
        return done

    async def release(self, delivery: Delivery) -> bool:
        desk, channel = self._at_desk(), check_channel(delivery.channel)
        done = desk.store.release(channel, [delivery.receipt]) > 0
        desk.stir(channel)
        return done

    async def extend(self, delivery: Delivery, seconds: float) -> bool:
        check_lease(seconds)
        desk, channel = self._at_desk(), check_channel(delivery.channel)
        done = desk.store.extend(channel, delivery.receipt, seconds)
        desk.stir(channel)
        return done

    async def close_channel(self, channel: str) -> None:
        desk = self._at_desk()
        desk.store.set_closed(check_channel(channel), True)
        desk.stir(channel)

    async def open_channel(self, channel: str) -> None:
        self._at_desk().store.set_closed(check_channel(channel), False)

    async def channels(self) -> Sequence[str]:
        return self._at_desk().store.channels()

    async def queue_state(self, channel: str) -> QueueState:
        return self._at_desk().store.state(check_channel(channel))

    async def purge(self, channel: str) -> int:
        desk = self._at_desk()
        count = desk.store.purge(check_channel(channel))
        desk.stir(channel)
        return count

    async def dead_letters(
        self, channel: str, limit: int = 100, *, skip: int = 0, ids: Sequence[str] | None = None
    ) -> Sequence[DeadLetter]:
        check_letters(channel, limit, skip)
        return self._at_desk().store.dead_letters(channel, limit, skip, ids)

    async def replay(self, channel: str, ids: Sequence[str] | None = None) -> int:
        desk = self._at_desk()
        count = desk.store.replay(check_channel(channel), ids)
        desk.stir(channel)
        return count

    async def discard(self, channel: str, ids: Sequence[str] | None = None) -> int:
        return self._at_desk().store.discard(check_channel(channel), ids)

    # Inside --------------------------------------------------------------------------------------

    async def _result(self, future: asyncio.Future[R], waiting: Waiting[R] | None) -> R:
        if waiting is None:
            return future.result()
        self._awaited[future] = waiting
        try:
            return await future
        finally:
            self._desk.leave(waiting)
            del self._awaited[future]

    def _at_desk(self) -> Desk:
        if not self._open:
            raise LayerUnavailable("The layer is closed.")
        return self._desk


def _into(future: asyncio.Future[R]) -> Callable[[R | LayerError], None]:
    def done(result: R | LayerError) -> None:
        if isinstance(result, LayerError):
            future.set_exception(result)
        else:
            future.set_result(result)

    return done
