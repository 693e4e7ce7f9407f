"""Channels over the embedded broker: each method one request and its answer.

What lives here: `LocalQueues`, the client's side of `queue_wire`.
What must not: state of channels; the broker has it.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import TypeVar

from seaway.layers.local import queue_wire, wire
from seaway.layers.local.client_streams import unexpected
from seaway.layers.local.requests import Again, Requests
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

A = TypeVar("A")


class LocalQueues(Queues):
    """Channels; who inherits it connects."""

    timeout: float
    max_data: int

    @abc.abstractmethod
    def _asking(self) -> Requests:
        """The requests of a layer that was started; raises `LayerUnavailable`."""

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
        question = queue_wire.Send(
            self._asking().next_id(), channel, data, _cut(capacity), wait, delay, ttl, order, once
        )
        again = Again.ANYWHERE if once else Again.SAME_BROKER
        return (await self._take(question, queue_wire.Sent, again)).message

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
        question = queue_wire.Receive(
            self._asking().next_id(), channel, _cut(limit), wait, lease, _cut(tries)
        )
        handed = await self._take(question, queue_wire.Handed)
        return [
            Delivery(channel, parcel.message, parcel.data, parcel.attempt, parcel.receipt)
            for parcel in handed.parcels
        ]

    async def ack(self, delivery: Delivery) -> bool:
        channel = check_channel(delivery.channel)
        question = queue_wire.Ack(self._asking().next_id(), channel, delivery.receipt)
        return (await self._ask(question, queue_wire.Held)).held

    async def nack(
        self, delivery: Delivery, *, delay: float = 0.0, dead: bool = False, reason: str = ""
    ) -> bool:
        check_seconds(delay, "delay")
        channel = check_channel(delivery.channel)
        question = queue_wire.Nack(
            self._asking().next_id(), channel, delivery.receipt, delay, dead, one_line(reason)
        )
        return (await self._ask(question, queue_wire.Held)).held

    async def release(self, delivery: Delivery) -> bool:
        channel = check_channel(delivery.channel)
        question = queue_wire.Nack(
            self._asking().next_id(), channel, delivery.receipt, 0.0, False, "", False
        )
        return (await self._ask(question, queue_wire.Held)).held

    async def extend(self, delivery: Delivery, seconds: float) -> bool:
        check_lease(seconds)
        channel = check_channel(delivery.channel)
        question = queue_wire.Extend(self._asking().next_id(), channel, delivery.receipt, seconds)
        return (await self._ask(question, queue_wire.Held)).held

    async def close_channel(self, channel: str) -> None:
        question = queue_wire.Close(self._asking().next_id(), check_channel(channel), True)
        await self._ask(question, wire.Done)

    async def open_channel(self, channel: str) -> None:
        question = queue_wire.Close(self._asking().next_id(), check_channel(channel), False)
        await self._ask(question, wire.Done)

    async def channels(self) -> Sequence[str]:
        question = queue_wire.Channels(self._asking().next_id())
        return (await self._ask(question, queue_wire.Names)).names

    async def queue_state(self, channel: str) -> QueueState:
        question = queue_wire.State(self._asking().next_id(), check_channel(channel))
        found = await self._ask(question, queue_wire.Numbers)
        return QueueState(found.waiting, found.delayed, found.held, found.dead, found.closed)

    async def purge(self, channel: str) -> int:
        question = queue_wire.Purge(self._asking().next_id(), check_channel(channel))
        return (await self._ask(question, queue_wire.Count)).count

    async def dead_letters(
        self, channel: str, limit: int = 100, *, skip: int = 0, ids: Sequence[str] | None = None
    ) -> Sequence[DeadLetter]:
        check_letters(channel, limit, skip)
        found: list[DeadLetter] = []
        while len(found) < limit:
            question = queue_wire.DeadLetters(
                self._asking().next_id(), channel, _cut(limit - len(found)),
                _cut(skip + len(found)), ids,
            )  # fmt: skip
            answer = await self._ask(question, queue_wire.Letters)
            found += [
                DeadLetter(one.message, one.data, one.attempts, one.reason, one.died_at)
                for one in answer.letters
            ]
            if not answer.more:
                break
        return found

    async def replay(self, channel: str, ids: Sequence[str] | None = None) -> int:
        question = queue_wire.Replay(self._asking().next_id(), check_channel(channel), ids)
        return (await self._ask(question, queue_wire.Count)).count

    async def discard(self, channel: str, ids: Sequence[str] | None = None) -> int:
        question = queue_wire.Discard(self._asking().next_id(), check_channel(channel), ids)
        return (await self._ask(question, queue_wire.Count)).count

    async def _ask(self, question: queue_wire.QueueQuestion, kind: type[A]) -> A:
        return _known(await self._asking().ask(question, self.timeout), kind)

    async def _take(
        self,
        question: queue_wire.Send | queue_wire.Receive,
        kind: type[A],
        again: Again = Again.ANYWHERE,
    ) -> A:
        return _known(await self._asking().take(question, self.timeout, again), kind)


def _known(answer: wire.Answer, kind: type[A]) -> A:
    if not isinstance(answer, kind):
        raise unexpected(answer)
    return answer


def _cut(count: int) -> int:
    """A count that fits into a message; nobody has so many of anything."""
    return min(count, 2**53)
