"""One watched topic in this process: who follows it, and where each of them stands.

What lives here: `Subscription`, `Stream`, and the bookkeeping that moves one through the other.
What must not: writing to anybody, or asking the layer for anything; that is `hub`'s.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from seaway.layers.base import Headcount, Position, PresenceChange, Publication

#: The recent publications that a stream keeps while somebody is joining or catching up. Enough to
#: cover a snapshot's database queries at a high rate; beyond it, the layer's history serves.
RECENT_EVENTS = 512
RECENT_BYTES = 1024 * 1024

#: The position of a stream that is not watched yet; no engine makes an empty epoch.
NOWHERE = Position("", 0)


class Batch(Protocol):
    """Some outlets that are written to together, again and again."""

    def write(self, frame: bytes) -> Sequence[int]:
        """Write one frame to those that take it now; the indexes of those that got nothing."""


class Lane(Protocol):
    """Writes to many outlets at once: what fan-out needs of `seaway.server.handoff.Lane`."""

    def batch(self, sinks: Sequence[Any]) -> Batch:
        """What can be kept between two writes to these sinks, as long as they are the same."""


class Outlet(Protocol):
    """Where a subscriber's frames go: what fan-out needs of `seaway.server.handoff.Sink`.

    Outlets that can be written to together also have a ``lane`` (`Lane`), which never changes.
    """

    writable: bool

    def write(self, frame: bytes) -> None:
        """Write one or more joined frames; never raises, never blocks."""

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection with a WebSocket close code."""


class Unsayable(ValueError):
    """An event of which an encoding can make nothing: says why, after "an event of TOPIC"."""


class Encoding(Protocol):
    """How one dialect in one framing says things. All subscribers that share it share its bytes."""

    def event(self, topic: str, publication: Publication) -> bytes:
        """One framed event message.

        :raises Unsayable: its data are not what this encoding carries; its subscribers are told
            that they missed something.
        """

    def gap(self, topic: str) -> bytes:
        """The framed message that events were missed."""

    def presence(self, topic: str, change: PresenceChange) -> bytes:
        """The framed message that members came or went."""

    def members(self, topic: str, members: Sequence[bytes]) -> bytes:
        """The framed message that lists everybody present, from each one's JSON object."""

    def headcount(self, topic: str, count: Headcount) -> bytes:
        """The framed message that tells how many are present."""


class EventsAlone:
    """An `Encoding` that says nothing of presence. What derives from it says the rest."""

    def presence(self, topic: str, change: PresenceChange) -> bytes:
        return b""

    def members(self, topic: str, members: Sequence[bytes]) -> bytes:
        return b""

    def headcount(self, topic: str, count: Headcount) -> bytes:
        return b""


class State(enum.Enum):
    """A subscription's life: HELD → BEHIND ⇄ LIVE, and at any time ENDED."""

    HELD = "the snapshot is being made; nothing is delivered yet"
    BEHIND = "has a cursor: what lies between it and the stream is still to be written"
    LIVE = "in the fast lane: gets every batch the moment that it is flushed"
    ENDED = "told of a gap, left, or its connection is gone"


class Subscription:
    """One connection's place in one stream.

    :ivar cursor: the last position that was written to it; not kept up while LIVE, where it is the
        stream's own ``flushed``.
    """

    __slots__ = (
        "catching_up",
        "cursor",
        "encoding",
        "lane",
        "outlet",
        "replayable",
        "stale",
        "state",
        "stream",
    )

    def __init__(
        self, stream: Stream, outlet: Outlet, encoding: Encoding, *, replayable: bool
    ) -> None:
        self.stream = stream
        self.redirect(outlet, encoding)
        self.replayable = replayable
        self.state = State.HELD
        self.cursor = NOWHERE
        self.catching_up = False
        self.stale = False  # missed a presence change while not LIVE

    def redirect(self, outlet: Outlet, encoding: Encoding) -> None:
        """Deliver elsewhere. Only while HELD: a stream sorts its LIVE ones by these."""
        self.outlet = outlet
        self.lane: Lane | None = getattr(outlet, "lane", None)
        self.encoding = encoding


class Chunk:
    """Live subscriptions that are written to without a look at the clock in between."""

    __slots__ = ("batch", "outlets", "subscriptions")

    def __init__(self, subscriptions: Sequence[Subscription], lane: Lane | None) -> None:
        self.subscriptions = subscriptions
        self.outlets = [one.outlet for one in subscriptions]
        self.batch = None if lane is None else lane.batch(self.outlets)


Plan = list[tuple[Encoding, Lane | None, list[Chunk]]]


