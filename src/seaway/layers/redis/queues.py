"""Queues on the Redis engine.

What lives here: the queue part of the contract by the scripts of ``queue.lua``.
What must not: who waits for whom (`waiting`), or what operators see and do (`channels`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from seaway.exceptions import ChannelClosed, ChannelFull
from seaway.layers.queue_checks import (
    check_lease,
    check_receive,
    check_seconds,
    check_send,
    one_line,
)
from seaway.layers.queues import (
    CAPACITY,
    LEASE,
    ONCE_SECONDS,
    TRIES,
    DeadLetter,
    Delivery,
    Queues,
    QueueState,
)
from seaway.layers.redis import keys
from seaway.layers.redis.channels import Channels
from seaway.layers.redis.engine import Engine
from seaway.layers.redis.waiting import waiting_at

#: Seconds after which one who waits looks by itself, should the news have been lost.
BACKSTOP_SECONDS = 5.0
#: Seconds for which a receiver that was cancelled waits until what was on its way is in its place.
GIVE_BACK_SECONDS = 1.0


class RedisQueues(Queues):
    """The queue part of `layer.RedisLayer`."""

    _engine: Engine
    max_data: int

    def _begin_queues(self) -> None:
        self._channels = Channels(self._engine)

    # Sending -------------------------------------------------------------------------------------

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
            channel, data, self.max_data, capacity=capacity, wait=wait, delay=delay, ttl=ttl,
            order=order, once=once,
        )  # fmt: skip
        await self._channels.note(channel)
        parts = [
            self._engine.request_id(),
            data,
            b"%d" % capacity,
            _millis(delay),
            _millis(ttl) if ttl is not None else b"-1",
            order.encode(),
            once.encode(),
            _millis(ONCE_SECONDS),
        ]
        deadline = self._engine.loop.time() + wait
        answer = await self._channels.run("send", channel, *parts, b"1" if wait > 0 else b"0")
        if answer[0] == b"full" and wait > 0:
            answer = await self._send_when_room(channel, parts, deadline)
        if answer[0] == b"closed":
            raise ChannelClosed(f"The channel {channel} is closed.")
        if answer[0] == b"full":
            raise ChannelFull(f"The channel {channel} holds {answer[1]:,} messages already.")
        return str(answer[1].decode())

    async def _send_when_room(self, channel: str, parts: list[bytes], deadline: float) -> Any:
        loop = self._engine.loop
        async with waiting_at(self._engine, channel) as waiters:
            while True:
                version = waiters.version
                answer = await self._channels.run("send", channel, *parts, b"1")
                if answer[0] != b"full":
                    waiters.wake_sender()
                    return answer
                left = deadline - loop.time()
                if left <= 0:
                    return answer
                await waiters.for_room(version, _pause(left, answer[2]))

    # Receiving -----------------------------------------------------------------------------------

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
        self._engine.opened()
        deadline = self._engine.loop.time() + wait
        answer = await self._take(channel, limit, lease, tries)
        found = _deliveries(channel, answer)
        if found or wait <= 0:
            return found
        async with waiting_at(self._engine, channel) as waiters:
            while True:
                version = waiters.version
                answer = await self._take(channel, limit, lease, tries)
                found = _deliveries(channel, answer)
                if found:
                    waiters.wake_receiver()
                    return found
                left = deadline - self._engine.loop.time()
                if left <= 0:
                    return found
                await waiters.for_message(version, _pause(left, answer[1]))

    async def _take(self, channel: str, limit: int, lease: float, tries: int) -> Any:
        given_back = asyncio.Event()

        def give_back(answer: Any) -> None:
            if isinstance(answer, list) and len(answer) > 3:
                giving = self._engine.spawn(self._give_back(_deliveries(channel, answer)))
                giving.add_done_callback(lambda _: given_back.set())
            else:
                given_back.set()

        try:
            answer = await self._engine.run(
                "receive",
                keys.queue_keys(self._engine.root, channel),
                b"%d" % limit,
                _millis(lease),
                b"%d" % tries,
                self._engine.request_id(),
                orphaned=give_back,
            )
        except asyncio.CancelledError:
            # Whoever receives next is to find everything in its place.
            with suppress(TimeoutError):
                async with asyncio.timeout(GIVE_BACK_SECONDS):
                    await given_back.wait()
            raise
        if answer[2]:
            self._engine.flaws.add(f"A message of {channel}", answer[2])
        if answer[0] == b"closed":
            raise ChannelClosed(f"The channel {channel} is closed.")
        return answer

    async def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            await self.release(delivery)

    async def ack(self, delivery: Delivery) -> bool:
        return bool(await self._channels.run("ack", delivery.channel, *_names(delivery)))

    async def nack(
        self, delivery: Delivery, *, delay: float = 0.0, dead: bool = False, reason: str = ""
    ) -> bool:
        check_seconds(delay, "delay")
        what = b"dead" if dead else b"again"
        line = one_line(reason).encode()
        return bool(
            await self._channels.run(
                "nack", delivery.channel, *_names(delivery), _millis(delay), what, line
            )
        )

    async def release(self, delivery: Delivery) -> bool:
        parts = (*_names(delivery), b"0", b"uncounted", b"")
        return bool(await self._channels.run("nack", delivery.channel, *parts))

    async def extend(self, delivery: Delivery, seconds: float) -> bool:
        check_lease(seconds)
        parts = (*_names(delivery), _millis(seconds))
        return bool(await self._channels.run("extend", delivery.channel, *parts))

    # For operators -------------------------------------------------------------------------------

    async def close_channel(self, channel: str) -> None:
        await self._channels.set_closed(channel, True)

    async def open_channel(self, channel: str) -> None:
        await self._channels.set_closed(channel, False)

    async def channels(self) -> Sequence[str]:
        return await self._channels.names()

    async def queue_state(self, channel: str) -> QueueState:
        return await self._channels.state(channel)

    async def purge(self, channel: str) -> int:
        return await self._channels.purge(channel)

    async def dead_letters(
        self, channel: str, limit: int = 100, *, skip: int = 0, ids: Sequence[str] | None = None
    ) -> Sequence[DeadLetter]:
        return await self._channels.dead_letters(channel, limit, skip, ids)

    async def replay(self, channel: str, ids: Sequence[str] | None = None) -> int:
        return await self._channels.replay(channel, ids)

    async def discard(self, channel: str, ids: Sequence[str] | None = None) -> int:
        return await self._channels.discard(channel, ids)


def _millis(seconds: float) -> bytes:
    """Not beyond 30,000 years, which a double still counts by the millisecond."""
    return b"%d" % math.ceil(min(max(seconds, 0.0), 1e12) * 1000)


def _pause(left: float, until_next: int) -> float:
    """How long to wait for news: not past the time that is left, nor past what time brings."""
    pause = min(left, BACKSTOP_SECONDS)
    return min(pause, until_next / 1000 + 0.002) if until_next >= 0 else pause


def _names(delivery: Delivery) -> tuple[bytes, bytes]:
    return delivery.id.encode(), delivery.receipt.encode()


def _deliveries(channel: str, answer: Sequence[Any]) -> list[Delivery]:
    return [
        Delivery(
            channel=channel,
            id=answer[at].decode(),
            data=answer[at + 1],
            attempt=answer[at + 2],
            receipt=answer[at + 3].decode(),
        )
        for at in range(3, len(answer), 4)
    ]
