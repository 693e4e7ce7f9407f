"""Following topics: what is watched, how far it was told, and reading what is new.

What lives here: `Following`, on the connection that listens. Notifications wake: what is new on all
topics is read in one query, from where each was told last. A small event that comes with its
notification, and is the next one of its topic, needs no query.
What must not: publishing, and who is told in the end.

Why nothing is missed: listening begins before the position of a watch is taken, offsets are in the
order of commits, and a notification comes after its commit; so a reader that was woken for an
offset finds everything up to it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from binascii import a2b_base64
from collections import Counter
from collections.abc import Callable, Sequence

from psycopg.pq.abc import PGresult

from seaway.layers.base import Position, PresenceChange, Publication, Receiver
from seaway.layers.postgres import statements
from seaway.layers.postgres.line import Line, Owner
from seaway.layers.postgres.link import Answer, Refused
from seaway.layers.postgres.values import number, text

logger = logging.getLogger("seaway.layers")

#: NOTIFY channels of each kind; the function ``ear`` in ``sql/life.sql`` has the same number.
EARS = 1024
#: What the function ``follow`` in ``sql/streams.sql`` gives of one topic at most.
PAGE_EVENTS, PAGE_BYTES = 2000, 4 * 1024 * 1024


def ear(namespace: str, kind: str, name: str) -> str:
    """The NOTIFY channel for news of a topic (kind ``t``) or a channel (``q``)."""
    digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return f"{namespace}.{kind}{int(digest[:4], 16) % EARS}"


class _Cursor:
    """How far a topic was told: the number of its row, and its last position."""

    __slots__ = ("asked", "epoch", "id", "known", "offset", "restored")

    def __init__(self, id_: int, epoch: str, offset: int) -> None:
        self.id = id_
        self.epoch = epoch
        self.offset = offset
        #: The latest offset that was heard of.
        self.known = offset
        #: Whether what is new is being read.
        self.asked = False
        #: Where it stood when the connection came back; told once it was told up to there.
        self.restored: Position | None = None


class Following:
    """What this process watches.

    :param namespace: part of the names of NOTIFY channels.
    :param queue_news: told of a channel in which something changed, when it was asked to `hear`.
    :param resumed: told after a new connection: any news may have been missed.
    """

    def __init__(
        self,
        owner: Owner,
        namespace: str,
        receiver: Receiver,
        *,
        queue_news: Callable[[str], None],
        resumed: Callable[[], None],
    ) -> None:
        self._namespace = namespace
        self._receiver = receiver
        self.line = Line(
            owner, "listening", opened=self._opened, notified=self._notified, broken=self._broken
        )
        self._cursors: dict[str, _Cursor] = {}
        self._ears: Counter[str] = Counter()
        self._dirty: set[str] = set()
        self._changed: dict[str, dict[str, None]] = {}
        self._reading = False
        self._asking = False
        self._queue_news = queue_news
        self._resumed = resumed
        #: Notifications that nobody understood.
        self.corrupt = 0

    # Watching ------------------------------------------------------------------------------------

    async def watch(self, topic: str) -> Position:
        """Tell of the topic from the returned position on."""
        self.hear("t", topic)
        found: list[Position] = []

        def answered(answer: Answer | None) -> None:
            # At the moment that the answer is read: a notification may be right behind it.
            if answer is not None and not isinstance(answer, Refused) and answer.ntuples:
                cursor = _cursor(answer, 0)
                self._cursors[topic] = cursor
                found.append(Position(cursor.epoch, cursor.offset))

        try:
            await self.line.ask(statements.WATCH, [topic], heard=answered)
        except BaseException:
            self._cursors.pop(topic, None)
            self.unhear("t", topic)
            raise
        return found[0]

    def unwatch(self, topic: str) -> None:
        """Not watched: nothing."""
        if self._cursors.pop(topic, None) is not None:
            self._dirty.discard(topic)
            self._changed.pop(topic, None)
            self.unhear("t", topic)

    def hear(self, kind: str, name: str) -> None:
        """Listen for news of it from now on; counted."""
        channel = ear(self._namespace, kind, name)
        self._ears[channel] += 1
        if self._ears[channel] == 1:
            self.line.tell(statements.LISTEN, [channel], repeat=None)

    async def heard(self, kind: str, name: str) -> None:
        """Return when what was asked to `hear` is listened to."""
        await self.line.ask(statements.LISTEN, [ear(self._namespace, kind, name)])

    def unhear(self, kind: str, name: str) -> None:
        channel = ear(self._namespace, kind, name)
        self._ears[channel] -= 1
        if self._ears[channel] <= 0:
            del self._ears[channel]
            self.line.tell(statements.UNLISTEN, channel, repeat=None)

    @property
    def topics(self) -> Sequence[str]:
        return list(self._cursors)

    # A new connection ----------------------------------------------------------------------------

    def _broken(self) -> None:
        self._reading = self._asking = False
        for cursor in self._cursors.values():
            cursor.asked = False

    async def _opened(self) -> None:
        """Listen again, and find out what was missed; positions that went back begin anew."""
        if self._ears:
            await self.line.ask(statements.LISTEN, list(self._ears))
        topics = self.topics
        loop = asyncio.get_running_loop()
        loop.call_soon(self._resumed)
        if not topics:
            return
        stands = await self._stands(topics)
        back = [topic for topic in topics if _went_back(self._cursors.get(topic), stands[topic])]
        for topic in back:
            cursor = self._cursors[topic]
            await self.line.ask(statements.WENT_BACK, topic, cursor.epoch, cursor.offset)
        if back:
            stands.update(await self._stands(back))
        # On a later turn, when the line is open.
        loop.call_soon(self._resume, stands)

    async def _stands(self, topics: Sequence[str]) -> dict[str, _Cursor]:
        answer = await self.line.ask(statements.WATCH, topics)
        return {
            text(answer.get_value(row, 0)): _cursor(answer, row) for row in range(answer.ntuples)
        }

    def _resume(self, stands: dict[str, _Cursor]) -> None:
        for topic, stand in stands.items():
            cursor = self._cursors.get(topic)
            if cursor is None:
                continue
            position = Position(stand.epoch, stand.offset)
            if stand.epoch == cursor.epoch and stand.offset > cursor.offset:
                cursor.id, cursor.restored = stand.id, position
                cursor.known = max(cursor.known, stand.offset)
                self._dirty.add(topic)
            elif stand.epoch == cursor.epoch and stand.offset < cursor.offset:
                # An event came with its notification after the question was asked.
                cursor.id = stand.id
                self._tell_restored(topic, Position(cursor.epoch, cursor.offset))
            else:
                self._cursors[topic] = stand
                self._tell_restored(topic, position)
        self._read_news()

    # News ----------------------------------------------------------------------------------------

    def _notified(self, channel: bytes, payload: bytes) -> None:
        try:
            kind, _, rest = payload.decode("ascii").partition(" ")
            if kind == "d":
                id_, epoch, offset, topic, data = rest.split(" ")
                self._event_told(topic, int(id_), epoch, int(offset), data)
            elif kind == "e":
                id_, epoch, offset, topic = rest.split(" ")
                self._event_told(topic, int(id_), epoch, int(offset), None)
            elif kind == "m":
                topic, *members = rest.split(" ")
                if topic in self._cursors:
                    self._changed.setdefault(topic, {}).update(dict.fromkeys(members))
                    self._ask_members()
            elif kind == "q":
                self._queue_news(rest)
            else:
                raise ValueError(kind)
        except ValueError:
            self.corrupt += 1
            if self.corrupt == 1:
                logger.warning(
                    "PostgreSQL: skipped a notification that is not Seaway's channel=%s; further "
                    "ones are only counted",
                    channel.decode("ascii", "replace"),
                )

    def _event_told(self, topic: str, id_: int, epoch: str, offset: int, data: str | None) -> None:
        cursor = self._cursors.get(topic)
        if cursor is None:
            return
        if (
            data is not None
            and offset == cursor.offset + 1
            and epoch == cursor.epoch
            and not cursor.asked
        ):
            cursor.id, cursor.offset, cursor.known = id_, offset, max(offset, cursor.known)
            self._publish(topic, Publication(Position(epoch, offset), a2b_base64(data)))
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
        asked: dict[int, tuple[str, _Cursor]] = {}
        for topic in self._dirty:
            cursor = self._cursors.get(topic)
            if cursor is not None and cursor.known > cursor.offset:
                cursor.asked = True
                asked[cursor.id] = (topic, cursor)
        self._dirty.clear()
        if not asked:
            self._reading = False
            return
        offsets = [cursor.offset for _, cursor in asked.values()]
        self.line.tell(
            statements.FOLLOW,
            list(asked),
            offsets,
            done=lambda answer: self._news_read(answer, asked),
            repeat=None,
        )

    def _news_read(self, answer: Answer | None, asked: dict[int, tuple[str, _Cursor]]) -> None:
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
            if self._cursors.get(topic) is not cursor:
                continue
            if cursor.offset >= cursor.known:
                self._dirty.discard(topic)  # what was heard of meanwhile was in the answer, too
            if topic not in self._dirty:
                self._level(topic, cursor, known[topic])
        self._read_news()

    def _deliver(self, answer: PGresult, asked: dict[int, tuple[str, _Cursor]]) -> None:
        value = answer.get_value
        current, topic, cursor, epoch, wanted, size = b"", "", _NOBODY, "", False, 0
        for row in range(answer.ntuples):
            field = value(row, 0)
            if field != current:
                current, size = field or b"", 0
                topic, cursor = asked[number(field)]
                wanted, epoch = self._cursors.get(topic) is cursor, cursor.epoch
            offset = number(value(row, 1))
            data = value(row, 2) or b""
            size += len(data) + PAGE_BYTES // PAGE_EVENTS
            if size >= PAGE_BYTES:
                self._dirty.add(topic)  # the answer may have been cut
            # The receiver may unwatch, and a new epoch may have been heard of meanwhile.
            if not wanted or cursor.epoch != epoch or offset <= cursor.offset:
                continue
            cursor.offset = offset
            self._publish(topic, Publication(Position(epoch, offset), data))

    def _publish(self, topic: str, publication: Publication) -> None:
        try:
            self._receiver.published(topic, publication)
        except Exception:
            logger.exception("the receiver failed on an event of %s", topic)

    def _level(self, topic: str, cursor: _Cursor, known: int) -> None:
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

    # Presence ------------------------------------------------------------------------------------

    def _ask_members(self) -> None:
        if self._asking or not self._changed:
            return
        self._asking = True
        asked, self._changed = self._changed, {}
        pairs = [(topic, member) for topic, members in asked.items() for member in members]
        self.line.tell(
            statements.PRESENT,
            [topic for topic, _ in pairs],
            [member for _, member in pairs],
            done=lambda answer: self._members_read(answer, asked),
            repeat=None,
        )

    def _members_read(self, answer: Answer | None, asked: dict[str, dict[str, None]]) -> None:
        if answer is None:
            return
        self._asking = False
        if isinstance(answer, Refused):
            logger.error("PostgreSQL refuses to give members: %s", answer)
            return
        entered: dict[str, dict[str, bytes]] = {}
        for row in range(answer.ntuples):
            topic, member = text(answer.get_value(row, 0)), text(answer.get_value(row, 1))
            entered.setdefault(topic, {})[member] = answer.get_value(row, 2) or b""
        for topic, members in asked.items():
            if topic in self._cursors:
                there = entered.get(topic, {})
                gone = [member for member in members if member not in there]
                self._tell_presence(topic, PresenceChange(entered=there, left=gone))
        self._ask_members()

    def _tell_presence(self, topic: str, change: PresenceChange) -> None:
        try:
            self._receiver.presence_changed(topic, change)
        except Exception:
            logger.exception("the receiver failed on a change of presence in %s", topic)


_NOBODY = _Cursor(0, "", 0)


def _cursor(answer: PGresult, row: int) -> _Cursor:
    return _Cursor(
        number(answer.get_value(row, 1)),
        text(answer.get_value(row, 2)),
        number(answer.get_value(row, 3)),
    )


def _went_back(cursor: _Cursor | None, stand: _Cursor) -> bool:
    return cursor is not None and cursor.epoch == stand.epoch and cursor.offset > stand.offset
