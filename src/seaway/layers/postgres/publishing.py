"""Publishing: what one process publishes in one turn goes out as one statement.

What lives here: `Publishing`, on a connection of its own: it may have to wait for a topic's lock.
What must not: reading.

One statement is under way at a time; what is published meanwhile goes into the next. So the order
is kept, and the more there is to do, the less each event costs: events of one topic share rows
(`packs`).
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Sequence
from itertools import chain
from typing import Any

from seaway.exceptions import LayerUnavailable
from seaway.layers.base import History, Position
from seaway.layers.postgres import statements
from seaway.layers.postgres.line import Line, Owner, refusal
from seaway.layers.postgres.link import Answer, Refused
from seaway.layers.postgres.packs import OVERHEAD, PACK_BYTES, pack
from seaway.layers.postgres.statements import Statement
from seaway.layers.postgres.values import number, text

#: What one statement takes at most: more would keep the topics locked for long.
BATCH_EVENTS, BATCH_BYTES = 1000, 4 * 1024 * 1024

_NO_HISTORY = History(size=0, seconds=1.0)


class _Event:
    __slots__ = ("data", "due", "future", "history", "once", "topic")

    def __init__(
        self, topic: str, data: bytes, history: History, once: str, timeout: float
    ) -> None:
        loop = asyncio.get_running_loop()
        self.topic = topic
        self.data = data
        self.history = history
        self.once = once
        #: The loop's time at which its publisher is told that it did not happen in time.
        self.due = loop.time() + timeout
        self.future: asyncio.Future[Position] = loop.create_future()


class _Row:
    """Events of one topic with the same history, to be stored as one pack."""

    __slots__ = ("events", "size")

    def __init__(self) -> None:
        self.events: list[_Event] = []
        self.size = 0

    def takes(self, event: _Event) -> bool:
        """Whether there is room for it."""
        if not self.events:
            return True
        first = self.events[0]
        return (
            self.size + len(event.data) + OVERHEAD <= PACK_BYTES
            and first.history == event.history
            and not first.once
            and not event.once
        )

    def add(self, event: _Event) -> None:
        self.events.append(event)
        self.size += len(event.data) + OVERHEAD

    def answered(self, epoch: str, last: int) -> None:
        """All have their positions; the last one's offset is given."""
        for offset, event in enumerate(self.events, last - len(self.events) + 1):
            if not event.future.done():
                event.future.set_result(Position(epoch, offset))


class Publishing:
    """Appends events to topics."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.line = Line(owner, "publishing")
        self._events: deque[_Event] = deque()
        #: What the statement under way publishes.
        self._rows: list[_Row] = []
        self._scheduled = False
        self._busy = False
        #: Rings when the first of those that wait is due.
        self._alarm: asyncio.TimerHandle | None = None
        #: Topics that were published on since `published_on` was last asked.
        self._topics: set[str] = set()

    async def publish(
        self, topic: str, data: bytes, history: History | None, once: str = ""
    ) -> Position:
        """Append one event. :raises LayerUnavailable: whether it was appended is not known."""
        event = _Event(topic, data, history or _NO_HISTORY, once, self._owner.timeout)
        self._events.append(event)
        if not self._scheduled and not self._busy:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_at(event.due, self._rang)
        return await event.future

    def published_on(self) -> set[str]:
        """The topics that were published on since this was last asked."""
        topics, self._topics = self._topics, set()
        return topics

    def close(self) -> None:
        """Nothing more goes out."""
        self._busy = True
        if self._alarm is not None:
            self._alarm.cancel()
        for event in self._events:
            if not event.future.done():
                event.future.set_exception(LayerUnavailable("The layer was closed meanwhile."))
        self._events.clear()

    def _rang(self) -> None:
        """Tell those that are due, with one alarm for all."""
        self._alarm = None
        loop = asyncio.get_running_loop()
        under_way = chain.from_iterable(row.events for row in self._rows)
        waiting = [event for event in chain(under_way, self._events) if not event.future.done()]
        now = loop.time()
        late = [event for event in waiting if event.due <= now]
        for event in late:
            event.future.set_exception(LayerUnavailable(self._silence()))
        if len(late) < len(waiting):
            due = min(event.due for event in waiting if event.due > now)
            self._alarm = loop.call_at(due, self._rang)

    def _silence(self) -> str:
        return (
            f"PostgreSQL did not publish within {self._owner.timeout:g} seconds"
            f"{'' if self.line.link else ': ' + self.line.trouble}."
        )

    def _flush(self) -> None:
        self._scheduled = False
        if self._busy:
            return
        rows = self._rows = self._next_rows()
        if not rows:
            return
        self._busy = True
        self._topics.update(row.events[0].topic for row in rows)
        request = uuid.uuid4().bytes
        statement, values = _statement(rows)
        self.line.tell(
            statement,
            request,
            False,
            *values,
            done=lambda answer: self._answered(answer, rows),
            repeat=(request, True, *values),
        )

    def _next_rows(self) -> list[_Row]:
        """What is published next, put together: the order of each topic's events is kept."""
        rows: list[_Row] = []
        newest: dict[str, _Row] = {}
        count = size = 0
        while self._events and count < BATCH_EVENTS and size < BATCH_BYTES:
            event = self._events.popleft()
            if event.future.done():
                continue  # its publisher gave up
            row = newest.get(event.topic)
            if row is None or not row.takes(event):
                row = newest[event.topic] = _Row()
                rows.append(row)
            row.add(event)
            count += 1
            size += len(event.data)
        return rows

    def _answered(self, answer: Answer | None, rows: list[_Row]) -> None:
        self._busy = False
        self._rows = []
        if answer is None or isinstance(answer, Refused):
            for event in chain.from_iterable(row.events for row in rows):
                if not event.future.done():
                    event.future.set_exception(refusal(answer, self.line.trouble))
        else:
            epoch_field, epoch = b"", ""
            for number_, row in enumerate(rows):
                field = answer.get_value(number_, 0) or b""
                if field != epoch_field:
                    epoch_field, epoch = field, text(field)
                row.answered(epoch, number(answer.get_value(number_, 1)))
        if self._events:
            self._flush()


def _statement(rows: Sequence[_Row]) -> tuple[Statement, tuple[Any, ...]]:
    """How these are published, and the values after the request."""
    firsts = [row.events[0] for row in rows]
    datas = [pack([event.data for event in row.events]) for row in rows]
    counts = [len(row.events) for row in rows]
    first = firsts[0]
    if len(rows) == 1 and not first.once:
        history = first.history
        return statements.PUBLISH_ONE, (
            first.topic, datas[0], counts[0], history.size, history.seconds,
        )  # fmt: skip
    return statements.PUBLISH, (
        [event.topic for event in firsts],
        datas,
        counts,
        [event.history.size for event in firsts],
        [event.history.seconds for event in firsts],
        [event.once for event in firsts],
    )
