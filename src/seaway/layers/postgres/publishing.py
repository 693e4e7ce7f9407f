"""Publishing: what one process publishes in one turn goes out as one statement.

What lives here: `Publishing`, on a connection of its own: it may have to wait for a topic's lock.
What must not: reading.

One statement is under way at a time; what is published meanwhile goes into the next. So the order
is kept, and the more there is to do, the less each event costs.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from typing import Any

from seaway.exceptions import LayerUnavailable
from seaway.layers.base import History, Position
from seaway.layers.postgres import statements
from seaway.layers.postgres.line import Line, Owner, refusal
from seaway.layers.postgres.link import Answer, Refused
from seaway.layers.postgres.values import number, text

#: What one statement takes at most: more would keep the topics locked for long.
BATCH_EVENTS, BATCH_BYTES = 1000, 4 * 1024 * 1024

_NO_HISTORY = History(size=0, seconds=1.0)


class _Event:
    __slots__ = ("data", "future", "history", "once", "topic")

    def __init__(self, topic: str, data: bytes, history: History, once: str) -> None:
        self.topic = topic
        self.data = data
        self.history = history
        self.once = once
        self.future: asyncio.Future[Position] = asyncio.get_running_loop().create_future()


class Publishing:
    """Appends events to topics."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.line = Line(owner, "publishing")
        self._events: deque[_Event] = deque()
        self._scheduled = False
        self._busy = False
        #: Topics that were published on since `published_on` was last asked.
        self._topics: set[str] = set()

    async def publish(
        self, topic: str, data: bytes, history: History | None, once: str = ""
    ) -> Position:
        """Append one event. :raises LayerUnavailable: whether it was appended is not known."""
        event = _Event(topic, data, history or _NO_HISTORY, once)
        self._events.append(event)
        if not self._scheduled and not self._busy:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)
        try:
            async with asyncio.timeout(self._owner.timeout):
                return await event.future
        except TimeoutError:
            raise LayerUnavailable(
                f"PostgreSQL did not publish within {self._owner.timeout:g} seconds"
                f"{'' if self.line.link else ': ' + self.line.trouble}."
            ) from None

    def published_on(self) -> set[str]:
        """The topics that were published on since this was last asked."""
        topics, self._topics = self._topics, set()
        return topics

    def close(self) -> None:
        """Nothing more goes out."""
        self._busy = True
        events, self._events = self._events, deque()
        for event in events:
            if not event.future.done():
                event.future.set_exception(LayerUnavailable("The layer was closed meanwhile."))

    def _flush(self) -> None:
        self._scheduled = False
        if self._busy:
            return
        batch = self._next_batch()
        if not batch:
            return
        self._busy = True
        self._topics.update(event.topic for event in batch)
        first = batch[0]
        values: tuple[Any, ...]
        if len(batch) == 1 and not first.once:
            statement = statements.PUBLISH_ONE
            values = (first.topic, first.data, first.history.size, first.history.seconds)
        else:
            statement = statements.PUBLISH
            values = (
                [event.topic for event in batch],
                [event.data for event in batch],
                [event.history.size for event in batch],
                [event.history.seconds for event in batch],
                [event.once for event in batch],
            )
        request = uuid.uuid4().bytes
        self.line.tell(
            statement,
            request,
            False,
            *values,
            done=lambda answer: self._answered(answer, batch),
            repeat=(request, True, *values),
        )

    def _next_batch(self) -> list[_Event]:
        batch: list[_Event] = []
        size = 0
        while self._events and len(batch) < BATCH_EVENTS and size < BATCH_BYTES:
            event = self._events.popleft()
            if not event.future.done():  # else its publisher gave up
                size += len(event.data)
                batch.append(event)
        return batch

    def _answered(self, answer: Answer | None, batch: list[_Event]) -> None:
        self._busy = False
        if answer is None or isinstance(answer, Refused):
            for event in batch:
                if not event.future.done():
                    event.future.set_exception(refusal(answer, self.line.trouble))
        else:
            epoch_field, epoch = b"", ""
            for row, event in enumerate(batch):
                field = answer.get_value(row, 0) or b""
                if field != epoch_field:
                    epoch_field, epoch = field, text(field)
                if not event.future.done():
                    position = Position(epoch, number(answer.get_value(row, 1)))
                    event.future.set_result(position)
        if self._events:
            self._flush()
