"""The queue part of the layer contract: channels, whose messages each reach one receiver.

What lives here: the types and the abstract methods; their docstrings are the guarantees.
What must not: an engine, or an encoding of what the messages carry.

A message is delivered at least once: a receiver that dies, or holds it longer than its lease, loses
it to another one. Who wants an effect once sends with ``once`` and does the effect in the same
transaction as a record of the delivery's ``id``, which stays the same at every delivery.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence

import msgspec

#: Messages that a channel holds unless its sender says otherwise.
CAPACITY = 10_000
#: Seconds for which a receiver holds a message unless it says otherwise.
LEASE = 30.0
#: Deliveries of a message before it is put among the dead letters.
TRIES = 5
#: Seconds for which an engine remembers at least that a ``once`` was seen.
ONCE_SECONDS = 3600.0
#: Why a message died whose last receiver kept silent.
LEASE_RAN_OUT = "its lease ran out"


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One handing-out of a message.

    :param id: the message's, the same at every delivery.
    :param attempt: counts its deliveries from 1.
    :param receipt: names this handing-out; of no use once the message was handed out again.
    """

    channel: str
    id: str
    data: bytes
    attempt: int
    receipt: str


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A message that nobody could handle.

    :param attempts: how often it was delivered.
    :param reason: one line from who gave up, or that its lease ran out.
    :param died_at: by the engine's clock, in seconds since 1970.
    """

    id: str
    data: bytes
    attempts: int
    reason: str
    died_at: float


class QueueState(msgspec.Struct, frozen=True):
    """A channel in numbers. ``waiting``: to be received now or once the one before it in its order
    is done; ``delayed``: later; ``held``: by receivers; ``dead``: dead letters, beyond capacity."""

    waiting: int = 0
    delayed: int = 0
    held: int = 0
    dead: int = 0
    closed: bool = False


class Queues(abc.ABC):
    """Channels on one engine. A channel exists from its first message and needs no declaration.

    Every method may raise `LayerUnavailable`, and `InvalidName` for a channel, an ``order`` or an
    ``once`` that is not legal, and `ValueError` for a number that makes no sense: a count below 1,
    seconds below 0, a lease of 0. Seconds count by the engine's clock, never by a sender's.
    """

    @abc.abstractmethod
    async def send(
        self,
        channel: str,
        data: bytes,
        *,
        capacity: int = CAPACITY,
        wait: float = 0.0,
        delay: float = 0.0,
        ttl: float | None = None,
        order: str = "",
        once: str = "",
    ) -> str:
        """Put in one message; returns its id. It is then kept as safely as the engine keeps things.

        :param capacity: how many messages, waiting, delayed and held, there may be with this one.
        :param wait: seconds to wait for room; ``math.inf`` for ever.
        :param delay: seconds before which nobody receives it.
        :param ttl: seconds after which it is dropped if it was not handed out; None: never.
        :param order: of several with the same one, the next is handed out only after the one before
            was acknowledged or died. Others overtake them.
        :param once: sent again within `ONCE_SECONDS`, to the same channel with the same value, it
            adds nothing and returns the first one's id.
        :raises ChannelFull: there was no room in time. :raises ChannelClosed: see `close_channel`.
        :raises PayloadTooLarge: ``data`` is over ``max_data`` bytes.
        """

    @abc.abstractmethod
    async def receive(
        self,
        channel: str,
        *,
        limit: int = 1,
        wait: float = 0.0,
        lease: float = LEASE,
        tries: int = TRIES,
    ) -> Sequence[Delivery]:
        """Take up to ``limit`` messages, the oldest first, that are due and held by nobody.

        Waits up to ``wait`` seconds (``math.inf``: for ever) until there is one; empty when there
        is none in time. Each is held by this receiver alone until `ack`, `nack`, or ``lease``
        seconds without `extend`; then it is handed out again, or dead after ``tries`` deliveries.
        Cancelled, it leaves no message behind in nobody's hands: one that was on its way is handed
        out again at once, that delivery not counted.

        :raises ChannelClosed: it is closed, and there is nothing that could still be received.
        """

    @abc.abstractmethod
    async def ack(self, delivery: Delivery) -> bool:
        """It is done; the message is gone. False: the lease had run out, others may have it."""

    @abc.abstractmethod
    async def nack(
        self, delivery: Delivery, *, delay: float = 0.0, dead: bool = False, reason: str = ""
    ) -> bool:
        """Give it back, to be handed out again after ``delay`` seconds; or, when ``dead``, or its
        last try is over, put it among the dead letters. False: as for `ack`, and nothing is done.
        """

    @abc.abstractmethod
    async def release(self, delivery: Delivery) -> bool:
        """Nobody has looked at it: to be handed out again at once, and this delivery does not
        count. False: as for `ack`."""

    @abc.abstractmethod
    async def extend(self, delivery: Delivery, seconds: float) -> bool:
        """Hold it for so many seconds from now. False: as for `ack`."""

    @abc.abstractmethod
    async def close_channel(self, channel: str) -> None:
        """Let nothing more be sent; what is in it can still be received. Waiting senders and, once
        it is empty, waiting receivers get `ChannelClosed`."""

    @abc.abstractmethod
    async def open_channel(self, channel: str) -> None:
        """Undo that. Not closed: nothing."""

    # For operators -------------------------------------------------------------------------------

    @abc.abstractmethod
    async def channels(self) -> Sequence[str]:
        """The names, sorted, of the channels that hold messages or dead letters, or are closed."""

    @abc.abstractmethod
    async def queue_state(self, channel: str) -> QueueState:
        """One channel in numbers; all 0 for one that nobody has used."""

    @abc.abstractmethod
    async def purge(self, channel: str) -> int:
        """Remove all messages, held ones too, but no dead letters; how many there were."""

    @abc.abstractmethod
    async def dead_letters(
        self, channel: str, limit: int = 100, *, skip: int = 0, ids: Sequence[str] | None = None
    ) -> Sequence[DeadLetter]:
        """Up to ``limit`` dead letters, the oldest first, after the ``skip`` oldest; with ``ids``,
        of these alone, and nothing for an id that is not among them any more. An engine keeps at
        least 10,000 for at least 7 days."""

    @abc.abstractmethod
    async def replay(self, channel: str, ids: Sequence[str] | None = None) -> int:
        """Put dead letters (None: all) back into the channel with all their tries before them,
        beyond its capacity if need be; how many there were."""

    @abc.abstractmethod
    async def discard(self, channel: str, ids: Sequence[str] | None = None) -> int:
        """Remove dead letters (None: all); how many there were."""
