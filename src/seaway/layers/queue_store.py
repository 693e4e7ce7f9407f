"""The state of channels in one place: what is waiting, delayed, in order, held and dead.

What lives here: `QueueStore`, the queue part of the layer contract as plain synchronous data. The
memory engine holds one in its process; the local engine holds one in the broker.
What must not: sockets, asyncio, encodings, or who waits for a message; its user is told of channels
that changed by ``changed`` and asks again.

A message is in one place at a time: in `_Queue.ready` (a heap by age), in ``delayed`` (by when it
is due), in a line behind another one of its order, or ``held``. Heaps are cleaned lazily: an entry
counts only while the message still says that it is there.
"""

from __future__ import annotations

import enum
import heapq
import math
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from seaway.exceptions import ChannelClosed, ChannelFull
from seaway.layers.queues import ONCE_SECONDS, DeadLetter, Delivery

#: Dead letters that one channel keeps; the oldest give way.
DEAD_LETTERS = 100_000


class Place(enum.Enum):
    """Where a message is."""

    READY = enum.auto()
    DELAYED = enum.auto()
    LINED_UP = enum.auto()
    HELD = enum.auto()
    GONE = enum.auto()


class _Message:
    """``attempts``: how often it was handed out; ``until``: of the lease while held."""

    __slots__ = (
        "attempts", "data", "expires", "id", "order", "place", "receipt", "tries", "until",
    )  # fmt: skip

    def __init__(self, id_: str, data: bytes, order: str, expires: float) -> None:
        self.id = id_
        self.data = data
        self.order = order
        self.expires = expires
        self.attempts = 0
        self.place = Place.GONE
        self.receipt = ""
        self.until = math.inf
        self.tries = 0


#: (when or which number, the message's number, the message): numbers make entries comparable.
_Heap = list[tuple[float, int, _Message]]


class _Queue:
    """One channel."""

    __slots__ = (
        "closed", "count", "dead", "delayed", "expiring", "held", "leases", "lines", "numbers",
        "once", "ready",
    )  # fmt: skip

    def __init__(self) -> None:
        self.closed = False
        self.count = dict.fromkeys(Place, 0)
        self.ready: _Heap = []
        self.delayed: _Heap = []
        self.leases: _Heap = []
        self.expiring: _Heap = []
        self.held: dict[str, _Message] = {}
        self.lines: dict[str, deque[_Message]] = {}
        self.numbers: dict[str, int] = {}
        self.dead: OrderedDict[str, DeadLetter] = OrderedDict()
        self.once: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def live(self) -> int:
        return len(self.numbers)

    def idle(self) -> bool:
        return not (self.numbers or self.dead or self.once or self.closed)

    def move(self, message: _Message, place: Place, when: float = 0.0) -> None:
        """Put a message elsewhere; ``when`` it is due or its lease ends."""
        number = self.numbers[message.id]
        self.count[message.place] -= 1
        self.count[place] += 1
        message.place = place
        if place is Place.READY:
            heapq.heappush(self.ready, (number, number, message))
        elif place is Place.DELAYED:
            message.until = when
            heapq.heappush(self.delayed, (when, number, message))
        elif place is Place.HELD:
            message.until = when
            heapq.heappush(self.leases, (when, number, message))

    def remove(self, message: _Message) -> None:
        """It is done or dead: the next one of its order may go."""
        self.count[message.place] -= 1
        message.place = Place.GONE
        self.held.pop(message.receipt, None)
        del self.numbers[message.id]
        line = self.lines.get(message.order) if message.order else None
        if line is None:
            return
        if line[0] is not message:
            line.remove(message)
            return
        line.popleft()
        if line:
            self.move(line[0], Place.READY)
        else:
            del self.lines[message.order]


class QueueStore:
    """All channels. ``clock`` gives seconds that never go back.

    :param changed: called with a channel's name when a receiver or a sender that found nothing to
        do there may find something now.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[str], None] = lambda channel: None,
    ) -> None:
        self.changed = changed
        self._clock = clock
        self._queues: dict[str, _Queue] = {}
        self._last = 0
        self._run = secrets.token_urlsafe(6)

    # Sending and receiving -----------------------------------------------------------------------

    def send(
        self,
        channel: str,
        data: bytes,
        *,
        capacity: int,
        delay: float,
        ttl: float | None,
        order: str,
        once: str,
    ) -> str:
        """As `Queues.send` without waiting."""
        queue = self._queues.get(channel)
        if queue is None:
            queue = self._queues[channel] = _Queue()
        now = self._clock()
        self._tidy(channel, queue, now)
        if once and once in queue.once:
            return queue.once[once][1]
        if queue.closed:
            raise ChannelClosed(f"The channel {channel} is closed.")
        if queue.live() >= capacity:
            raise ChannelFull(f"The channel {channel} holds {queue.live():,} messages already.")
        self._last += 1
        message = _Message(
            f"{self._run}-{self._last}", data, order, math.inf if ttl is None else now + ttl
        )
        queue.numbers[message.id] = self._last
        if once:
            queue.once[once] = (now + ONCE_SECONDS, message.id)
        self._place(queue, message, now + delay if delay > 0 else 0.0)
        if message.expires < math.inf:
            heapq.heappush(queue.expiring, (message.expires, self._last, message))
        self.changed(channel)
        return message.id

    def _place(self, queue: _Queue, message: _Message, due: float) -> None:
        queue.count[Place.GONE] += 1
        if message.order:
            line = queue.lines.setdefault(message.order, deque())
            line.append(message)
            if line[0] is not message:
                queue.move(message, Place.LINED_UP)
                message.until = due
                return
        queue.move(message, Place.DELAYED if due else Place.READY, due)

    def receive(self, channel: str, *, limit: int, lease: float, tries: int) -> list[Delivery]:
        """As `Queues.receive` without waiting.

        :raises ChannelClosed: it is closed and holds nothing at all.
        """
        queue = self._queues.get(channel)
        if queue is None:
            return []
        now = self._clock()
        self._tidy(channel, queue, now)
        taken: list[Delivery] = []
        while queue.ready and len(taken) < limit:
            message = heapq.heappop(queue.ready)[2]
            if message.place is not Place.READY:
                continue
            self._last += 1
            message.attempts += 1
            message.tries = tries
            message.receipt = f"{message.id}.{self._last}"
            queue.held[message.receipt] = message
            queue.move(message, Place.HELD, now + lease)
            taken.append(
                Delivery(channel, message.id, message.data, message.attempts, message.receipt)
            )
        if not taken and queue.closed and not queue.live():
            raise ChannelClosed(f"The channel {channel} is closed.")
        return taken
