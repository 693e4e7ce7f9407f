"""Signs of life of processes, and burying those that give none.

What lives here: `Lives`. What must not: what becomes of a dead process's members and messages; who
asks for it does that.

Each process stores its sign of life every quarter of half a lease and then looks at those of all:
whose is too old, by the servers' clock, at two looks in a row is dead. (Two, so that a server that
itself stood still does not bury everybody.) With many processes, each looks only now and then.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from seaway.exceptions import LayerError
from seaway.layers.nats import headers
from seaway.layers.nats.answers import Conflict
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.jetstream import Condition, JetStream
from seaway.layers.nats.subjects import Streams, Subjects

logger = logging.getLogger("seaway.layers")

#: Of the lease: how long a process counts as alive after a sign of life, and the time between two.
ALIVE, RENEWAL = 0.5, 0.125
#: Processes that look each time, on average.
LOOKERS = 4
#: Signs of life that are read with one request.
TOGETHER = 500


class Lives:
    """This process's sign of life, and a look at the others'.

    :param buried: awaited when this process was taken for dead: its members are gone.
    :param bury: awaited with a process that is dead, in one process only, and the sequence up to
        which what it has stored is to go.
    """

    def __init__(
        self,
        engine: Engine,
        jetstream: JetStream,
        streams: Streams,
        subjects: Subjects,
        lease: float,
        buried: Callable[[], Awaitable[None]],
        bury: Callable[[str, int], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._jetstream = jetstream
        self._stream = streams.presence
        self._subjects = subjects
        self._lease = lease
        self._buried = buried
        self._bury = bury
        self._sequence = 0
        self._silent: set[str] = set()
        #: The last two looks: when, and who was there.
        self._seen: list[tuple[float, frozenset[str]]] = []

    async def begin(self) -> bool:
        """The first sign of life, or the first after an outage; whether the one before it may have
        been taken for the last, so that what this process has entered is gone, or about to go."""
        self._silent.clear()
        if self._sequence:
            try:
                self._sequence = await self._store(Condition(self._sequence))
            except Conflict:
                pass
            else:
                return False
        self._sequence = await self._store(None)
        return True

    async def end(self) -> None:
        """This process is leaving by itself."""
        subject = self._subjects.process(self._engine.process)
        await self._jetstream.purge(self._stream, subject)

    async def keep_alive(self) -> None:
        while not self._engine.closed:
            await asyncio.sleep(self._lease * RENEWAL)
            try:
                await self._renew()
                if random.random() * self._count() < LOOKERS:  # noqa: S311  chance is no secret
                    await self._look()
            except LayerError as error:
                logger.warning("no sign of life to the layer's NATS: %s", error)

    def _count(self) -> int:
        return len(self._seen[-1][1]) if self._seen else 1

    async def _store(self, condition: Condition | None) -> int:
        return await self._jetstream.store(
            self._subjects.process(self._engine.process),
            b"",
            {headers.TTL: b"3600s"},
            condition,
        )

    async def _renew(self) -> None:
        try:
            self._sequence = await self._store(Condition(self._sequence))
        except Conflict:
            logger.warning("this process was silent for too long; its members enter again")
            self._sequence = await self._store(None)
            await self._buried()

    async def _look(self) -> None:
        prefix = self._subjects.process("")
        lives: dict[str, tuple[int, float]] = {}
        start = 1
        while True:
            batch = await self._jetstream.archive.batch(
                self._stream, self._subjects.process("*"), start, TOGETHER
            )
            for stored in batch.messages:
                lives[stored.subject.removeprefix(prefix)] = stored.sequence, stored.time
            if not batch.pending or not batch.messages:
                break
            start = batch.messages[-1].sequence + 1
        own = lives.get(self._engine.process)
        if own is None:
            return  # a server that is behind; or the next sign of life finds out
        self._seen.append((own[1], frozenset(lives)))
        del self._seen[:-2]
        silent = {
            process
            for process, (_, time) in lives.items()
            if own[1] - time > self._lease * ALIVE and process != self._engine.process
        }
        dead = silent & self._silent
        self._silent = silent - dead
        for process in dead:
            await self._bury_one(process, lives[process][0])

    def gone(self, process: str, since: float) -> bool:
        """Whether a process that did something at ``since``, by the servers' clock, was found to
        be no more, at two looks after that."""
        return len(self._seen) > 1 and all(
            since < when and process not in alive for when, alive in self._seen
        )

    async def _bury_one(self, process: str, sequence: int) -> None:
        subject = self._subjects.process(process)
        try:
            # Should it live after all, its next sign of life fails, and it enters again. Should
            # this process die amid this, the next one finds a process that is silent.
            claim = await self._jetstream.store(subject, b"dead", {}, Condition(sequence))
        except Conflict:
            return  # it lives, or another one was faster
        logger.warning("a process gave no sign of life: its members leave")
        await self._bury(process, claim)
        await self._jetstream.purge(self._stream, subject, seq=claim + 1)
