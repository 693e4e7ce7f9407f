"""The layer contract: what joins processes. Its docstrings are the guarantees.

What lives here: the types and the abstract class that every engine implements.
What must not: an engine, or anything about connections and clients.

`seaway.testing.layer_contract` checks every sentence here against every engine.
"""

from __future__ import annotations

import abc
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from seaway.exceptions import InvalidName, PayloadTooLarge
from seaway.layers.queues import Queues

#: Printable ASCII without white space, quotes and backslash: a legal name needs no escaping in
#: JSON, in a Redis key, in a log line or in a URL query.
LEGAL_NAME = re.compile(r"[!#-\[\]-~]{1,200}")

#: Seconds for which an engine remembers at least that a ``once`` was published.
PUBLISHED_ONCE_SECONDS = 300.0


class Position(msgspec.Struct, frozen=True, order=True, gc=False):
    """Where an event stands in its topic.

    :param epoch: names one unbroken life of the topic's stream. Another epoch: history was lost.
    :param offset: counts the topic's events from 1; 0 is the position before the first.
    """

    epoch: str
    offset: int


class History(msgspec.Struct, frozen=True, gc=False):
    """How much of a topic's past its layer keeps, for those who come back.

    :param size: at most so many events; 0 keeps none.
    :param seconds: and none older than this.
    """

    size: int = 100
    seconds: float = 300.0

    def __post_init__(self) -> None:
        if self.size < 0 or self.seconds <= 0:
            raise ValueError("History needs size >= 0 and seconds > 0.")


class Publication(msgspec.Struct, frozen=True, gc=False):
    """One event as the layer carries it: the layer never looks into ``data``."""

    position: Position
    data: bytes


class PresenceChange(msgspec.Struct, frozen=True):
    """Members that came (with what they say of themselves) and members that went."""

    entered: Mapping[str, bytes]
    left: Sequence[str]


class Headcount(msgspec.Struct, frozen=True):
    """How many are present: ``people`` counts several members of one person once."""

    members: int
    people: int


class Gap(msgspec.Struct, frozen=True):
    """The answer to a `Layer.read` whose start is no longer known: events were missed.

    :param position: where the stream stands now.
    """

    position: Position


class Page(msgspec.Struct, frozen=True):
    """The answer to a `Layer.read`: publications in order, without a hole.

    :param position: where the stream stands now; past the last of ``publications`` when ``limit``
        cut the page, and then the reader asks again from the last that it has.
    """

    publications: Sequence[Publication]
    position: Position


class Receiver(Protocol):
    """Who a layer tells what happens on the topics that it watches: the hub, one per process.

    Called on the layer's event loop, in the order of the stream; must not block.
    """

    def published(self, topic: str, publication: Publication) -> None:
        """An event of a watched topic. Normally offset = the last one + 1. Where an engine has to
        skip (it lost messages), the receiver sees it by the hole and reads what it missed."""

    def presence_changed(self, topic: str, change: PresenceChange) -> None:
        """Members of a watched topic came or went, this process's own included."""

    def restored(self, topic: str, position: Position) -> None:
        """The engine is back after an outage and watches this topic again. The receiver compares
        positions, reads what it missed, and asks for the members anew."""


