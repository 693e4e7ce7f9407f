"""Events of watched topics, told to the receiver as they become known.

What lives here: `News`. A row of events that comes with its notification, and is the next one of
its topic, is told at once. For all else, what is new on all topics is read in one query, from where
each was told last.
What must not: listening and watching (`following`), which decide what is known of.
"""

from __future__ import annotations

import asyncio
import logging
from binascii import a2b_base64

from psycopg.pq.abc import PGresult

from seaway.layers.base import Position, Publication, Receiver
from seaway.layers.postgres import statements
from seaway.layers.postgres.cursors import Cursor
from seaway.layers.postgres.line import Line
from seaway.layers.postgres.link import Answer, Refused
from seaway.layers.postgres.packs import unpack
from seaway.layers.postgres.values import number

logger = logging.getLogger("seaway.layers")

#: What the function ``follow`` in ``sql/streams.sql`` gives of one topic at most: rows and bytes.
PAGE_ROWS, PAGE_BYTES = 2000, 4 * 1024 * 1024


class News:
    """How far each watched topic was told, and what is not told yet."""

    def __init__(self, line: Line, receiver: Receiver) -> None:
        self._line = line
        self._receiver = receiver
        self.cursors: dict[str, Cursor] = {}
        self._dirty: set[str] = set()
        self._reading = False

    def forget(self, topic: str) -> None:
        """Not watched any more."""
        del self.cursors[topic]
        self._dirty.discard(topic)

    def broken(self) -> None:
        """The answer under way will not come."""
        self._reading = False
        for cursor in self.cursors.values():
            cursor.asked = False

    def resume(self, stands: dict[str, Cursor]) -> None:
        """Go on after an outage, in which topics came to stand where they stand now."""
        for topic, stand in stands.items():
            cursor = self.cursors.get(topic)
            if cursor is None:
                continue
            if stand.epoch != cursor.epoch:
                self.cursors[topic] = stand
                self._tell_restored(topic, Position(stand.epoch, stand.offset))
                continue
            # Notifications that came after the question was asked may be ahead of its answer.
            cursor.id, cursor.known = stand.id, max(cursor.known, stand.offset)
            if cursor.known > cursor.offset:
                cursor.restored = Position(cursor.epoch, cursor.known)
                self._dirty.add(topic)
            else:
                self._tell_restored(topic, Position(cursor.epoch, cursor.offset))
        self._read_news()

    # News ----------------------------------------------------------------------------------------

    def told(
        self, topic: str, id_: int, epoch: str, offset: int, count: int = 0, data: str = ""
    ) -> None:
        """A row of events up to this offset is there; here it is in Base64, or count is 0.

        :raises ValueError: it is not what it says.
        """
        cursor = self.cursors.get(topic)
        if cursor is None:
            return
        if count and offset == cursor.offset + count and epoch == cursor.epoch and not cursor.asked:
            events = unpack(a2b_base64(data), count)
            cursor.id, cursor.known = id_, max(offset, cursor.known)
            self._tell(topic, cursor, offset, events)
            return
        if epoch != cursor.epoch:
            # A new life: the receiver sees that the epoch is another one.
            cursor.epoch, cursor.offset, cursor.known = epoch, 0, 0
        cursor.known = max(cursor.known, offset)
        if cursor.known == cursor.offset:
            return
        cursor.id = id_
        self._dirty.add(topic)
        self._read_news()

    def _read_news(self) -> None:
        if self._reading or not self._dirty:
            return
        self._reading = True
        asked: dict[int, tuple[str, Cursor]] = {}
        for topic in self._dirty:
            cursor = self.cursors.get(topic)
            if cursor is not None and cursor.known > cursor.offset:
                cursor.asked = True
                asked[cursor.id] = (topic, cursor)
        self._dirty.clear()
        if not asked:
            self._reading = False
            return
        offsets = [cursor.offset for _, cursor in asked.values()]
        self._line.tell(
            statements.FOLLOW,
            list(asked),
            offsets,
            done=lambda answer: self._news_read(answer, asked),
            repeat=None,
        )

    def _news_read(self, answer: Answer | None, asked: dict[int, tuple[str, Cursor]]) -> None:
        if answer is None:
            return  # lost: a new connection begins by asking for everything
        self._reading = False
        for _, cursor in asked.values():
            cursor.asked = False
        if isinstance(answer, Refused):
            logger.error("PostgreSQL refuses to give events: %s", answer)
            self._dirty.update(topic for topic, _ in asked.values())
            asyncio.get_running_loop().call_later(1.0, self._read_news)
            return
        known = {topic: cursor.known for topic, cursor in asked.values()}
        self._deliver(answer, asked)
        for topic, cursor in asked.values():
            if self.cursors.get(topic) is not cursor:
                continue
            if cursor.offset >= cursor.known:
                self._dirty.discard(topic)  # what was heard of meanwhile was in the answer, too
            if topic not in self._dirty:
                self._level(topic, cursor, known[topic])
        self._read_news()

    def _deliver(self, answer: PGresult, asked: dict[int, tuple[str, Cursor]]) -> None:
        value = answer.get_value
        current, topic, cursor, epoch, size = b"", "", _NOBODY, "", 0
        for row in range(answer.ntuples):
            field = value(row, 0)
            if field != current:
                current, size = field or b"", 0
                topic, cursor = asked[number(field)]
                epoch = cursor.epoch
            offset, data = number(value(row, 1)), value(row, 3) or b""
            size += len(data) + PAGE_BYTES // PAGE_ROWS
            if size >= PAGE_BYTES:
                self._dirty.add(topic)  # the answer may have been cut
            # A new epoch may have been heard of meanwhile.
            if cursor.epoch == epoch and offset > cursor.offset:
                self._tell(topic, cursor, offset, unpack(data, number(value(row, 2))))

    def _tell(self, topic: str, cursor: Cursor, last: int, events: list[bytes]) -> None:
        """Those of these events that were not told; the last one has offset ``last``."""
        epoch = cursor.epoch
        for offset, data in enumerate(events, last - len(events) + 1):
            # The receiver may unwatch, and watch again.
            if offset <= cursor.offset or self.cursors.get(topic) is not cursor:
                continue
            cursor.offset = offset
            try:
                self._receiver.published(topic, Publication(Position(epoch, offset), data))
            except Exception:
                logger.exception("the receiver failed on an event of %s", topic)

    def _level(self, topic: str, cursor: Cursor, known: int) -> None:
        """All there is was told. What is lacking is gone: the receiver finds out where it can."""
        lacking = cursor.offset < known
        if lacking:
            cursor.offset = known
        if cursor.restored is not None or lacking:
            cursor.restored = None
            self._tell_restored(topic, Position(cursor.epoch, cursor.offset))
        if cursor.known > cursor.offset:
            self._dirty.add(topic)

    def _tell_restored(self, topic: str, position: Position) -> None:
        try:
            self._receiver.restored(topic, position)
        except Exception:
            logger.exception("the receiver failed on the return of %s", topic)


_NOBODY = Cursor(0, "", 0)
