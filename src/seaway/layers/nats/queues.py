"""Queues on the NATS engine: receiving, and what becomes of deliveries.

What lives here: `NatsQueues`. What must not: sending (`sending`), what operators use (`upkeep`),
how a channel is followed (`following`), what its records add up to (`ledger`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

from seaway.exceptions import ChannelClosed
from seaway.layers.nats import headers
from seaway.layers.nats.answers import Conflict
from seaway.layers.nats.entry import Entry
from seaway.layers.nats.following import Follower
from seaway.layers.nats.records import Record, decode
from seaway.layers.nats.sending import BACKSTOP_SECONDS, NatsSending
from seaway.layers.queue_checks import (
    check_channel,
    check_lease,
    check_receive,
    check_seconds,
    one_line,
)
from seaway.layers.queues import LEASE, TRIES, Delivery

#: Seconds for which a receiver that was cancelled waits until what it had taken is in its place.
GIVE_BACK_SECONDS = 1.0
#: Bytes of data after which `receive` gives no further message.
RECEIVE_BYTES = 4 * 1024 * 1024


class NatsQueues(NatsSending):
    """The part of `layer.NatsLayer` that receives."""

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
                # Whoever receives next is to find everything in its place.
                giving = engine.spawn(self._give_back(follower, tasks))
                await asyncio.wait([giving], timeout=GIVE_BACK_SECONDS)
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
        reading = asyncio.ensure_future(
            self._jetstream.archive.get(self._streams.queues, entry.body)
        )
        try:
            await self._record(follower, entry, record, last)
            stored = await reading
        except Conflict as conflict:
            blocked = conflict.last
            if not blocked:
                follower.ledger.forget(entry.id, self._engine.clock.now())
            return None
        finally:
            reading.cancel()
            follower.ledger.chosen(entry, self._engine.clock.now(), blocked=blocked)
        if stored is None:
            follower.ledger.forget(entry.id, self._engine.clock.now())
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
                await self.release(delivery)

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

    async def release(self, delivery: Delivery) -> bool:
        check_channel(delivery.channel)
        return await self._settle(delivery, "ready", attempts=delivery.attempt - 1)

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
                now = self._engine.clock.now()
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
        stored = await self._jetstream.archive.last(self._streams.queues, subject)
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
