"""How far a process was told of a topic.

What lives here: `Cursor`, and making one of an answer. What must not: telling.
"""

from __future__ import annotations

from psycopg.pq.abc import PGresult

from seaway.layers.base import Position
from seaway.layers.postgres.values import number, text


class Cursor:
    """How far a topic was told: the number of its row, and its last position."""

    __slots__ = ("asked", "epoch", "id", "known", "offset", "restored")

    def __init__(self, id_: int, epoch: str, offset: int) -> None:
        self.id = id_
        self.epoch = epoch
        self.offset = offset
        #: The latest offset that was heard of.
        self.known = offset
        #: Whether what is new is being read.
        self.asked = False
        #: Where it stood when the connection came back; told once it was told up to there.
        self.restored: Position | None = None

    def went_back(self, stand: Cursor) -> bool:
        """Whether the topic stands before what was told of it: an older copy of it."""
        return self.epoch == stand.epoch and self.offset > stand.offset


def cursor_of(answer: PGresult, row: int) -> Cursor:
    """Where the topic of one row of ``watch`` stands."""
    return Cursor(
        number(answer.get_value(row, 1)),
        text(answer.get_value(row, 2)),
        number(answer.get_value(row, 3)),
    )
