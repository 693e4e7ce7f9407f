"""One channel as the records of its messages add up: what is waiting, in line, held and dead.

What lives here: `Ledger`, plain synchronous data that every process which uses a channel derives
from the same records in the same order. What must not: asking or telling the server (`following`,
`queues`).

Where a message is depends on the time, too: a delay that is over and a lease that has run out need
no record. Two processes may see that a moment apart; which of them gets the message is decided by
the condition on which its next record is stored.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator

from seaway.layers.nats.entry import Entry, Place
from seaway.layers.nats.records import Record

_OUT_OF_LINE = (Place.DEAD, Place.EXPIRED)
#: What takes room in a channel.
TAKES_ROOM = (Place.READY, Place.LINED_UP, Place.DELAYED, Place.HELD)


class Ledger:
    """One channel.

    :param gone: whether the process that took something at that time is no more.
    :ivar heard: the sequence up to which all records are known; ``changed``: of the last of them
        that was more than a question.
    """

    def __init__(self, gone: Callable[[str, float], bool]) -> None:
        self._gone = gone
        self.entries: dict[str, Entry] = {}
        self.count = dict.fromkeys(Place, 0)
        self.closed = False
        self.closed_at = 0
        self.heard = self.changed = 0
        #: Ids of what was sent to the closed channel by who had not heard of it yet.
        self.void: set[str] = set()
        self._ready: list[tuple[int, str]] = []
        self._timers: list[tuple[float, str]] = []
        self._orders: dict[str, list[tuple[int, str]]] = {}

    @property
    def taken(self) -> int:
        """How many messages take room."""
        return sum(self.count[place] for place in TAKES_ROOM)

    @property
    def exhausted(self) -> bool:
        """Closed, and there is nothing that could still be received."""
        return self.closed and not self.taken

    # Records -------------------------------------------------------------------------------------

    def note_channel(self, record: Record, sequence: int) -> None:
        """The channel was closed or opened."""
        if sequence >= self.closed_at:
            self.closed_at = sequence
            self.closed = record.state == "closed"

    def note(
        self, id_: str, record: Record, sequence: int, time: float, size: int, now: float
    ) -> None:
        """A message's next record. One that is known, or older, changes nothing but the time."""
        entry = self.entries.get(id_)
        if record.state == "done":
            if entry is not None and sequence >= entry.last:
                self._remove(entry, now)
            return
        if entry is None:
            if record.state == "new" and self.closed and sequence > self.closed_at:
                self.void.add(id_)
                return
            if record.state != "new" or id_ in self.void:
                return  # the end of one whose beginning is removed already
            entry = self.entries[id_] = Entry(id_, sequence, size)
            self.count[entry.place] += 1
        elif sequence < entry.last:
            return
        elif record.state == "new" and sequence != entry.body:
            entry.last = sequence  # the same message once more, repeated in doubt
            return
        rank = entry.rank
        entry.note(record, sequence, time)
        if entry.rank != rank and entry.order:
            self._leave_line(entry, rank)
        self._classify(entry, now)

    def forget(self, id_: str, now: float) -> None:
        """The server knows nothing of it any more."""
        entry = self.entries.get(id_)
        if entry is not None:
            self._remove(entry, now)

    def _remove(self, entry: Entry, now: float) -> None:
        del self.entries[entry.id]
        self.count[entry.place] -= 1
        if entry.order:
            self._leave_line(entry, entry.rank)
            self._look_at_head(entry.order, now)

    # Places --------------------------------------------------------------------------------------

    def _classify(self, entry: Entry, now: float) -> Place:
        place = self._place(entry, now)
        if entry.order:
            self._stand_in_line(entry, out=place in _OUT_OF_LINE)
            if place is Place.READY and self._orders[entry.order][0][1] != entry.id:
                place = Place.LINED_UP
        self.count[entry.place] -= 1
        self.count[place] += 1
        entry.place = place
        if place is Place.READY:
            self._list(entry)
        when = self._changes_at(entry)
        if when < math.inf:
            heapq.heappush(self._timers, (when, entry.id))
        if entry.order and place in _OUT_OF_LINE:
            self._look_at_head(entry.order, now)
        return place

    def _place(self, entry: Entry, now: float) -> Place:
        if entry.state == "dead":
            return Place.DEAD
        if entry.state == "held":
            if entry.until > now and not self._gone(entry.process, entry.since):
                return Place.HELD
            return Place.DEAD if 0 < entry.tries <= entry.attempts else Place.READY
        if not entry.attempts and entry.expires <= now:
            return Place.EXPIRED
        return Place.DELAYED if entry.until > now else Place.READY

    def _changes_at(self, entry: Entry) -> float:
        if entry.place in (Place.HELD, Place.DELAYED):
            return min(entry.until, math.inf if entry.attempts else entry.expires)
        if entry.place in (Place.READY, Place.LINED_UP) and not entry.attempts:
            return entry.expires
        return math.inf

    def _list(self, entry: Entry) -> None:
        if not entry.listed:
            entry.listed = True
            heapq.heappush(self._ready, (entry.rank, entry.id))

    # Orders --------------------------------------------------------------------------------------

    def _stand_in_line(self, entry: Entry, *, out: bool) -> None:
        line = self._orders.setdefault(entry.order, [])
        mark = entry.rank, entry.id
        if out:
            self._leave_line(entry, entry.rank)
        elif not _contains(line, mark):
            insort(line, mark)

    def _leave_line(self, entry: Entry, rank: int) -> None:
        line = self._orders.get(entry.order)
        if line is not None:
            mark = rank, entry.id
            if _contains(line, mark):
                del line[bisect_left(line, mark)]
            if not line:
                del self._orders[entry.order]

    def _look_at_head(self, order: str, now: float) -> None:
        line = self._orders.get(order)
        if line:
            head = self.entries[line[0][1]]
            if head.place is Place.LINED_UP:
                self._classify(head, now)

    # Time ----------------------------------------------------------------------------------------

    def tick(self, now: float) -> list[Entry]:
        """Let time have its effect; returns the messages that have expired."""
        expired: list[Entry] = []
        while self._timers and self._timers[0][0] <= now:
            _, id_ = heapq.heappop(self._timers)
            entry = self.entries.get(id_)
            if entry is None or entry.place is Place.EXPIRED:
                continue
            if self._classify(entry, now) is Place.EXPIRED:
                expired.append(entry)
        return expired

    def next_change(self) -> float:
        """When time alone changes something; infinity: never."""
        return self._timers[0][0] if self._timers else math.inf

    def look_for_gone(self, now: float) -> None:
        """What processes hold that are no more is handed out again."""
        for entry in list(self.held()):
            if self._gone(entry.process, entry.since):
                self._classify(entry, now)

    # Taking --------------------------------------------------------------------------------------

    def choose(self, limit: int, most_bytes: int) -> list[Entry]:
        """The oldest messages that can be received; nobody else here is given them until
        `chosen`."""
        found: list[Entry] = []
        size = 0
        while self._ready and len(found) < limit:
            rank, id_ = self._ready[0]
            entry = self.entries.get(id_)
            if entry is None or entry.rank != rank:
                heapq.heappop(self._ready)
                if entry is not None:
                    entry.listed = False
                    if entry.place is Place.READY:
                        self._list(entry)
                continue
            if entry.place is Place.READY and not entry.busy and entry.blocked <= entry.last:
                size += entry.size
                if found and size > most_bytes:
                    break
                entry.busy = True
                found.append(entry)
            heapq.heappop(self._ready)
            entry.listed = False
        return found

    def chosen(self, entry: Entry, now: float, *, blocked: int = 0) -> None:
        """It was tried to take it. ``blocked``: its last record is another one, not yet heard."""
        entry.busy = False
        entry.blocked = max(entry.blocked, blocked)
        if self.entries.get(entry.id) is entry:
            self._classify(entry, now)

    def ready(self) -> bool:
        """Whether there may be something to receive."""
        return self.count[Place.READY] > 0 and bool(self._ready)

    # Lists ---------------------------------------------------------------------------------------

    def held(self) -> Iterator[Entry]:
        return (entry for entry in self.entries.values() if entry.place is Place.HELD)

    def dead(self) -> list[Entry]:
        """Those that died first come first."""
        found = [entry for entry in self.entries.values() if entry.place is Place.DEAD]
        return sorted(found, key=lambda entry: (entry.died_at, entry.last))


def _contains(line: list[tuple[int, str]], mark: tuple[int, str]) -> bool:
    at = bisect_left(line, mark)
    return at < len(line) and line[at] == mark
