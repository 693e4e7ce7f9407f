"""Channels as operators see them: numbers, dead letters, closing, purging.

What lives here: `PostgresChannels`, that part of the queue contract; one statement each.
What must not: messages on their way (`queues`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg.pq.abc import PGresult

from seaway.exceptions import LayerUnavailable
from seaway.layers.postgres import statements
from seaway.layers.postgres.line import Line
from seaway.layers.postgres.values import double, number, text, truth
from seaway.layers.queue_checks import check_channel, check_letters
from seaway.layers.queues import DeadLetter, Queues, QueueState


class PostgresChannels(Queues):
    """What a layer mixes in with `queues.PostgresQueues`, which opens it."""

    _hands: Line
    _open: bool = False

    async def close_channel(self, channel: str) -> None:
        await self._asked(statements.SET_CLOSED, check_channel(channel), True)

    async def open_channel(self, channel: str) -> None:
        await self._asked(statements.SET_CLOSED, check_channel(channel), False)

    async def channels(self) -> Sequence[str]:
        answer = await self._asked(statements.CHANNEL_NAMES)
        return [text(answer.get_value(row, 0)) for row in range(answer.ntuples)]

    async def queue_state(self, channel: str) -> QueueState:
        answer = await self._asked(statements.QUEUE_STATE, check_channel(channel))
        waiting, delayed, held, dead = (number(answer.get_value(0, column)) for column in range(4))
        return QueueState(waiting, delayed, held, dead, truth(answer.get_value(0, 4)))

    async def purge(self, channel: str) -> int:
        return _count(await self._asked(statements.PURGE, check_channel(channel)))

    async def dead_letters(
        self, channel: str, limit: int = 100, *, skip: int = 0, ids: Sequence[str] | None = None
    ) -> Sequence[DeadLetter]:
        check_letters(channel, limit, skip)
        numbers = min(limit, 2**31), min(skip, 2**31)
        answer = await self._asked(statements.DEAD_LETTERS, channel, *numbers, ids)
        return [_dead_letter(answer, row) for row in range(answer.ntuples)]

    async def replay(self, channel: str, ids: Sequence[str] | None = None) -> int:
        return _count(await self._asked(statements.REPLAY, check_channel(channel), ids))

    async def discard(self, channel: str, ids: Sequence[str] | None = None) -> int:
        return _count(await self._asked(statements.DISCARD, check_channel(channel), ids))

    async def _asked(self, statement: statements.Statement, *values: Any) -> PGresult:
        self._check_open()
        return await self._hands.ask(statement, *values)

    def _check_open(self) -> None:
        if not self._open:
            raise LayerUnavailable("The layer is closed.")


def _dead_letter(answer: PGresult, row: int) -> DeadLetter:
    value = answer.get_value
    return DeadLetter(
        id=text(value(row, 0)),
        data=value(row, 1) or b"",
        attempts=number(value(row, 2)),
        reason=text(value(row, 3)),
        died_at=double(value(row, 4)) or 0.0,
    )


def _count(answer: PGresult) -> int:
    return number(answer.get_value(0, 0))
