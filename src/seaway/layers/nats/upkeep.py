"""Queues on the NATS engine, for operators: closing, numbers, purging, dead letters.

What lives here: the part of the queue contract that operators use. What must not: sending and
receiving (`queues`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from seaway.exceptions import LayerError
from seaway.layers.nats import headers
from seaway.layers.nats.answers import Conflict
from seaway.layers.nats.entry import Entry, Place
from seaway.layers.nats.following import Follower
from seaway.layers.nats.queues import NatsQueues
from seaway.layers.nats.records import Record, encode
from seaway.layers.nats.subjects import name
from seaway.layers.queue_checks import check_channel, check_letters
from seaway.layers.queues import LEASE_RAN_OUT, DeadLetter, QueueState

logger = logging.getLogger("seaway.layers")

#: Dead letters that one channel keeps; the oldest give way.
DEAD_LETTERS = 10_000
#: Messages that are changed, and channels that are looked at, at the same time.
AT_ONCE = 200
CHANNELS_AT_ONCE = 50


class NatsUpkeep(NatsQueues):
    """The part of `layer.NatsLayer` for operators."""

    # Closing -------------------------------------------------------------------------------------

    async def close_channel(self, channel: str) -> None:
        check_channel(channel)
        async with self._following(channel) as follower:
            if not (await follower.level()).closed:
                await self._set_closed(channel, "closed")

    async def open_channel(self, channel: str) -> None:
        check_channel(channel)
        async with self._following(channel) as follower:
            if not (await follower.level()).closed_at:
                return
        sequence = await self._set_closed(channel, "open")
        # Gone again, an open channel leaves no trace; should that fail, it goes by itself.
        await self._jetstream.delete(self._streams.queues, sequence)

    async def _set_closed(self, channel: str, state: Literal["closed", "open"]) -> int:
        async with self._following(channel) as follower:
            values = {headers.STATE: encode(Record(state)), headers.ROLLUP: b"sub"}
            if state == "open":
                values[headers.TTL] = b"60s"
            subject = self._subjects.closed(channel)
            sequence = await self._jetstream.store(subject, b"", values)
            await follower.heard(sequence)
            return sequence

    # Numbers -------------------------------------------------------------------------------------

    async def channels(self) -> Sequence[str]:
        self._engine.opened()
        prefix = len(self._subjects.root) + 3
        found: set[str] = set()
        for kind in ("i.*", "c"):
            subjects = await self._jetstream.archive.subjects(
                self._streams.queues, f"{self._subjects.root}.q.*.{kind}"
            )
            found.update(name(subject[prefix:].split(".", 1)[0]) for subject in subjects)
        limit = asyncio.Semaphore(CHANNELS_AT_ONCE)

        async def state(channel: str) -> tuple[str, QueueState]:
            async with limit:
                return channel, await self.queue_state(channel)

        states = await asyncio.gather(*map(state, found))
        return sorted(channel for channel, state in states if state != QueueState())

    async def queue_state(self, channel: str) -> QueueState:
        check_channel(channel)
        async with self._following(channel) as follower:
            ledger = await follower.level()
            ledger.tick(self._engine.clock.now())
            count = ledger.count
            return QueueState(
                waiting=count[Place.READY] + count[Place.LINED_UP],
                delayed=count[Place.DELAYED],
                held=count[Place.HELD],
                dead=count[Place.DEAD],
                closed=ledger.closed,
            )

    async def purge(self, channel: str) -> int:
        check_channel(channel)
        async with self._following(channel) as follower:
            ledger = await follower.level()
            ids = [entry.id for entry in ledger.entries.values() if entry.place is not Place.DEAD]
            return await self._each(follower, ids, self._purge_one)

    async def _purge_one(self, follower: Follower, entry: Entry) -> bool:
        counted = entry.place is not Place.EXPIRED
        if entry.place is Place.DEAD:
            return False
        return await self._remove_message(follower, entry, entry.last) and counted

    # Dead letters --------------------------------------------------------------------------------

    async def dead_letters(
        self, channel: str, limit: int = 100, *, skip: int = 0, ids: Sequence[str] | None = None
    ) -> Sequence[DeadLetter]:
        check_letters(channel, limit, skip)
        wanted = None if ids is None else set(ids)
        async with self._following(channel) as follower:
            dead = await self._dead(follower)
            if wanted is not None:
                dead = [entry for entry in dead if entry.id in wanted]
            chosen = dead[skip : skip + limit]
            letters = await asyncio.gather(*(self._letter(entry) for entry in chosen))
        return [letter for letter in letters if letter is not None]

    async def _dead(self, follower: Follower) -> list[Entry]:
        ledger = await follower.level()
        ledger.tick(self._engine.clock.now())
        return ledger.dead()

    async def _letter(self, entry: Entry) -> DeadLetter | None:
        stored = await self._jetstream.archive.get(self._streams.queues, entry.body)
        if stored is None:
            return None
        reason = entry.reason if entry.state == "dead" else LEASE_RAN_OUT
        return DeadLetter(entry.id, stored.data, entry.attempts, reason, entry.died_at)

    async def replay(self, channel: str, ids: Sequence[str] | None = None) -> int:
        check_channel(channel)
        return await self._exhume(channel, ids, self._replay_one)

    async def discard(self, channel: str, ids: Sequence[str] | None = None) -> int:
        check_channel(channel)
        return await self._exhume(channel, ids, self._discard_one)

    async def _exhume(
        self,
        channel: str,
        ids: Sequence[str] | None,
        act: Callable[[Follower, Entry], Awaitable[bool]],
    ) -> int:
        async with self._following(channel) as follower:
            dead = [entry.id for entry in await self._dead(follower)]
            wanted = set(dead if ids is None else ids)
            return await self._each(follower, [id_ for id_ in dead if id_ in wanted], act)

    async def _replay_one(self, follower: Follower, entry: Entry) -> bool:
        if entry.place is not Place.DEAD:
            return False
        try:
            await self._record(follower, entry, Record("ready", rank=-1), entry.last)
        except Conflict:
            return False
        return True

    async def _discard_one(self, follower: Follower, entry: Entry) -> bool:
        if entry.place is not Place.DEAD:
            return False
        return await self._remove_message(follower, entry, entry.last)

    async def _each(
        self,
        follower: Follower,
        ids: Sequence[str],
        act: Callable[[Follower, Entry], Awaitable[bool]],
    ) -> int:
        """Do something with each of some messages, until it succeeds or does not apply any more;
        with how many it succeeded. They are begun in their order, and so stored in it."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(id_: str) -> bool:
            async with limit:
                while (entry := follower.ledger.entries.get(id_)) is not None:
                    last = entry.last
                    if await act(follower, entry):
                        return True
                    await follower.level()
                    again = follower.ledger.entries.get(id_)
                    if again is None or again.last == last:
                        return False
                return False

        return sum(await asyncio.gather(*(one(id_) for id_ in ids)))

    def _limit_dead(self, follower: Follower) -> None:
        over = follower.ledger.count[Place.DEAD] - DEAD_LETTERS
        if over > 0:
            for entry in follower.ledger.dead()[:over]:
                logger.error(
                    "the oldest dead letter of %s gave way: %s", follower.channel, entry.id
                )
                self._engine.spawn(self._give_way(follower, entry, entry.last))

    async def _give_way(self, follower: Follower, entry: Entry, last: int) -> None:
        try:
            await self._remove_message(follower, entry, last)
        except LayerError as error:
            logger.warning("a dead letter of %s stays: %s", follower.channel, error)
