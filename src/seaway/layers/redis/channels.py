"""Channels on the Redis engine: their scripts, which of them are in use, and how they stand.

What lives here: `Channels`, what operators see and do, and running any script of ``queue.lua``.
What must not: messages on their way (`queues`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from seaway.layers.queue_checks import check_channel, check_letters
from seaway.layers.queues import DeadLetter, QueueState
from seaway.layers.redis import keys
from seaway.layers.redis.engine import Engine

#: Seconds after which a channel in use is noted again among all channels; it stays for a day.
NOTE_SECONDS = 1800.0
#: Channels whose noting is remembered.
NOTED = 100_000


class Channels:
    """All channels of a project."""

    __slots__ = ("_engine", "_noted")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._noted: dict[str, float] = {}

    async def run(self, name: str, channel: str, *parts: bytes) -> Any:
        """The answer of a script about one channel; its errors are those of `Engine.run`."""
        check_channel(channel)
        return await self._engine.run(name, keys.queue_keys(self._engine.root, channel), *parts)

    # Which there are -----------------------------------------------------------------------------

    async def note(self, channel: str) -> None:
        """See that `names` knows it."""
        self._engine.opened()
        now = self._engine.loop.time()
        if now - self._noted.get(channel, -math.inf) > NOTE_SECONDS:
            if len(self._noted) >= NOTED:
                self._noted.clear()
            names = [keys.channels_key(self._engine.root)]
            await self._engine.run("channels", names, b"add", channel.encode())
            self._noted[channel] = now

    async def names(self) -> Sequence[str]:
        """Those that hold anything or are closed; the others are no longer noted."""
        register = [keys.channels_key(self._engine.root)]
        noted = await self._engine.run("channels", register, b"list")
        found: list[str] = []
        unused: list[str] = []
        for first in range(0, len(noted), 100):
            names = [name.decode() for name in noted[first : first + 100]]
            states = await asyncio.gather(*map(self.state, names))
            for name, state in zip(names, states, strict=True):
                (unused if state == QueueState() else found).append(name)
        for first in range(0, len(unused), 500):
            some = [name.encode() for name in unused[first : first + 500]]
            await self._engine.run("channels", register, b"remove", *some)
        return sorted(found)

    # One of them ---------------------------------------------------------------------------------

    async def set_closed(self, channel: str, closed: bool) -> None:
        """As `Queues.close_channel` and `Queues.open_channel`."""
        check_channel(channel)
        if closed:
            await self.note(channel)
        await self.run("close", channel, b"1" if closed else b"0")

    async def state(self, channel: str) -> QueueState:
        """As `Queues.queue_state`."""
        waiting, delayed, held, dead, closed, corrupt = await self.run("state", channel)
        if corrupt:
            self._engine.flaws.add(f"A message of {channel}", corrupt)
        return QueueState(waiting, delayed, held, dead, bool(closed))

    async def purge(self, channel: str) -> int:
        """As `Queues.purge`."""
        return int(await self.run("purge", channel))

    # Dead letters --------------------------------------------------------------------------------

    async def dead_letters(
        self, channel: str, limit: int, skip: int, ids: Sequence[str] | None
    ) -> Sequence[DeadLetter]:
        """As `Queues.dead_letters`."""
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
        corrupt, *rows = await self.run("dead_letters", channel, *parts)
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

    async def replay(self, channel: str, ids: Sequence[str] | None) -> int:
        """As `Queues.replay`."""
        await self.note(check_channel(channel))
        return await self._exhume(channel, b"replay", ids)

    async def discard(self, channel: str, ids: Sequence[str] | None) -> int:
        """As `Queues.discard`."""
        return await self._exhume(channel, b"discard", ids)

    async def _exhume(self, channel: str, what: bytes, ids: Sequence[str] | None) -> int:
        count = 0
        if ids is not None:
            for first in range(0, len(ids), 500):
                some = [id_.encode() for id_ in ids[first : first + 500]]
                count += int(await self.run("exhume", channel, what, *some))
            return count
        while True:
            done = int(await self.run("exhume", channel, what))
            count += done
            if not done:
                return count
