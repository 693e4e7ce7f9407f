"""Presence: this process's members, under its lease.

What lives here: `Presence`: entering and leaving in batches, the lease, and entering again after
the lease or the connection was lost.
What must not: telling of changes; who watches hears of them in `following`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from seaway.exceptions import LayerUnavailable
from seaway.layers.base import Headcount
from seaway.layers.postgres import statements
from seaway.layers.postgres.line import Line, Owner, refusal
from seaway.layers.postgres.link import Answer, Refused
from seaway.layers.postgres.values import number, text, truth

#: Members that one statement enters, and the bytes that they say of themselves.
BATCH_MEMBERS, BATCH_BYTES = 1000, 1024 * 1024
#: The part of its lease that a process asks for: the rest is for those who sweep.
SHARE = 0.8

Key = tuple[str, str]


class _Entry(NamedTuple):
    info: bytes
    person: str


class Presence:
    """The members that this process entered.

    :param hands: the connection for what changes something; :param eyes: for what only reads.
    """

    def __init__(self, owner: Owner, hands: Line, eyes: Line, lease: float) -> None:
        self._owner = owner
        self._hands = hands
        self._eyes = eyes
        self._lease = lease * SHARE
        self._process = uuid.uuid4().bytes
        self._entered: dict[Key, _Entry] = {}
        #: What has not been said yet, in order: a member, and None when it leaves.
        self._news: dict[Key, _Entry | None] = {}
        self._waiting: dict[Key, list[asyncio.Future[None]]] = {}
        self._scheduled = False

    async def enter(self, topic: str, member: str, info: bytes, person: str) -> None:
        key, entry = (topic, member), _Entry(info, person)
        before = self._entered.get(key)
        self._entered[key] = entry
        try:
            await self._say(key, entry)
        except BaseException:
            # The caller was told that it failed: the server must not believe otherwise.
            if self._entered.get(key) is entry:
                if before is None:
                    del self._entered[key]
                else:
                    self._entered[key] = before
                self._news.pop(key, None)
                self._news[key] = before
                self._schedule()
            raise

    async def leave(self, topic: str, member: str) -> None:
        if self._entered.pop((topic, member), None) is not None:
            await self._say((topic, member), None)

    async def members(self, topic: str) -> dict[str, bytes]:
        answer = await self._eyes.ask(statements.MEMBERS, topic)
        value = answer.get_value
        return {text(value(row, 0)): value(row, 1) or b"" for row in range(answer.ntuples)}

    async def headcount(self, topic: str) -> Headcount:
        answer = await self._eyes.ask(statements.HEADCOUNT, topic)
        if not answer.ntuples:
            return Headcount(0, 0)
        return Headcount(number(answer.get_value(0, 0)), number(answer.get_value(0, 1)))

    # The lease -----------------------------------------------------------------------------------

    def beat(self) -> None:
        """Extend the lease; where it had run out, enter everybody again."""
        if not self._entered:
            return

        def answered(answer: Answer | None) -> None:
            if answer is None or isinstance(answer, Refused):
                return
            if not truth(answer.get_value(0, 0)):
                self.enter_again()

        self._hands.tell(statements.BEAT, self._process, self._lease, done=answered, repeat=None)

    def enter_again(self) -> None:
        """Say once more who is here: nobody is told of those who never left."""
        for key, entry in self._entered.items():
            self._news.setdefault(key, entry)
        self._schedule()

    async def end(self) -> None:
        """Let all of them leave."""
        if self._entered and self._hands.link is not None:
            self._entered.clear()
            await self._hands.ask(statements.END_PROCESSES, [self._process])

    # Batches -------------------------------------------------------------------------------------

    async def _say(self, key: Key, entry: _Entry | None) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._news.pop(key, None)  # the last word goes to the end
        self._news[key] = entry
        self._waiting.setdefault(key, []).append(future)
        self._schedule()
        try:
            async with asyncio.timeout(self._owner.timeout):
                await future
        except TimeoutError:
            raise LayerUnavailable(
                f"PostgreSQL did not answer within {self._owner.timeout:g} seconds."
            ) from None

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        news, self._news = self._news, {}
        entered = [(key, entry) for key, entry in news.items() if entry is not None]
        left = [key for key, entry in news.items() if entry is None]
        if left:
            self._send_left(left)
        for batch in _batches(entered):
            self._send_entered(batch)

    def _send_entered(self, batch: Sequence[tuple[Key, _Entry]]) -> None:
        waiting = self._take_waiting(key for key, _ in batch)
        self._hands.tell(
            statements.ENTER,
            self._process,
            self._lease,
            [topic for (topic, _), _ in batch],
            [member for (_, member), _ in batch],
            [entry.info for _, entry in batch],
            [entry.person for _, entry in batch],
            done=lambda answer: self._done(answer, waiting),
        )

    def _send_left(self, keys: Sequence[Key]) -> None:
        waiting = self._take_waiting(keys)
        self._hands.tell(
            statements.LEAVE,
            self._process,
            [topic for topic, _ in keys],
            [member for _, member in keys],
            done=lambda answer: self._done(answer, waiting),
        )

    def _take_waiting(self, keys: Iterable[Key]) -> list[asyncio.Future[None]]:
        return [future for key in keys for future in self._waiting.pop(key, ())]

    def _done(self, answer: Answer | None, waiting: list[asyncio.Future[None]]) -> None:
        for future in waiting:
            if future.done():
                continue
            if answer is None or isinstance(answer, Refused):
                future.set_exception(refusal(answer, self._hands.trouble))
            else:
                future.set_result(None)


def _batches(
    entered: Sequence[tuple[Key, _Entry]],
) -> Iterable[Sequence[tuple[Key, _Entry]]]:
    batch: list[tuple[Key, _Entry]] = []
    size = 0
    for one in entered:
        batch.append(one)
        size += len(one[1].info)
        if len(batch) >= BATCH_MEMBERS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
