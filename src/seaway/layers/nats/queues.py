"""Queues on the NATS engine: sending, receiving, and what becomes of deliveries.

What lives here: the part of the queue contract that programs use. What must not: what operators use
(`upkeep`), how a channel is followed (`following`), what its records add up to (`ledger`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from seaway.exceptions import ChannelClosed, ChannelFull
from seaway.layers.nats import headers
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.following import Follower
from seaway.layers.nats.jetstream import Condition, Conflict, JetStream
from seaway.layers.nats.ledger import Entry
from seaway.layers.nats.lives import Lives
from seaway.layers.nats.records import ONCE, Record, decode, encode, new_id
from seaway.layers.nats.subjects import Streams, Subjects
from seaway.layers.nats.waiting import Line
from seaway.layers.queue_checks import (
    check_channel,
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
    Delivery,
    Queues,
)

logger = logging.getLogger("seaway.layers")

#: As long as more than so many messages, and half of what it may hold, have room in a channel, its
#: senders do not wait for each other.
ROOMY = 500
#: Bytes of data after which `receive` gives no further message.
RECEIVE_BYTES = 4 * 1024 * 1024
#: Seconds after which one who waits looks by itself.
BACKSTOP_SECONDS = 5.0
#: Seconds without use after which a channel is no longer followed.
IDLE_SECONDS = 60.0
#: Seconds for which the last record of a message stays, so that all who follow hear of it.
DONE_SECONDS = 60

_DONE = encode(Record("done"))


class NatsQueues(Queues):
    """The part of `layer.NatsLayer` that sends and receives."""

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
            for channel, follower in list(self._followers.items()):
                if not follower.users and now - follower.used > IDLE_SECONDS:
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
        while True:
            if id_.startswith(ONCE) and (
                id_ in ledger.entries
                or await self._jetstream.last(self._streams.queues, subject) is not None
            ):
                return True
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
            now = self._engine.now()
            follower.ledger.note(id_, record, sequence, now, len(data), now)
            follower.stir()
        return sequence

    def _check_open(self, follower: Follower) -> None:
        if follower.ledger.closed:
            raise ChannelClosed(f"The channel {follower.channel} is closed.")

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
        loop = self._engine.loop if not self._engine.trouble else asyncio.get_running_loop()
        async with self._following(channel) as follower:
            deadline = loop.time() + wait
            level = woken = False
            while True:
                found = await self._take_shielded(follower, limit, lease, tries)
                left = deadline - loop.time()
                if found:
                    follower.stir()  # there may be something left for others
                    return found
                if follower.ledger.exhausted:
                    raise ChannelClosed(f"The channel {channel} is closed, and nothing is left.")
                if follower.ledger.ready():
                    await asyncio.sleep(0)
                elif wait <= 0 and not level:
                    await follower.level()
                    level = True
                elif left <= 0:
                    return found
                else:
                    await follower.receivers.wait(min(left, BACKSTOP_SECONDS), first=woken)
                    woken = True

    async def _take_shielded(
        self, follower: Follower, limit: int, lease: float, tries: int
    ) -> list[Delivery]:
        """Take; what was taken for one who was cancelled meanwhile is given back."""
        entries = follower.ledger.choose(limit, RECEIVE_BYTES)
        if not entries:
            return []
        engine = self._engine
        tasks = [
            engine.spawn(self._take(follower, entry, self._taking(entry, lease, tries), entry.last))
            for entry in entries
        ]
        try:
            await asyncio.shield(asyncio.gather(*tasks, return_exceptions=True))
        except asyncio.CancelledError:
            if not engine.trouble:
                engine.spawn(self._give_back(follower, tasks))
            raise
        taken = [task.result() for task in tasks if not task.exception()]
        found = [delivery for delivery in taken if delivery is not None]
        errors = [error for task in tasks if (error := task.exception()) is not None]
        if errors and not found:
            raise errors[0]
        return found

    def _taking(self, entry: Entry, lease: float, tries: int) -> Record:
        return Record(
            "held",
            seconds=lease,
            attempts=entry.attempts + 1,
            tries=tries,
            receipt=secrets.token_hex(10),
            process=self._engine.process,
            rank=entry.rank if entry.rank != entry.body else 0,
        )

    async def _take(
        self, follower: Follower, entry: Entry, record: Record, last: int
    ) -> Delivery | None:
        """None: another process was faster, or the message is gone.

        :param last: as of the moment at which the message was seen to be nobody's.
        """
        blocked = 0
        reading = asyncio.ensure_future(self._jetstream.get(self._streams.queues, entry.body))
        try:
            await self._record(follower, entry, record, last)
            stored = await reading
        except Conflict as conflict:
            blocked = conflict.last
            if not blocked:
                follower.ledger.forget(entry.id, self._engine.now())
            return None
        finally:
            reading.cancel()
            follower.ledger.chosen(entry, self._engine.now(), blocked=blocked)
        if stored is None:
            follower.ledger.forget(entry.id, self._engine.now())
            return None
        return Delivery(follower.channel, entry.id, stored.data, record.attempts, record.receipt)

    async def _give_back(
        self, follower: Follower, tasks: Sequence[asyncio.Task[Delivery | None]]
    ) -> None:
        """Nobody has seen these: they count as not delivered."""
        await asyncio.wait(tasks)
        for task in tasks:
            delivery = None if task.cancelled() or task.exception() else task.result()
            if delivery is not None:
                await self._settle(delivery, "ready", attempts=delivery.attempt - 1)

    # What becomes of a delivery ------------------------------------------------------------------

    async def ack(self, delivery: Delivery) -> bool:
        check_channel(delivery.channel)
        return await self._settle(delivery, "done")

    async def nack(
        self, delivery: Delivery, *, delay: float = 0.0, dead: bool = False, reason: str = ""
    ) -> bool:
        check_channel(delivery.channel)
        check_seconds(delay, "delay")
        state = "dead" if dead else "again"
        return await self._settle(delivery, state, seconds=delay, reason=one_line(reason))

    async def extend(self, delivery: Delivery, seconds: float) -> bool:
        check_channel(delivery.channel)
        check_lease(seconds)
        return await self._settle(delivery, "held", seconds=seconds)

    async def _settle(
        self,
        delivery: Delivery,
        state: str,
        *,
        seconds: float = 0.0,
        reason: str = "",
        attempts: int = 0,
    ) -> bool:
        """Store the next record of a message, provided that this delivery still holds it."""
        async with self._following(delivery.channel) as follower:
            while True:
                now = self._engine.now()
                entry = follower.ledger.entries.get(delivery.id)
                if entry is None or entry.receipt != delivery.receipt or entry.state != "held":
                    # Another process's delivery may not have been heard of.
                    entry = await self._look(follower, delivery)
                    if entry is None:
                        return False
                if entry.until <= now:
                    return False
                record = _next_record(entry, state, seconds, reason, attempts)
                try:
                    await self._record(follower, entry, record, entry.last)
                except Conflict as conflict:
                    if not conflict.last:
                        follower.ledger.forget(delivery.id, now)
                        return False
                    await follower.heard(conflict.last)
                    continue
                if record.state == "dead":
                    self._limit_dead(follower)
                return True

    async def _look(self, follower: Follower, delivery: Delivery) -> Entry | None:
        """A delivery that the ledger does not show; None: it does not hold the message."""
        subject = self._subjects.message(follower.channel, delivery.id)
        stored = await self._jetstream.last(self._streams.queues, subject)
        record = decode(headers.value(stored.header, headers.STATE)) if stored else None
        if stored is None or record is None:
            return None
        if record.state != "held" or record.receipt != delivery.receipt:
            return None
        await follower.heard(stored.sequence)
        return follower.ledger.entries.get(delivery.id)

    def _limit_dead(self, follower: Follower) -> None:
        """Implemented by `upkeep`."""
        raise NotImplementedError

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
        now = self._engine.now()
        follower.ledger.note(entry.id, record, sequence, now, 0, now)
        follower.stir()


def _next_record(entry: Entry, state: str, seconds: float, reason: str, attempts: int) -> Record:
    """What becomes of a message that is held."""
    rank = entry.rank if entry.rank != entry.body else 0
    receipt = entry.receipt
    if state == "again":
        state = "dead" if 0 < entry.tries <= entry.attempts else "ready"
        attempts = entry.attempts
    if state == "done":
        return Record("done", receipt=receipt)
    if state == "dead":
        return Record(
            "dead", attempts=entry.attempts, receipt=receipt, reason=reason or "given up", rank=rank
        )
    if state == "held":
        return Record(
            "held", seconds=seconds, attempts=entry.attempts, tries=entry.tries, receipt=receipt,
            process=entry.process, rank=rank,
        )  # fmt: skip
    return Record("ready", seconds=seconds, attempts=attempts, receipt=receipt, rank=rank)
