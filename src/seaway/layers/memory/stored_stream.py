"""One topic's stream as a store keeps it, and who is told of its changes.

What lives here: `StoredStream`, and `StreamJournal` for a store that outlives its process.
What must not: presence, processes, or other topics (`store`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any, Generic, Protocol, TypeVar

from seaway.layers.base import History, Position, Publication

P = TypeVar("P", bound=Hashable)

#: A phone that was in a tunnel for an hour may still resume.
IDLE_SECONDS = 3600.0
NO_HISTORY = History(size=0, seconds=1.0)


class StoredStream(Generic[P]):
    """One topic's. ``kept`` holds (when it came, event), always ends with the latest event when it
    holds any, and has no hole."""

    __slots__ = ("epoch", "history", "kept", "offset", "used", "watchers")

    def __init__(self, epoch: str, now: float) -> None:
        self.epoch = epoch
        self.offset = 0
        self.history = NO_HISTORY
        self.kept: deque[tuple[float, Publication]] = deque()
        self.watchers: dict[P, None] = {}
        self.used = now

    def position(self) -> Position:
        return Position(self.epoch, self.offset)

    def trim(self, now: float) -> bool:
        """Let go of what is too old or too much; whether there was any."""
        before = len(self.kept)
        kept, history = self.kept, self.history
        while len(kept) > history.size:
            kept.popleft()
        oldest = now - history.seconds
        while kept and kept[0][0] <= oldest:
            kept.popleft()
        return len(kept) < before

    def idle(self, now: float) -> bool:
        return (
            not self.watchers
            and not self.kept
            and now - self.used > max(self.history.seconds, IDLE_SECONDS)
        )


class StreamJournal(Protocol):
    """Who is told of each change, to write it down. Called after the change, in order."""

    def epoch_changed(self, epoch: str) -> None:
        """Topics without a stream stand in this epoch from now on."""

    def stream_changed(self, topic: str, stream: StoredStream[Any]) -> None:
        """It has another event, or keeps fewer."""

    def stream_forgotten(self, topic: str) -> None:
        """It is no more."""


class NoStreamJournal:
    """Writes nothing down."""

    def epoch_changed(self, epoch: str) -> None: ...
    def stream_changed(self, topic: str, stream: StoredStream[Any]) -> None: ...
    def stream_forgotten(self, topic: str) -> None: ...
