"""Presence on the NATS engine: members, each a stored message of the process that entered it.

What lives here: enter, leave and the like, and entering everybody again after an outage.
What must not: signs of life and burying processes that gave none (`lives`).

A member's message is replaced by one that says that it left, on the condition that it is still the
one that this process stored: so nobody removes a member that another process has entered since.
That message is told to watchers like the first, and then removed, for the sake of counting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import msgspec

from seaway.exceptions import LayerError
from seaway.layers.base import Headcount, Layer, check_member, check_name, check_size
from seaway.layers.nats import headers
from seaway.layers.nats.answers import Conflict, Stored
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.jetstream import Condition, JetStream
from seaway.layers.nats.subjects import Streams, Subjects, name

logger = logging.getLogger("seaway.layers")

#: Seconds after which what says that a member left goes by itself, should its removal fail.
FAREWELL = b"60s"
#: Members that are read with one request, and that are stored at the same time.
TOGETHER, AT_ONCE = 500, 200


class Entered(msgspec.Struct):
    """A member of this process. ``sequence``: of its message; 0 while that is not known."""

    person: str
    info: bytes
    sequence: int = 0


class NatsPresence(Layer):
    """The presence part of `layer.NatsLayer`."""

    _engine: Engine
    _jetstream: JetStream
    _subjects: Subjects
    _streams: Streams

    def _begin_presence(self) -> None:
        self._entered: dict[tuple[str, str], Entered] = {}

    # The contract --------------------------------------------------------------------------------

    async def enter(self, topic: str, member: str, info: bytes, person: str = "") -> None:
        check_member(topic, member, person)
        check_size(info, self.max_data)
        self._engine.opened()
        key = topic, member
        before = self._entered.get(key)
        now = self._entered[key] = Entered(person, info)
        try:
            await self._store_member(topic, member, now)
        except BaseException:
            if self._entered.get(key) is now:
                # The caller was told that it failed: the engine must not believe otherwise.
                self._take_back(topic, member, now, before)
            raise
        if before is not None and before.person != person:
            await self._say_farewell(topic, member, before.person, before.sequence, tell=False)

    async def leave(self, topic: str, member: str) -> None:
        check_member(topic, member)
        self._engine.opened()
        entered = self._entered.pop((topic, member), None)
        if entered is not None:
            await self._say_farewell(topic, member, entered.person, entered.sequence)

    async def members(self, topic: str) -> dict[str, bytes]:
        check_name(topic)
        self._engine.opened()
        found: dict[str, bytes] = {}
        async for stored, _ in self._stored_members(self._subjects.members(topic)):
            found[name(stored.subject.rsplit(".", 2)[1])] = stored.data
        return found

    async def headcount(self, topic: str) -> Headcount:
        check_name(topic)
        self._engine.opened()
        subjects = await self._jetstream.archive.subjects(
            self._streams.presence, self._subjects.members(topic)
        )
        rows = [subject.rsplit(".", 2)[1:] for subject in subjects]
        members = {member for member, _ in rows}
        people = {person for _, person in rows if person != "-"}
        return Headcount(len(members), len(people) + sum(who == "-" for _, who in rows))

    # Storing -------------------------------------------------------------------------------------

    async def _store_member(self, topic: str, member: str, entered: Entered) -> None:
        said = f"{self._engine.process} in".encode()
        entered.sequence = await self._jetstream.store(
            self._subjects.member(topic, member, entered.person),
            entered.info,
            {headers.MEMBER: said},
        )

    async def _say_farewell(
        self, topic: str, member: str, person: str, sequence: int, *, tell: bool = True
    ) -> None:
        subject = self._subjects.member(topic, member, person)
        stream = self._streams.presence
        if not sequence:
            # It is not known whether, or as which, the message was stored.
            stored = await self._jetstream.archive.last(stream, subject)
            if stored is None or self._owner(stored) != self._engine.process:
                return
            sequence = stored.sequence
        if not tell:
            await self._jetstream.delete(stream, sequence)
            return
        await self._remove_member(subject, sequence)

    async def _remove_member(self, subject: str, sequence: int) -> None:
        """Let the member go that this very message entered; tell it, and clear away."""
        values = {
            headers.MEMBER: f"{self._engine.process} out".encode(),
            headers.ROLLUP: b"sub",
            headers.TTL: FAREWELL,
        }
        try:
            farewell = await self._jetstream.store(subject, b"", values, Condition(sequence))
        except Conflict:
            return  # another process has entered it since, or it was removed
        await self._jetstream.delete(self._streams.presence, farewell)

    def _take_back(self, topic: str, member: str, now: Entered, before: Entered | None) -> None:
        if before is None:
            del self._entered[topic, member]
            if not self._engine.trouble:
                self._engine.spawn(self._say_farewell(topic, member, now.person, 0))
        else:
            before.sequence = 0
            self._entered[topic, member] = before
            if not self._engine.trouble:
                self._engine.spawn(self._store_member(topic, member, before))

    # Reading -------------------------------------------------------------------------------------

    async def _stored_members(self, subject: str) -> AsyncIterator[tuple[Stored, str]]:
        """All members on a subject, the oldest first, with the process of each."""
        start = 1
        while True:
            batch = await self._jetstream.archive.batch(
                self._streams.presence, subject, start, TOGETHER
            )
            for stored in batch.messages:
                said = (headers.value(stored.header, headers.MEMBER) or b"").decode().split(" ")
                if len(said) != 2:
                    self._engine.flaws.add(f"A member on {stored.subject}")
                elif said[1] == "in":
                    yield stored, said[0]
            if not batch.messages or not batch.pending:
                return
            start = batch.messages[-1].sequence + 1

    def _owner(self, stored: Stored) -> str:
        said = headers.value(stored.header, headers.MEMBER) or b""
        return said.decode("ascii", "replace").partition(" ")[0]

    # All at once ---------------------------------------------------------------------------------

    async def _enter_again(self, *, anew: bool = True) -> None:
        """The engine may have forgotten us: store what is not there.

        :param anew: somebody buries us: what is still there from before may be removed at any
            moment, so store everything.
        """
        limit = asyncio.Semaphore(AT_ONCE)

        async def enter(topic: str, member: str, entered: Entered) -> None:
            async with limit:
                if self._entered.get((topic, member)) is not entered:
                    return
                if not anew and await self._is_there(topic, member, entered):
                    return
                await self._store_member(topic, member, entered)
                if self._entered.get((topic, member)) is not entered:
                    await self._say_farewell(topic, member, entered.person, entered.sequence)

        rows = [(topic, member, entered) for (topic, member), entered in self._entered.items()]
        await asyncio.gather(*(enter(*row) for row in rows))

    async def _is_there(self, topic: str, member: str, entered: Entered) -> bool:
        subject = self._subjects.member(topic, member, entered.person)
        stored = await self._jetstream.archive.last(self._streams.presence, subject)
        if stored is None or self._owner(stored) != self._engine.process:
            return False
        if stored.data != entered.info:
            return False
        entered.sequence = stored.sequence
        return True

    async def _all_leave(self) -> None:
        """Let all members of this process leave."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def leave(topic: str, member: str, entered: Entered) -> None:
            async with limit:
                await self._say_farewell(topic, member, entered.person, entered.sequence)

        entered, self._entered = self._entered, {}
        await asyncio.gather(*(leave(*key, value) for key, value in entered.items()))

    async def _remove_members_of(self, process: str, before: int) -> None:
        """Let the members leave that another process has entered before a sequence: it gave no sign
        of life. What it enters afterwards shows that it lives."""
        async for stored, owner in self._stored_members(self._subjects.everybody()):
            if owner == process and stored.sequence < before:
                try:
                    await self._remove_member(stored.subject, stored.sequence)
                except LayerError as error:
                    logger.warning("a member of a dead process stays: %s", error)
