"""One message of a channel, as its records say.

What lives here: `Entry`, and the places where a message can be.
What must not: what other messages and the time do to it (`ledger`).
"""

from __future__ import annotations

import enum
import math

from seaway.layers.nats.records import Record


class Place(enum.Enum):
    """Where a message is."""

    READY = enum.auto()
    LINED_UP = enum.auto()
    DELAYED = enum.auto()
    HELD = enum.auto()
    DEAD = enum.auto()
    EXPIRED = enum.auto()


class Entry:
    """One message. ``body``: the sequence of its first record, ``last``: of its last one, which was
    stored at ``since``; ``blocked``: a later one, of which only the sequence is known."""

    __slots__ = (
        "attempts", "blocked", "body", "busy", "expires", "id", "last", "listed", "order", "place",
        "process", "rank", "reason", "receipt", "since", "size", "state", "tries", "until",
    )  # fmt: skip

    def __init__(self, id_: str, sequence: int, size: int) -> None:
        self.id = id_
        self.body = self.rank = self.last = sequence
        self.size = size
        self.order = self.receipt = self.process = self.reason = ""
        self.attempts = self.tries = self.blocked = 0
        self.since, self.until, self.expires = 0.0, -math.inf, math.inf
        self.state = "new"
        self.place = Place.EXPIRED
        self.busy = self.listed = False

    def note(self, record: Record, sequence: int, time: float) -> None:
        """Its next record."""
        self.last = sequence
        self.state = record.state
        self.since = time
        self.until = time + record.seconds if record.seconds > 0 else -math.inf
        self.attempts = record.attempts
        self.receipt = record.receipt
        self.process = record.process
        self.reason = record.reason
        if record.state == "new":
            self.order = record.order
            self.expires = time + record.ttl if record.ttl >= 0 else math.inf
        else:
            self.tries = record.tries or self.tries
            if record.rank:
                self.rank = sequence if record.rank < 0 else record.rank
                self.expires = math.inf

    @property
    def died_at(self) -> float:
        return self.since if self.state == "dead" else min(self.until, self.since + 1e9)
