"""Queues on the NATS engine: following the channels in use, and sending.

What lives here: `NatsSending`. What must not: receiving, and what becomes of deliveries (`queues`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from seaway.exceptions import ChannelClosed, ChannelFull
from seaway.layers.nats import headers
from seaway.layers.nats.answers import Conflict
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.entry import Entry
from seaway.layers.nats.following import Follower
from seaway.layers.nats.jetstream import Condition, JetStream
from seaway.layers.nats.lives import Lives
from seaway.layers.nats.records import ONCE, Record, encode, new_id
from seaway.layers.nats.subjects import Streams, Subjects
from seaway.layers.nats.waiting import Line
from seaway.layers.queue_checks import check_send
from seaway.layers.queues import CAPACITY, ONCE_SECONDS, Queues

#: As long as more than so many messages, and half of what it may hold, have room in a channel, its
#: senders do not wait for each other.
ROOMY = 500
#: Seconds after which one who waits looks by itself.
BACKSTOP_SECONDS = 5.0
#: Seconds without use after which a channel is no longer followed.
IDLE_SECONDS = 60.0
#: And so many of these at most: each has a consumer at the server, which beats.
IDLE = 500
#: Seconds for which the last record of a message stays, so that all who follow hear of it.
DONE_SECONDS = 60

_DONE = encode(Record("done"))


class NatsSending(Queues):
    """The part of `layer.NatsLayer` that sends."""

    _engine: Engine
    _jetstream: JetStream
    _subjects: Subjects
    _streams: Streams
    _lives: Lives
    max_data: int

    def _begin_queues(self) -> None:
        self._followers: dict[str, Follower] = {}

    # Following -----------------------------------------------------------------------------------

    @asynccontextmanager
    async def _following(self, channel: str) -> AsyncIterator[Follower]:
        """A channel in use, known from its beginning to now."""
        engine = self._engine
        engine.opened()
        follower = self._followers.get(channel)
        if follower is None:
            follower = self._followers[channel] = Follower(
                engine, self._jetstream, self._streams.queues, self._subjects, channel,
                self._lives.gone, self._remove_expired,
            )  # fmt: skip
            follower.begin()
        follower.users += 1
        try:
            await follower.whole()
            yield follower
        finally:
            follower.users -= 1
            follower.used = engine.loop.time()

    async def _keep_tidy(self) -> None:
        while not self._engine.closed:
            await asyncio.sleep(1.0)
            now = self._engine.loop.time()
            idle = sorted(one.used for one in self._followers.values() if not one.users)
            since = now - IDLE_SECONDS
            if len(idle) > IDLE:
                since = max(since, idle[-IDLE - 1])
            for channel, follower in list(self._followers.items()):
                if not follower.users and follower.used <= since:
                    del self._followers[channel]
                    follower.end()
                else:
                    follower.watch_over()

    async def _follow_again(self) -> None:
        """After an outage: read all channels in use anew."""
        for follower in self._followers.values():
            follower.begin()

    def _end_waiting(self) -> None:
        for follower in self._followers.values():
            follower.end()

    def _remove_expired(self, follower: Follower, expired: list[Entry]) -> None:
        for entry in expired:
            self._engine.spawn(self._remove_message(follower, entry, entry.last))

    async def _remove_message(self, follower: Follower, entry: Entry, last: int) -> bool:
        """Remove it, if nothing has happened to it since ``last``."""
        try:
            await self._record(follower, entry, Record("done"), last)
        except Conflict:
            return False
        return True

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
        record = Record("new", seconds=delay, ttl=-1.0 if ttl is None else ttl, order=order)
        async with self._following(channel) as follower:
            id_ = new_id(once)
            deadline = self._engine.loop.time() + wait
            level = woken = False
            while True:
                if await self._send(follower, id_, data, record, capacity):
                    return id_
                left = deadline - self._engine.loop.time()
                if not level:
                    # Before anybody is told that it is full, it is looked at closely.
                    await follower.level()
                    level = True
                elif left <= 0:
                    raise ChannelFull(
                        f"The channel {channel} holds {follower.ledger.taken:,} messages already."
                    )
                else:
                    line = follower.senders.setdefault(capacity, Line())
                    await line.wait(min(left, BACKSTOP_SECONDS), first=woken)
                    woken = True

    async def _send(
        self, follower: Follower, id_: str, data: bytes, record: Record, capacity: int
    ) -> bool:
        """Send once; False: there is no room."""
        once = id_.startswith(ONCE)
        room = capacity - follower.ledger.taken - follower.sending
        if not once and room > max(ROOMY, capacity // 2):
            follower.sending += 1
            try:
                if follower.turn.locked():
                    async with follower.turn:
                        pass
                await self._send_freely(follower, id_, data, record)
            finally:
                follower.sending -= 1
            return True
        async with follower.turn:
            return await self._send_exactly(follower, id_, data, record, capacity)

    async def _send_freely(self, follower: Follower, id_: str, data: bytes, record: Record) -> None:
        """There is much room: on no condition. What is stored behind the closing of a channel does
        not count, in any process; so whether it was open is known when this was heard of."""
        self._check_open(follower)
        sequence = await self._store_new(follower, id_, data, record, None)
        await follower.heard(sequence)
        if id_ in follower.ledger.void:
            with suppress(Conflict):
                subject = self._subjects.message(follower.channel, id_)
                values = {headers.ROLLUP: b"sub", headers.TTL: b"1s", headers.STATE: _DONE}
                await self._jetstream.store(subject, b"", values, Condition(sequence))
            raise ChannelClosed(f"The channel {follower.channel} is closed.")

    async def _send_exactly(
        self, follower: Follower, id_: str, data: bytes, record: Record, capacity: int
    ) -> bool:
        """On the condition that nothing has happened to the channel since it was looked at: so
        that there is room, that it is open, and that nobody has sent this ``once``."""
        everything = self._subjects.channel(follower.channel)
        subject = self._subjects.message(follower.channel, id_)
        ledger = follower.ledger
        seen = last = ledger.heard
        looked = -1
        while True:
            if id_.startswith(ONCE) and looked != (changed := ledger.changed):
                # Not for those who only ask: on a busy channel, they would keep it from sending.
                if (
                    id_ in ledger.entries
                    or await self._jetstream.archive.last(self._streams.queues, subject) is not None
                ):
                    return True
                looked = changed
            self._check_open(follower)
            if ledger.taken + follower.sending >= capacity:
                return False
            try:
                await self._store_new(follower, id_, data, record, Condition(last, everything))
                return True
            except Conflict as conflict:
                last = conflict.last
            if last > seen:
                await follower.heard(last)
                ledger = follower.ledger
                seen = ledger.heard
                # What came with it is known, but what is stored last is not: the server says it.

    async def _store_new(
        self, follower: Follower, id_: str, data: bytes, record: Record, condition: Condition | None
    ) -> int:
        values = {headers.STATE: encode(record)}
        sequence = await self._jetstream.store(
            self._subjects.message(follower.channel, id_), data, values, condition,
            mark=headers.STATE, again=Condition(0),
        )  # fmt: skip
        if condition is not None:
            now = self._engine.clock.now()
            follower.ledger.note(id_, record, sequence, now, len(data), now)
            follower.stir()
        return sequence

    def _check_open(self, follower: Follower) -> None:
        if follower.ledger.closed:
            raise ChannelClosed(f"The channel {follower.channel} is closed.")

    # Records --------------------------------------------------------------------------------------

    async def _record(self, follower: Follower, entry: Entry, record: Record, last: int) -> None:
        """Store a message's next record.

        :raises Conflict: another one was stored since ``last``.
        """
        values = {headers.STATE: encode(record)}
        if record.state == "done":
            stays = DONE_SECONDS + (int(ONCE_SECONDS) if entry.id.startswith(ONCE) else 0)
            values[headers.ROLLUP] = b"sub"
            values[headers.TTL] = b"%ds" % stays
        subject = self._subjects.message(follower.channel, entry.id)
        mark = values[headers.STATE] if record.receipt else b""
        sequence = await self._jetstream.store(subject, b"", values, Condition(last), mark=mark)
        now = self._engine.clock.now()
        follower.ledger.note(entry.id, record, sequence, now, 0, now)
        follower.stir()
