"""One channel as plain data: its messages, where each one is, and what time does to them.

What lives here: `ChannelState`. A message is in one place at a time (`Place`).
What must not: what senders and receivers may do (`queue_store`), or who waits (`desk`).

Heaps are cleaned lazily: an entry counts only while its message still says that it is there.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable

from seaway.layers.memory.dead_letters import DeadLetters
from seaway.layers.memory.queue_message import Journal, Message, Place
from seaway.layers.queues import LEASE_RAN_OUT

#: Entries of a heap that may be stale before it is made anew, beside as many as count.
SLACK = 64


#: (when or which number, the message's number, the message): numbers make entries comparable.
_Heap = list[tuple[float, int, Message]]


class ChannelState:
    """One channel. ``wall`` gives seconds since 1970, for dead letters."""

    __slots__ = (
        "_delayed", "_expiring", "_journal", "_leases", "_lines", "_ready", "_wall", "closed",
        "count", "dead", "held", "messages", "name", "once",
    )  # fmt: skip

    def __init__(self, name: str, journal: Journal, wall: Callable[[], float]) -> None:
        self.name = name
        self.closed = False
        self.count = dict.fromkeys(Place, 0)
        self.messages: dict[str, Message] = {}
        self.held: dict[str, Message] = {}
        self.dead = DeadLetters(name, journal)
        #: once → (to be remembered until, id of the message)
        self.once: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._journal = journal
        self._wall = wall
        self._ready: _Heap = []
        self._delayed: _Heap = []
        self._leases: _Heap = []
        self._expiring: _Heap = []
        self._lines: dict[str, OrderedDict[str, Message]] = {}

    def idle(self) -> bool:
        """Whether it can be forgotten."""
        return not (self.messages or self.dead or self.once or self.closed)

    # From place to place -------------------------------------------------------------------------

    def admit(self, message: Message, now: float) -> None:
        """Let it in, the last one of its order."""
        self.messages[message.id] = message
        if message.order:
            self._lines.setdefault(message.order, OrderedDict())[message.id] = message
        self._watch_expiry(message)
        self._settle(message, now)
        self._journal.message_changed(self.name, message)

    def restore(self, message: Message, now: float) -> None:
        """Put back one that was written down; to be called in the order of their numbers."""
        if message.reason:
            self.dead.add(message)
            return
        receipt = message.receipt
        self.messages[message.id] = message
        if message.order:
            self._lines.setdefault(message.order, OrderedDict())[message.id] = message
        self._watch_expiry(message)
        self._settle(message, now)
        if receipt:
            self._move(message, Place.HELD)
            self.held[receipt] = message
            self._push(self._leases, message.until, message)

    def next_ready(self) -> Message | None:
        """The oldest one that can be handed out. The caller holds it, or asks again in vain."""
        while self._ready:
            message = self._ready[0][2]
            if message.place is Place.READY:
                return message
            heapq.heappop(self._ready)
        return None

    def hold(self, message: Message, receipt: str, until: float) -> None:
        """Hand it out; counts as an attempt."""
        message.attempts += 1
        message.receipt = receipt
        self._move(message, Place.HELD)
        self.held[receipt] = message
        self.extend(message, until)

    def extend(self, message: Message, until: float) -> None:
        message.until = until
        self._push(self._leases, until, message)
        self._journal.message_changed(self.name, message)

    def give_back(self, message: Message, now: float, due: float = -math.inf) -> None:
        """Take it from its holder, to be handed out again when it is due."""
        self._let_go(message)
        message.due = due
        if not message.attempts and message.expires <= now:
            self.remove(message, now)
            return
        self._watch_expiry(message)  # while it was held, nobody did
        self._settle(message, now)
        self._journal.message_changed(self.name, message)

    def remove(self, message: Message, now: float) -> None:
        """It is done or dropped."""
        self._take_out(message, now)
        self._journal.message_gone(self.name, message)

    def die(self, message: Message, now: float, reason: str) -> None:
        """Put it among the dead letters. ``reason`` is not empty."""
        self._take_out(message, now)
        message.reason = reason
        message.died_at = self._wall()
        self.dead.add(message)
        self._journal.message_changed(self.name, message)

    def purge(self) -> int:
        """Remove all messages; how many there were."""
        gone = list(self.messages.values())
        for message in gone:
            self._let_go(message)
            self._move(message, Place.GONE)
        self.messages.clear()
        self._lines.clear()
        for heap in (self._ready, self._delayed, self._leases, self._expiring):
            heap.clear()
        for message in gone:
            self._journal.message_gone(self.name, message)
        return len(gone)

    # Time ----------------------------------------------------------------------------------------

    def tidy(self, now: float) -> None:
        """Do what is overdue: leases run out, delays end, messages expire."""
        while (message := _first(self._leases, _held)) is not None and message.until <= now:
            if message.attempts >= message.tries:
                self.die(message, now, LEASE_RAN_OUT)
            else:
                self.give_back(message, now)
        while (message := _first(self._expiring, _may_expire)) is not None:
            if message.expires > now:
                break
            self.remove(message, now)
        while (message := _first(self._delayed, _delayed)) is not None and message.due <= now:
            self._settle(message, now)
        while self.once:
            once, (until, _) = next(iter(self.once.items()))
            if until > now:
                break
            del self.once[once]

    def next_change(self) -> float:
        """When `tidy` has something to do that somebody may wait for; infinity for never."""
        when = math.inf
        if (message := _first(self._leases, _held)) is not None:
            when = message.until
        if (message := _first(self._expiring, _may_expire)) is not None:
            when = min(when, message.expires)
        if (message := _first(self._delayed, _delayed)) is not None:
            when = min(when, message.due)
        return when

    # Inside --------------------------------------------------------------------------------------

    def _settle(self, message: Message, now: float) -> None:
        """Put one that nobody holds where it belongs."""
        if message.order and next(iter(self._lines[message.order])) != message.id:
            self._move(message, Place.LINED_UP)
        elif message.due > now:
            self._move(message, Place.DELAYED)
            self._push(self._delayed, message.due, message)
        else:
            self._move(message, Place.READY)
            self._push(self._ready, message.number, message)

    def _watch_expiry(self, message: Message) -> None:
        if message.expires < math.inf and not message.attempts:
            self._push(self._expiring, message.expires, message)

    def _move(self, message: Message, place: Place) -> None:
        self.count[message.place] -= 1
        self.count[place] += 1
        message.place = place

    def _let_go(self, message: Message) -> None:
        self.held.pop(message.receipt, None)
        message.receipt = ""
        message.holder = ""
        message.until = math.inf

    def _take_out(self, message: Message, now: float) -> None:
        """Out of the channel: the next one of its order may go."""
        self._let_go(message)
        self._move(message, Place.GONE)
        del self.messages[message.id]
        line = self._lines.get(message.order) if message.order else None
        if line is None:
            return
        del line[message.id]
        if not line:
            del self._lines[message.order]
            return
        first = next(iter(line.values()))
        if first.place is Place.LINED_UP:
            self._settle(first, now)

    def _push(self, heap: _Heap, when: float, message: Message) -> None:
        heapq.heappush(heap, (when, message.number, message))
        if len(heap) > 2 * len(self.messages) + SLACK:
            counts = self._counts(heap)
            # One entry for each message: a second one of the same moment is no other.
            heap[:] = {id(entry[2]): entry for entry in heap if counts(*entry[::2])}.values()
            heapq.heapify(heap)

    def _counts(self, heap: _Heap) -> Callable[[float, Message], bool]:
        if heap is self._ready:
            return lambda _, message: message.place is Place.READY
        if heap is self._delayed:
            return _delayed
        return _held if heap is self._leases else _may_expire


def _held(when: float, message: Message) -> bool:
    return message.place is Place.HELD and message.until == when


def _delayed(when: float, message: Message) -> bool:
    return message.place is Place.DELAYED and message.due == when


def _may_expire(when: float, message: Message) -> bool:
    never_out = message.attempts == 0 and message.place is not Place.HELD
    return never_out and message.place is not Place.GONE and message.expires == when


def _first(heap: _Heap, counts: Callable[[float, Message], bool]) -> Message | None:
    while heap:
        when, _, message = heap[0]
        if counts(when, message):
            return message
        heapq.heappop(heap)
    return None
