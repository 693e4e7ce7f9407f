"""Presence on the Redis engine: members, under a lease of the process that entered them.

What lives here: enter, leave and the like; signs of life; burying processes that gave none.
What must not: what others hear of changes; that is `streams`' (`Watch`).

The register of processes is in another slot than a topic's members, so the two cannot change
together: a topic is noted there before its first member enters, and struck off after its last
has left. Who finds a process dead goes through its topics and then strikes it off; twice is once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from seaway.exceptions import LayerError
from seaway.layers.base import Headcount, Layer, check_member, check_name, check_size
from seaway.layers.redis import keys
from seaway.layers.redis.engine import Engine

logger = logging.getLogger("seaway.layers")

#: Of the lease: how long a process counts as alive after a sign of life, and the time between two.
#: Who is silent is buried at the second look, so that a server that itself stood still for a while
#: does not bury everybody: at most 0.5 + 2 * 0.125 and what the burial takes.
ALIVE, RENEWAL = 0.5, 0.125
#: Bytes of members that one script enters when all are entered again.
ENTER_BYTES = 512 * 1024

#: Member → (person, info).
Entered = dict[str, tuple[str, bytes]]


class RedisPresence(Layer):
    """The presence part of `layer.RedisLayer`."""

    _engine: Engine

    def _begin_presence(self) -> None:
        self._entered: dict[str, Entered] = {}
        self._claimed: set[str] = set()
        self._vacant: set[str] = set()
        self._renewed_at = 0.0
        self._silent: set[bytes] = set()
        self._entering_again: asyncio.Task[None] | None = None

    # The contract --------------------------------------------------------------------------------

    async def enter(self, topic: str, member: str, info: bytes, person: str = "") -> None:
        check_member(topic, member, person)
        check_size(info, self.max_data)
        self._engine.opened()
        entered = self._entered.setdefault(topic, {})
        before = entered.get(member)
        entered[member] = (person, info)
        self._vacant.discard(topic)
        try:
            await self._claim(topic)
            await self._run_enter(topic, {member: (person, info)})
        except BaseException:
            self._undo_enter(topic, member, (person, info), before)
            raise

    async def leave(self, topic: str, member: str) -> None:
        check_member(topic, member)
        self._engine.opened()
        self._forget_member(topic, member)
        await self._run_leave(topic, member)

    async def members(self, topic: str) -> dict[str, bytes]:
        check_name(topic)
        answer = await self._engine.run("members", keys.presence_keys(self._engine.root, topic))
        members = {}
        for name, value in zip(answer[::2], answer[1::2], strict=True):
            parts = value.split(b" ", 2)
            if len(parts) == 3:
                members[name.decode("utf-8", "replace")] = parts[2]
            else:
                self._engine.flaws.add(f"A member of {topic}")
        return members

    async def headcount(self, topic: str) -> Headcount:
        check_name(topic)
        members, people = await self._engine.run(
            "headcount", keys.presence_keys(self._engine.root, topic)
        )
        return Headcount(members, people)

    # Entering and leaving ------------------------------------------------------------------------

    async def _claim(self, topic: str) -> None:
        """Note the topic, unless it is; and give a sign of life first, if the last is too old."""
        loop = self._engine.loop
        if loop.time() - self._renewed_at > self.lease * ALIVE:
            await self._renew()
        if topic not in self._claimed:
            await self._run_claim([topic])

    async def _run_claim(self, topics: list[str]) -> None:
        engine = self._engine
        await engine.run(
            "claim",
            keys.process_keys(engine.root, engine.process),
            engine.process,
            self._alive_millis(),
            *[topic.encode() for topic in topics],
        )
        self._claimed.update(topics)

    async def _run_enter(self, topic: str, members: Entered) -> None:
        parts: list[bytes] = []
        for member, (person, info) in members.items():
            parts += [member.encode(), person.encode(), info]
        engine = self._engine
        await engine.run("enter", keys.presence_keys(engine.root, topic), engine.process, *parts)

    async def _run_leave(self, topic: str, *members: str) -> None:
        engine = self._engine
        names = [member.encode() for member in members]
        await engine.run("leave", keys.presence_keys(engine.root, topic), engine.process, *names)
        if topic not in self._entered:
            self._vacant.add(topic)

    def _forget_member(self, topic: str, member: str) -> None:
        entered = self._entered.get(topic)
        if entered is not None:
            entered.pop(member, None)
            if not entered:
                del self._entered[topic]

    def _undo_enter(
        self, topic: str, member: str, now: tuple[str, bytes], before: tuple[str, bytes] | None
    ) -> None:
        """The caller was told that it failed: the engine must not believe otherwise."""
        if self._entered.get(topic, {}).get(member) != now:
            return
        if before is None:
            self._forget_member(topic, member)
        else:
            self._entered[topic][member] = before
        if self._engine.connected:
            work = (
                self._run_leave(topic, member)
                if before is None
                else self._run_enter(topic, {member: before})
            )
            self._engine.spawn(work)

    # Coming back ---------------------------------------------------------------------------------

    def _enter_again(self) -> None:
        """The engine may have forgotten us: enter everybody again, in the background."""
        self._claimed.clear()
        if self._entered and self._entering_again is None:
            self._entering_again = self._engine.spawn(self._run_enter_again())

    async def _run_enter_again(self) -> None:
        try:
            await asyncio.sleep(0)  # what was waiting for the connection goes first
            topics = list(self._entered)
            for first in range(0, len(topics), 500):
                await self._run_claim(topics[first : first + 500])
            for topic in topics:
                for part in _portions(self._entered.get(topic, {})):
                    await self._run_enter(topic, part)
                    gone = [name for name in part if name not in self._entered.get(topic, {})]
                    if gone:
                        await self._run_leave(topic, *gone)
        finally:
            self._entering_again = None

    # Signs of life -------------------------------------------------------------------------------

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self.lease * RENEWAL)
            try:
                await self._strike_off()
                silent = set(await self._renew())
                # Seen silent twice: a server that stood still gives everybody time to speak up.
                dead = silent & self._silent
                self._silent = silent - dead
                for process in dead:
                    await self._bury(process)
            except LayerError as error:
                logger.warning("no sign of life to the layer's Redis: %s", error)

    async def _renew(self) -> list[bytes]:
        """Give a sign of life; who gave none for too long."""
        engine = self._engine
        register = keys.process_keys(engine.root, engine.process)[:1]
        before = engine.loop.time()
        known, *silent = await engine.run("renew", register, engine.process, self._alive_millis())
        if not known and self._renewed_at:
            logger.warning("this process was silent for too long; its members enter again")
            self._enter_again()
        self._renewed_at = before
        return list(silent)

    async def _bury(self, process: bytes, *, by_itself: bool = False) -> None:
        """Let all members of a process leave, and forget it."""
        engine = self._engine
        register = keys.process_keys(engine.root, process)
        swept: list[bytes] = []
        while True:
            topics = await engine.run(
                "bury", register, process, b"1" if by_itself else b"0", *swept
            )
            if not topics:
                return
            for topic in topics:
                names = keys.presence_keys(engine.root, topic.decode())
                await engine.run("sweep", names, process)
            swept = topics

    async def _strike_off(self) -> None:
        """Forget the topics in which nobody of this process is any more."""
        vacant = [topic for topic in self._vacant if topic not in self._entered][:500]
        self._vacant.difference_update(vacant)
        self._vacant.difference_update(self._entered)
        if not vacant:
            return
        # Out of the set first: who enters meanwhile notes the topic anew, behind this.
        self._claimed.difference_update(vacant)
        engine = self._engine
        await engine.run(
            "disclaim",
            keys.process_keys(engine.root, engine.process),
            *[topic.encode() for topic in vacant],
        )

    def _alive_millis(self) -> bytes:
        return b"%d" % round(self.lease * ALIVE * 1000)


def _portions(members: Entered) -> Iterator[Entered]:
    part: Entered = {}
    size = 0
    for member, (person, info) in list(members.items()):
        part[member] = (person, info)
        size += len(info) + 300
        if size > ENTER_BYTES:
            yield part
            part, size = {}, 0
    if part:
        yield part