class Layer(Queues):
    """Streams, queues and presence on one engine. All coroutines belong on the loop of `start`.

    Every method may raise `LayerUnavailable` when the engine does not answer within `timeout`.
    Names are 1 to 200 characters of `LEGAL_NAME`, else `InvalidName`.
    """

    #: Seconds that an operation waits for the engine, reconnecting meanwhile, before it raises.
    timeout: float = 5.0
    #: Seconds after which the members of a process that went silent leave by themselves.
    lease: float = 10.0
    #: Bytes of ``data`` that one publication may have.
    max_data: int = 1024 * 1024

    @abc.abstractmethod
    def describe(self) -> str:
        """The engine in a few words for the server's start block; no secrets."""

    @abc.abstractmethod
    async def start(self, receiver: Receiver) -> None:
        """Connect, and tell ``receiver`` from now on. Called once, before anything else."""

    @abc.abstractmethod
    async def close(self) -> None:
        """Let this process's members leave and disconnect. Idempotent."""

    def forked(self) -> None:
        """Called once in the child after a fork: let go of the inherited connection without a word
        to the engine and without the event loop, both of which are the parent's."""

    def seal(self, data: bytes, bound_to: str) -> bytes:
        """The form in which the engine gets ``data`` of the topic or channel ``bound_to``: for who
        hands it to the engine by another way, as within a database transaction."""
        return data

    # Streams -------------------------------------------------------------------------------------

    @abc.abstractmethod
    async def publish(
        self, topic: str, data: bytes, history: History | None = None, *, once: str = ""
    ) -> Position:
        """Append one event, trim to ``history`` and announce it to every watcher, in one step.

        When it returns, the event has its position, and every process that watches the topic
        gets it exactly once in order, or learns that it missed something. Without ``history``
        the event still counts, but cannot be read again. Raises `PayloadTooLarge`.

        :param once: published again within `PUBLISHED_ONCE_SECONDS`, on the same topic with the
            same value, it adds nothing and returns the first one's position. A legal name, or
            empty.
        """

    @abc.abstractmethod
    async def watch(self, topic: str) -> Position:
        """Tell the receiver of every event after the returned position. Watching twice is an
        error of the caller: the hub calls it for the first local subscriber only."""

    @abc.abstractmethod
    async def unwatch(self, topic: str) -> None:
        """Stop that. Events already on their way may still arrive. Not watched: nothing."""

    @abc.abstractmethod
    async def read(self, topic: str, since: Position, limit: int = 100) -> Page | Gap:
        """The up to ``limit`` events that follow ``since``; needs no watch. An engine may give
        fewer (large ones), but at least one when there is one.

        `Gap` when the event after ``since`` is no longer kept, ``since`` is of another epoch, or
        it lies ahead of the stream. An up-to-date ``since`` gives an empty page. `ValueError` for
        a ``limit`` below 1.
        """

    @abc.abstractmethod
    async def position(self, topic: str) -> Position:
        """Where the stream stands now."""

    # Presence ------------------------------------------------------------------------------------

    @abc.abstractmethod
    async def enter(self, topic: str, member: str, info: bytes, person: str = "") -> None:
        """Add a member, or replace what it says of itself, under this process's lease.

        :param person: what several members have in common that are one person (a user's key), for
            `headcount`; empty: nobody else is this one. A legal name, or empty.
        """

    @abc.abstractmethod
    async def leave(self, topic: str, member: str) -> None:
        """Remove a member that this process entered. Not there: nothing."""

    @abc.abstractmethod
    async def members(self, topic: str) -> dict[str, bytes]:
        """Everybody present, from every process. A crashed process's members are gone after
        at most `lease` seconds."""

    @abc.abstractmethod
    async def headcount(self, topic: str) -> Headcount:
        """How many are present, without a list of them: as fast with 10,000 members as with 10."""


def check_name(name: str, what: str = "topic name") -> str:
    """Return ``name``, or raise `InvalidName` in words that say what is legal."""
    if not is_legal_name(name):
        raise InvalidName(
            f"{name[:80]!r} is not a legal {what}: use 1 to 200 printable ASCII characters "
            "without spaces, double quotes and backslashes."
        )
    return name


@functools.lru_cache(maxsize=2048)
def is_legal_name(name: str) -> bool:
    """Whether it is one of `LEGAL_NAME`. The same few come with every publish, and looking one up
    is cheaper than reading it."""
    return LEGAL_NAME.fullmatch(name) is not None


def check_publish(topic: str, data: bytes, limit: int, once: str) -> None:
    """Raise `InvalidName` or `PayloadTooLarge` for what cannot be in `Layer.publish`.

    :param limit: bytes that ``data`` may have.
    """
    if not is_legal_name(topic):
        check_name(topic)
    if len(data) > limit:
        check_size(data, limit)
    if once:
        check_once(once)


def check_once(once: str) -> None:
    """Raise `InvalidName` for what cannot be the ``once`` of `Layer.publish`."""
    if once:
        check_name(once, "once key")


def check_member(topic: str, member: str, person: str = "") -> None:
    """Raise `InvalidName` for what cannot be in `Layer.enter`."""
    check_name(topic)
    check_name(member, "member name")
    if person:
        check_name(person, "person")


def check_size(data: bytes, limit: int) -> None:
    """Raise `PayloadTooLarge` when ``data`` is over ``limit`` bytes."""
    if len(data) > limit:
        raise PayloadTooLarge(
            f"An event of {len(data):,} bytes is over the limit of {limit:,}. "
            "Publish a reference to large data, not the data."
        )


def check_limit(limit: int) -> int:
    """Return how many events `Layer.read` may give, or raise `ValueError`."""
    if limit < 1:
        raise ValueError(f"A page holds at least one event; limit={limit} does not.")
    return limit
