"""What the engine says to its server: one call of a function of ``sql/`` each.

What lives here: the names of the functions and the types of their parameters.
What must not: SQL that does something; that is in ``sql/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from seaway.layers.postgres.values import Type, parameter

T = Type


class Statement(msgspec.Struct, frozen=True):
    """A function with the types of its parameters."""

    function: str
    types: tuple[Type, ...] = ()

    @property
    def formats(self) -> list[int]:
        return [int(kind.binary) for kind in self.types]

    def sql(self, schema: str) -> bytes:
        """The call, for a schema given as a quoted identifier."""
        places = ", ".join(f"${n}" for n in range(1, len(self.types) + 1))
        return f"SELECT * FROM {schema}.{self.function}({places})".encode()  # noqa: S608  names

    def parameters(self, values: Sequence[Any]) -> list[bytes | None]:
        return [parameter(kind, value) for kind, value in zip(self.types, values, strict=True)]


LISTEN = Statement("listen", (T.TEXTS,))
UNLISTEN = Statement("unlisten", (T.TEXT,))
WRITTEN = Statement("written")
WALK = Statement("walk")
TOUCH = Statement("touch", (T.TEXTS,))

PUBLISH_ONE = Statement("publish_one", (T.UUID, T.BOOL, T.TEXT, T.BYTES, T.INT, T.INT, T.DOUBLE))
PUBLISH = Statement(
    "publish", (T.UUID, T.BOOL, T.TEXTS, T.BYTES_LIST, T.INTS, T.INTS, T.DOUBLES, T.TEXTS)
)
WATCH = Statement("watch", (T.TEXTS,))
FOLLOW = Statement("follow", (T.BIGS, T.BIGS))
READ = Statement("read", (T.TEXT, T.TEXT, T.BIG, T.INT))
WENT_BACK = Statement("went_back", (T.TEXT, T.TEXT, T.BIG))
TRIM = Statement("trim", (T.TEXTS,))

ENTER = Statement("enter", (T.UUID, T.DOUBLE, T.TEXTS, T.TEXTS, T.BYTES_LIST, T.TEXTS))
LEAVE = Statement("leave", (T.UUID, T.TEXTS, T.TEXTS))
END_PROCESSES = Statement("end_processes", (T.UUIDS,))
BEAT = Statement("beat", (T.UUID, T.DOUBLE))
SWEEP = Statement("sweep", (T.DOUBLE,))
MEMBERS = Statement("members_of", (T.TEXT,))
PRESENT = Statement("present", (T.TEXTS, T.TEXTS))
HEADCOUNT = Statement("headcount", (T.TEXT,))

SEND = Statement(
    "send",
    (
        T.UUID, T.BOOL, T.TEXT, T.UUIDS, T.BYTES_LIST, T.BIGS, T.BOOLS, T.DOUBLES, T.DOUBLES,
        T.TEXTS, T.TEXTS,
    ),
)  # fmt: skip
RECEIVE = Statement("receive", (T.TEXT, T.UUID, T.BOOL, T.BIG, T.DOUBLE, T.INT))
TAKE_BACK = Statement("take_back", (T.TEXT, T.UUID))
RELEASE = Statement("release", (T.TEXT, T.BIG, T.UUID))
ACK = Statement("ack", (T.TEXT, T.BIGS, T.UUIDS))
NACK = Statement("nack", (T.TEXT, T.BIG, T.UUID, T.DOUBLE, T.BOOL, T.TEXT))
EXTEND = Statement("extend", (T.TEXT, T.BIG, T.UUID, T.DOUBLE))
SET_CLOSED = Statement("set_closed", (T.TEXT, T.BOOL))
CHANNEL_NAMES = Statement("channel_names")
QUEUE_STATE = Statement("queue_state", (T.TEXT,))
PURGE = Statement("purge", (T.TEXT,))
DEAD_LETTERS = Statement("dead_letters_of", (T.TEXT, T.BIG, T.BIG, T.TEXTS))
REPLAY = Statement("replay", (T.TEXT, T.TEXTS))
DISCARD = Statement("discard", (T.TEXT, T.TEXTS))