class Stream:
    """One topic that this process watches.

    :ivar received: the last position that the layer handed over, without a hole before it.
    :ivar flushed: the last position that was written to the LIVE subscribers; never past received.
    :ivar live: by what they can share: the bytes, and the way to write them.
    :ivar departures: how many have ceased to be LIVE, so that fan-out notices.
    :ivar counted: presence is told as numbers; ``told``: the last ones.
    :ivar backlog: what the layer announced while ``steady`` is False, to be looked at afterwards.
    """

    __slots__ = (
        "_plan", "backlog", "behind", "changes", "counted", "departures", "flushed", "live",
        "pending",        "received", "recent", "recent_bytes", "steady", "told", "topic",
    )  # fmt: skip

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.received = NOWHERE
        self.flushed = self.received
        self.steady = False
        self.pending: list[Publication] = []
        self.backlog: deque[Publication] = deque(maxlen=RECENT_EVENTS)
        self.live: dict[tuple[Encoding, Lane | None], dict[Outlet, Subscription]] = {}
        self.departures = 0
        self._plan: Plan | None = None
        self.behind: set[Subscription] = set()
        self.recent: deque[Publication] = deque()
        self.recent_bytes = 0
        self.changes: dict[str, bytes | None] = {}
        self.counted = False
        self.told: Headcount | None = None

    @property
    def empty(self) -> bool:
        return not self.live and not self.behind

    def subscriptions(self) -> Iterator[Subscription]:
        for outlets in list(self.live.values()):
            yield from list(outlets.values())
        yield from list(self.behind)

    def hold(self, subscription: Subscription) -> None:
        self.behind.add(subscription)

    def go_live(self, subscription: Subscription) -> None:
        self._drop(subscription)
        subscription.state = State.LIVE
        outlets = self.live.setdefault((subscription.encoding, subscription.lane), {})
        outlets[subscription.outlet] = subscription
        self._plan = None

    def fall_behind(self, subscription: Subscription, cursor: Position) -> None:
        self._drop(subscription)
        subscription.state = State.BEHIND
        subscription.cursor = cursor
        self.behind.add(subscription)

    def end(self, subscription: Subscription) -> None:
        self._drop(subscription)
        subscription.state = State.ENDED

    def _drop(self, subscription: Subscription) -> None:
        if subscription.state is State.LIVE:
            self.departures += 1
            self._plan = None
            key = (subscription.encoding, subscription.lane)
            outlets = self.live[key]
            del outlets[subscription.outlet]
            if not outlets:
                del self.live[key]
        else:
            self.behind.discard(subscription)
            if not self.behind:
                self.recent.clear()
                self.recent_bytes = 0

    def plan(self, size: int) -> Plan:
        """Who is LIVE now, in chunks of ``size``: made anew only after somebody came or went."""
        plan = self._plan
        if plan is None:
            plan = self._plan = []
            for (encoding, lane), outlets in self.live.items():
                live = list(outlets.values())
                chunks = [Chunk(live[at : at + size], lane) for at in range(0, len(live), size)]
                plan.append((encoding, lane, chunks))
        return plan

    # What is kept for those behind ---------------------------------------------------------------

    def remember(self, batch: Sequence[Publication]) -> None:
        """Keep a flushed batch, while anybody is ``behind`` who may still need it from here."""
        for publication in batch:
            self.recent.append(publication)
            self.recent_bytes += len(publication.data)
        while len(self.recent) > RECENT_EVENTS or self.recent_bytes > RECENT_BYTES:
            self.recent_bytes -= len(self.recent.popleft().data)

    def recent_after(self, cursor: Position) -> list[Publication] | None:
        """What was flushed after ``cursor``, or None when `recent` does not reach back to it."""
        if cursor == self.flushed:
            return []
        recent = self.recent
        if not recent or cursor.epoch != self.flushed.epoch or cursor > self.flushed:
            return None
        skip = cursor.offset + 1 - recent[0].position.offset
        if skip < 0 or recent[0].position.epoch != cursor.epoch:
            return None
        return [recent[index] for index in range(skip, len(recent))]

    def forget(self) -> None:
        """After a gap: nothing kept from before it may serve anybody."""
        self.recent.clear()
        self.recent_bytes = 0
        self.pending.clear()

    def take_changes(self) -> PresenceChange:
        """The changes of presence since the last call, joined."""
        changes, self.changes = self.changes, {}
        return PresenceChange(
            entered={member: info for member, info in changes.items() if info is not None},
            left=[member for member, info in changes.items() if info is None],
        )
