"""Queues on the Redis engine.

What lives here: the queue part of the contract by the scripts of ``queue.lua``.
What must not: who waits for whom; that is `waiting`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from seaway.exceptions import ChannelClosed, ChannelFull
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
    ONCE_SECONDS,
    TRIES,
    DeadLetter,
    Delivery,
    Queues,
    QueueState,
)
from seaway.layers.redis import keys
from seaway.layers.redis.engine import Engine
from seaway.layers.redis.waiting import Waiters

#: Seconds after which one who waits looks by itself, should the news have been lost.
BACKSTOP_SECONDS = 5.0
#: Seconds for which a receiver that was cancelled waits until what was on its way is in its place.
GIVE_BACK_SECONDS = 1.0
#: Seconds after which a channel in use is noted again among all channels; it stays for a day.
NOTE_SECONDS = 1800.0
#: Channels whose noting is remembered.
NOTED = 100_000


class RedisQueues(Queues):
    """The queue part of `layer.RedisLayer`."""

    _engine: Engine
    max_data: int

    def _begin_queues(self) -> None:
        self._noted: dict[str, float] = {}

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
        await self._note(channel)
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
        answer = await self._run("send", channel, *parts, b"1" if wait > 0 else b"0")
        if answer[0] == b"full" and wait > 0:
            answer = await self._send_when_room(channel, parts, deadline)
        if answer[0] == b"closed":
            raise ChannelClosed(f"The channel {channel} is closed.")
        if answer[0] == b"full":
            raise ChannelFull(f"The channel {channel} holds {answer[1]:,} messages already.")
        return str(answer[1].decode())

    async def _send_when_room(self, channel: str, parts: list[bytes], deadline: float) -> Any:
        loop = self._engine.loop
        async with self._waiters(channel) as waiters:
            while True:
                version = waiters.version
                answer = await self._run("send", channel, *parts, b"1")
                if answer[0] != b"full":
                    waiters.wake_sender()
                    return answer
                left = deadline - loop.time()
                if left <= 0:
                    return answer
                await waiters.for_room(version, _pause(left, answer[2]))

    async def _note(self, channel: str) -> None:
        """See that `channels` knows it."""
        self._engine.opened()
        now = self._engine.loop.time()
        if now - self._noted.get(channel, -math.inf) > NOTE_SECONDS:
            if len(self._noted) >= NOTED:
                self._noted.clear()
            names = [keys.channels_key(self._engine.root)]
            await self._engine.run("channels", names, b"add", channel.encode())
            self._noted[channel] = now

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
        async with self._waiters(channel) as waiters:
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
        return bool(await self._run("ack", delivery.channel, *_names(delivery)))

    async def nack(
        self, delivery: Delivery, *, delay: float = 0.0, dead: bool = False, reason: str = ""
    ) -> bool:
        check_seconds(delay, "delay")
        what = b"dead" if dead else b"again"
        line = one_line(reason).encode()
        return bool(
            await self._run("nack", delivery.channel, *_names(delivery), _millis(delay), what, line)
        )

    async def release(self, delivery: Delivery) -> bool:
        parts = (*_names(delivery), b"0", b"uncounted", b"")
        return bool(await self._run("nack", delivery.channel, *parts))

    async def extend(self, delivery: Delivery, seconds: float) -> bool:
        check_lease(seconds)
        parts = (*_names(delivery), _millis(seconds))
        return bool(await self._run("extend", delivery.channel, *parts))

    # Closing -------------------------------------------------------------------------------------

    async def close_channel(self, channel: str) -> None:
        check_channel(channel)
        await self._note(channel)
        await self._run("close", channel, b"1")

    async def open_channel(self, channel: str) -> None:
        await self._run("close", channel, b"0")

    # For operators -------------------------------------------------------------------------------

    async def channels(self) -> Sequence[str]:
        register = [keys.channels_key(self._engine.root)]
        noted = await self._engine.run("channels", register, b"list")
        found: list[str] = []
        unused: list[str] = []
        for first in range(0, len(noted), 100):
            names = [name.decode() for name in noted[first : first + 100]]
            states = await asyncio.gather(*map(self.queue_state, names))
            for name, state in zip(names, states, strict=True):
                (unused if state == QueueState() else found).append(name)
        for first in range(0, len(unused), 500):
            some = [name.encode() for name in unused[first : first + 500]]
            await self._engine.run("channels", register, b"remove", *some)
        return sorted(found)

    async def queue_state(self, channel: str) -> QueueState:
        waiting, delayed, held, dead, closed, corrupt = await self._run("state", channel)
        if corrupt:
            self._engine.flaws.add(f"A message of {channel}", corrupt)
        return QueueState(waiting, delayed, held, dead, bool(closed))

    async def purge(self, channel: str) -> int:
        return int(await self._run("purge", channel))

    async def dead_letters(
        self, channel: str, limit: int = 100, *, skip: int = 0, ids: Sequence[str] | None = None
    ) -> Sequence[DeadLetter]:
        check_letters(channel, limit, skip)
        if ids is None:
            return await self._letters(channel, limit, skip)
        found: list[DeadLetter] = []
        names = [id_.encode() for id_ in dict.fromkeys(ids)]
        for first in range(0, len(names), 500):
            some = names[first : first + 500]
            found += await self._letters(channel, len(some), 0, *some)
        found.sort(key=lambda letter: letter.died_at)
        return found[skip : skip + limit]

    async def _letters(self, channel: str, limit: int, skip: int, *ids: bytes) -> list[DeadLetter]:
        parts = (b"%d" % min(limit, 2**53), b"%d" % min(skip, 2**53), *ids)
        corrupt, *rows = await self._run("dead_letters", channel, *parts)
        if corrupt:
            self._engine.flaws.add(f"A dead letter of {channel}", corrupt)
        return [
            DeadLetter(
                id=rows[at].decode(),
                data=rows[at + 1],
                attempts=rows[at + 2],
                reason=rows[at + 3].decode("utf-8", "replace"),
                died_at=float(rows[at + 4]) / 1000,
            )
            for at in range(0, len(rows), 5)
        ]

    async def replay(self, channel: str, ids: Sequence[str] | None = None) -> int:
        await self._note(check_channel(channel))
        return await self._exhume(channel, b"replay", ids)

    async def discard(self, channel: str, ids: Sequence[str] | None = None) -> int:
        return await self._exhume(channel, b"discard", ids)

    async def _exhume(self, channel: str, what: bytes, ids: Sequence[str] | None) -> int:
        count = 0
        if ids is not None:
            for first in range(0, len(ids), 500):
                some = [id_.encode() for id_ in ids[first : first + 500]]
                count += int(await self._run("exhume", channel, what, *some))
            return count
        while True:
            done = int(await self._run("exhume", channel, what))
            count += done
            if not done:
                return count

    # Inside --------------------------------------------------------------------------------------

    async def _run(self, name: str, channel: str, *parts: bytes) -> Any:
        check_channel(channel)
        return await self._engine.run(name, keys.queue_keys(self._engine.root, channel), *parts)

    @asynccontextmanager
    async def _waiters(self, channel: str) -> AsyncIterator[Waiters]:
        """Those who wait at a channel, with this call among them, and news coming in."""
        news = self._engine.news
        name = keys.queue_keys(self._engine.root, channel)[0]
        waiters = news.get(name)
        if not isinstance(waiters, Waiters):
            waiters = Waiters(name)
            news.add(waiters)
        waiters.users += 1
        try:
            # Should it take too long, the next request says what is wrong.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._engine.timeout):
                    await waiters.standing.wait()
            yield waiters
        finally:
            waiters.users -= 1
            if not waiters.users:
                news.remove(waiters)


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
