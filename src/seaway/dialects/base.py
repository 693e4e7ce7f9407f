"""What every dialect offers to a connection: requests in, encoded answers out.

What lives here: the requests, and the `Dialect` protocol.
What must not: any one wire protocol, framing, or state; a dialect is one shared object.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from seaway.exceptions import TopicError
from seaway.layers.base import Headcount, Position, PresenceChange, Publication
from seaway.server.handoff import Framing


class Join(msgspec.Struct, frozen=True, gc=False):
    """Subscribe to ``topic``; with ``since``, replay what came after it."""

    id: int
    topic: str
    since: Position | None = None


class Leave(msgspec.Struct, frozen=True, gc=False):
    """Unsubscribe from ``topic``."""

    id: int
    topic: str


class Call(msgspec.Struct, frozen=True):
    """Run ``action`` of a joined topic; ``args`` is one JSON object, not decoded yet.

    :ivar key: the same for all attempts of a call that is to take effect once; otherwise empty.
    """

    id: int
    topic: str
    action: str
    args: bytes
    key: str = ""


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """The client wants to know whether we are there."""


Request = Join | Leave | Call | Heartbeat


class Dialect(Protocol):
    """One wire protocol. All methods are pure: what they return depends on the arguments alone,
    so that connections share it. Every ``bytes`` returned is one message, not framed."""

    def decode(self, message: str | bytes) -> Request:
        """One message from a client. Raises `seaway.exceptions.BadMessage`."""

    def welcome(self, connection: str, ping_seconds: float) -> bytes | None:
        """The first message, if the dialect has one."""

    def joined(
        self,
        request: Join,
        position: Position,
        recovered: bool,
        data: bytes,
        present: Sequence[bytes] | Headcount | None,
    ) -> bytes:
        """Answer to a join. ``data`` and each member of ``present`` are JSON."""

    def left(self, request: Leave) -> bytes:
        """Answer to a leave."""

    def reply(self, request: Call, data: bytes) -> bytes:
        """Answer to a call. ``data`` is JSON."""

    def error(self, request: Join | Leave | Call, error: TopicError) -> bytes:
        """Answer to a request that failed."""

    def heartbeat(self) -> bytes:
        """Answer to a heartbeat."""

    def event(self, topic: str, publication: Publication) -> bytes:
        """An event of a joined topic."""

    def gap(self, topic: str) -> bytes:
        """Events were missed."""

    def presence(self, topic: str, change: PresenceChange) -> bytes:
        """Members came or went."""

    def members(self, topic: str, members: Sequence[bytes]) -> bytes:
        """Everybody present."""

    def headcount(self, topic: str, count: Headcount) -> bytes:
        """How many are present."""


class FramedDialect:
    """A dialect in one framing: the `seaway.layers.stream.Encoding` that subscribers share.

    Get it from `framed`, which makes one per pair: the hub groups subscribers by identity.
    """

    __slots__ = ("_dialect", "frame")

    def __init__(self, dialect: Dialect, frame: Framing) -> None:
        self._dialect = dialect
        self.frame = frame

    def event(self, topic: str, publication: Publication) -> bytes:
        return self.frame(self._dialect.event(topic, publication))

    def gap(self, topic: str) -> bytes:
        return self.frame(self._dialect.gap(topic))

    def presence(self, topic: str, change: PresenceChange) -> bytes:
        return self.frame(self._dialect.presence(topic, change))

    def members(self, topic: str, members: Sequence[bytes]) -> bytes:
        return self.frame(self._dialect.members(topic, members))

    def headcount(self, topic: str, count: Headcount) -> bytes:
        return self.frame(self._dialect.headcount(topic, count))


_framed: dict[tuple[Dialect, Framing], FramedDialect] = {}


def framed(dialect: Dialect, frame: Framing) -> FramedDialect:
    """The one encoding for this dialect in this framing. There are a handful in a process."""
    key = (dialect, frame)
    encoding = _framed.get(key)
    if encoding is None:
        encoding = _framed[key] = FramedDialect(dialect, frame)
    return encoding
