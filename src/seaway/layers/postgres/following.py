"""Following topics: what is watched and listened to, and where it stands after an outage.

What lives here: `Following`, on the connection that listens; it hands on what it hears of events to
`news`, of members to `presence_news`, of queues to their owner.
What must not: publishing, and who is told in the end.

Why nothing is missed: listening begins before the position of a watch is taken, offsets are in the
order of commits, and a notification comes after its commit; so a reader that was woken for an
offset finds everything up to it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence

from seaway.layers.base import Position, Receiver
from seaway.layers.postgres import statements
from seaway.layers.postgres.cursors import Cursor, cursor_of
from seaway.layers.postgres.line import Line, Owner
from seaway.layers.postgres.link import Answer, Refused
from seaway.layers.postgres.news import News
from seaway.layers.postgres.presence_news import PresenceNews
from seaway.layers.postgres.values import text

logger = logging.getLogger("seaway.layers")

#: NOTIFY channels of each kind; the function ``ear`` in ``sql/life.sql`` has the same number.
EARS = 1024


def ear(namespace: str, kind: str, name: str) -> str:
    """The NOTIFY channel for news of a topic (kind ``t``) or a channel (``q``)."""
    digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return f"{namespace}.{kind}{int(digest[:4], 16) % EARS}"


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
        self.line = Line(
            owner, "listening", opened=self._opened, notified=self._notified, broken=self._broken
        )
        self._news = News(self.line, receiver)
        self._cursors = self._news.cursors
        self._presence = PresenceNews(self.line, receiver, self._cursors)
        self._ears: Counter[str] = Counter()
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
                cursor = cursor_of(answer, 0)
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
        if topic in self._cursors:
            self._news.forget(topic)
            self._presence.forget(topic)
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
        self._news.broken()
        self._presence.broken()

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
        back = [
            topic
            for topic, stand in stands.items()
            if topic in self._cursors and self._cursors[topic].went_back(stand)
        ]
        for topic in back:
            cursor = self._cursors[topic]
            await self.line.ask(statements.WENT_BACK, topic, cursor.epoch, cursor.offset)
        if back:
            stands.update(await self._stands(back))
        # On a later turn, when the line is open.
        loop.call_soon(self._news.resume, stands)

    async def _stands(self, topics: Sequence[str]) -> dict[str, Cursor]:
        answer = await self.line.ask(statements.WATCH, topics)
        return {
            text(answer.get_value(row, 0)): cursor_of(answer, row) for row in range(answer.ntuples)
        }

    # News ----------------------------------------------------------------------------------------

    def _notified(self, channel: bytes, payload: bytes) -> None:
        try:
            kind, _, rest = payload.decode("ascii").partition(" ")
            if kind == "d":
                id_, epoch, offset, topic, count, data = rest.split(" ")
                self._news.told(topic, int(id_), epoch, int(offset), int(count), data)
            elif kind == "e":
                id_, epoch, offset, topic = rest.split(" ")
                self._news.told(topic, int(id_), epoch, int(offset))
            elif kind == "m":
                topic, *members = rest.split(" ")
                self._presence.heard(topic, members)
            elif kind == "q":
                self._queue_news(rest)
            else:
                raise ValueError(kind)
        except ValueError:
            self._stranger(channel)

    def _stranger(self, channel: bytes) -> None:
        self.corrupt += 1
        if self.corrupt == 1:
            logger.warning(
                "PostgreSQL: skipped a notification that is not Seaway's channel=%s; further "
                "ones are only counted",
                channel.decode("ascii", "replace"),
            )
