"""What has changed in the broker's stores and is to be written down, and reading it all again.

What lives here: `Journal`, which the stores tell of each change (it implements both their
protocols), and which makes rows of them. What changes twice between two commits is written once,
and what came and went is not written at all.
What must not: SQL (`database`), or when it is written and who waits for that (`gate`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from seaway.layers.base import History, Position, Publication
from seaway.layers.local.database import Changes, Database
from seaway.layers.memory.queue_message import Message
from seaway.layers.memory.queue_store import QueueStore
from seaway.layers.memory.store import Store
from seaway.layers.memory.stored_stream import StoredStream

#: Seconds between two removals of what ``once`` is remembered for no longer.
FORGET_EVERY = 60.0


class Journal:
    """The changes since the last `take`. ``wall`` and ``clock``: as the stores'."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self._clock = clock
        self._wall = wall
        self._epoch: str | None = None
        #: Streams that changed; None: forgotten.
        self._streams: dict[str, StoredStream[Any] | None] = {}
        #: Up to which event a stream was written.
        self._written_events: dict[str, Position] = {}
        #: Messages that changed, with their channels; None: gone.
        self._messages: dict[str, tuple[str, Message] | None] = {}
        self._written_messages: set[str] = set()
        self._closed: dict[str, bool] = {}
        self._once: list[tuple[str, str, float, str]] = []
        self._forget_at = 0.0

    # What the stores tell ------------------------------------------------------------------------

    def epoch_changed(self, epoch: str) -> None:
        self._epoch = epoch

    def stream_changed(self, topic: str, stream: StoredStream[Any]) -> None:
        self._streams[topic] = stream

    def stream_forgotten(self, topic: str) -> None:
        self._streams[topic] = None

    def message_changed(self, channel: str, message: Message) -> None:
        self._messages[message.id] = (channel, message)

    def message_gone(self, channel: str, message: Message) -> None:
        self._messages[message.id] = None

    def channel_closed(self, channel: str, closed: bool) -> None:
        self._closed[channel] = closed

    def once_seen(self, channel: str, once: str, id_: str, until: float) -> None:
        self._once.append((channel, once, until, id_))

    # Writing -------------------------------------------------------------------------------------

    def take(self) -> Changes:
        """The rows to write, which from now on count as written."""
        changes = Changes()
        ahead = self._wall() - self._clock()
        if self._epoch is not None:
            changes.add("forget_epoch", ())
            changes.add("write_epoch", (self._epoch,))
            self._epoch = None
        for topic, stream in self._streams.items():
            self._take_stream(changes, topic, stream, ahead)
        for id_, found in self._messages.items():
            self._take_message(changes, id_, found, ahead)
        for channel, closed in self._closed.items():
            changes.add("close_channel" if closed else "open_channel", (channel,))
        for channel, once, until, id_ in self._once:
            changes.add("write_once", (channel, once, until + ahead, id_))
        self._streams.clear()
        self._messages.clear()
        self._closed.clear()
        self._once.clear()
        if changes and self._clock() >= self._forget_at:
            self._forget_at = self._clock() + FORGET_EVERY
            changes.add("forget_once", (self._wall(),))
        return changes

    def _take_stream(
        self, changes: Changes, topic: str, stream: StoredStream[Any] | None, ahead: float
    ) -> None:
        written = self._written_events.pop(topic, None)
        if written is not None and (stream is None or stream.epoch != written.epoch):
            changes.add("forget_stream", (topic,))
            changes.add("trim_events", (topic, written.offset + 1))
            written = None
        if stream is None or stream.offset == 0:
            return
        history = stream.history
        changes.add(
            "write_stream", (topic, stream.epoch, stream.offset, history.size, history.seconds)
        )
        last = written.offset if written is not None else 0
        first = stream.kept[0][1].position.offset if stream.kept else stream.offset + 1
        if last and first > 1:
            changes.add("trim_events", (topic, first))
        for at, publication in reversed(stream.kept):
            if publication.position.offset <= last:
                break
            changes.add(
                "write_event", (topic, publication.position.offset, at + ahead, publication.data)
            )
        self._written_events[topic] = stream.position()

    def _take_message(
        self, changes: Changes, id_: str, found: tuple[str, Message] | None, ahead: float
    ) -> None:
        if found is None:
            if id_ in self._written_messages:
                self._written_messages.discard(id_)
                changes.add("forget_message", (id_,))
            return
        channel, message = found
        row = (
            channel, message.number, message.order, message.due + ahead, message.expires + ahead,
            message.attempts, message.tries, message.receipt, message.until + ahead,
            message.reason, message.died_at, message.holder,
        )  # fmt: skip
        if id_ in self._written_messages:
            changes.add("change_message", (*row, id_))
        else:
            self._written_messages.add(id_)
            changes.add("new_message", (*row, message.data, id_))

    # Reading -------------------------------------------------------------------------------------

    def restore(self, store: Store[Any], queues: QueueStore) -> None:
        """Put back what is written into stores that were just made with this journal."""
        ahead = self._wall() - self._clock()
        epoch = next(self.database.load("load_epoch"), None)
        if epoch is None:
            self._epoch = store.epoch
            return
        store.epoch = epoch[0]
        self._epoch = None
        kept = {
            topic: list(rows)
            for topic, rows in groupby(self.database.load("load_events"), itemgetter(0))
        }
        for topic, life, offset, size, seconds in self.database.load("load_streams"):
            events = deque[tuple[float, Publication]]()
            for _, number, at, data in reversed(kept.get(topic, ())):
                if number != offset - len(events):
                    break  # a row is missing: what was before it cannot be read without a hole
                events.appendleft((at - ahead, Publication(Position(life, number), data)))
            store.restore(topic, Position(life, offset), History(size, seconds), events)
            self._written_events[topic] = Position(life, offset)
        self._restore_queues(queues, ahead)

    def _restore_queues(self, queues: QueueStore, ahead: float) -> None:
        closed = {channel for [channel] in self.database.load("load_closed")}
        messages: dict[str, list[Message]] = {channel: [] for channel in closed}
        for channel, message in self._messages_written(ahead):
            messages.setdefault(channel, []).append(message)
            self._written_messages.add(message.id)
        for channel, found in messages.items():
            queues.restore(channel, found, channel in closed)
        for channel, once, until, id_ in self.database.load("load_once", now=self._wall()):
            queues.restore_once(channel, once, until - ahead, id_)

    def _messages_written(self, ahead: float) -> Iterator[tuple[str, Message]]:
        for row in self.database.load("load_messages"):
            channel, id_, number, data, order, due, expires = row[:7]
            message = Message(
                id_, number, data, order=order, due=due - ahead, expires=expires - ahead
            )
            message.attempts, message.tries, message.receipt = row[7:10]
            message.until = row[10] - ahead
            message.reason, message.died_at, message.holder = row[11:14]
            yield channel, message
