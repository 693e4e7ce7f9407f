"""The layer on PostgreSQL: streams, presence and queues of all processes that share a database.

What lives here: `PostgresLayer`: the contract put together from its parts, and the clock by which
they are kept in order. What must not: how any of it is done.

A process has up to three connections: one listens and reads and never waits for a lock, one
publishes, and one, for queues and presence, does the rest. The last two are made when needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import psycopg
from psycopg.pq.abc import PGresult

from seaway.exceptions import LayerUnavailable, SeawayError
from seaway.layers.base import (
    Gap,
    Headcount,
    History,
    Layer,
    Page,
    Position,
    Publication,
    Receiver,
    check_limit,
    check_member,
    check_name,
    check_once,
    check_size,
)
from seaway.layers.postgres import statements
from seaway.layers.postgres.address import Address
from seaway.layers.postgres.following import Following
from seaway.layers.postgres.line import Line
from seaway.layers.postgres.link import Answer, Refused
from seaway.layers.postgres.packs import unpack
from seaway.layers.postgres.pooler import refuse_shared
from seaway.layers.postgres.presence import Presence
from seaway.layers.postgres.publishing import Publishing
from seaway.layers.postgres.queues import PostgresQueues
from seaway.layers.postgres.schema import prepare
from seaway.layers.postgres.troubles import one_line, start_error
from seaway.layers.postgres.values import number, text
from seaway.layers.postgres.waiting import Waiting

logger = logging.getLogger("seaway.layers")

#: Seconds between two turns of the layer's clock, and how many turns there are between two of each.
TICK = 1.0
BEAT_TURNS, TRIM_TURNS, TOUCH_TURNS = 2, 5, 3600
#: Seconds of silence after which a connection that owes an answer is given up.
SILENCE = 10.0


class PostgresLayer(PostgresQueues, Layer):
    """One process's layer on a database.

    :param address: where the database is, and the schema in it.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self.quoted_schema = address.quoted_schema
        self._receiver: Receiver | None = None
        self._lines: tuple[Line, ...] = ()
        self._clock: asyncio.TimerHandle | None = None
        self._turns = 0
        #: A write position of the server: see ``incarnate`` in ``sql/life.sql``.
        self._known = ""
        self._open = False
        self._started = False

    def describe(self) -> str:
        return f"PostgreSQL at {self._address.where}, schema {self._address.schema}"

    # Life ----------------------------------------------------------------------------------------

    async def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._waiting = Waiting(self._check_open)
        self._following = Following(
            self,
            self._address.schema,
            receiver,
            queue_news=self._waiting.news,
            resumed=self._waiting.resumed,
        )
        self._waiting.begin(self._following)
        self._publishing = Publishing(self)
        self._hands = Line(self, "queues")
        self._presence = Presence(self, self._hands, self._following.line, self.lease)
        self._lines = (self._following.line, self._publishing.line, self._hands)
        self.open_queues()
        try:
            async with asyncio.timeout(self.timeout * 2):  # it may have to make the tables
                await self._following.line.start()
        except BaseException as error:
            self._open = False
            if isinstance(error, TimeoutError):
                raise LayerUnavailable(
                    f"PostgreSQL does not answer at {self._address.where}."
                ) from error
            raise
        self._started = True
        self._tick()

    async def close(self) -> None:
        if not self._started:
            return
        self._started = False
        if self._clock is not None:
            self._clock.cancel()
        self.close_queues()
        self._publishing.close()
        with contextlib.suppress(SeawayError):
            await self._presence.end()
        for line in self._lines:
            await line.close()

    def forked(self) -> None:
        self._started = self._open = False
        for line in self._lines:
            line.forked()

    async def connect(self) -> psycopg.AsyncConnection[Any]:
        """Owner: a connection whose tables have been looked after."""
        where = self._address.where
        try:
            connection = await psycopg.AsyncConnection.connect(
                self._address.conninfo, autocommit=True
            )
        except psycopg.Error as error:
            raise start_error(error, where) from None
        try:
            async with asyncio.timeout(self.timeout * 2):
                if not self._started:
                    await refuse_shared(connection, self._address)
                if await prepare(connection, self._address, self._known):
                    self._known = ""
        except psycopg.Error as error:
            connection.pgconn.finish()
            raise LayerUnavailable(f"PostgreSQL at {where} refuses: {one_line(error)}") from None
        except BaseException:
            connection.pgconn.finish()
            raise
        return connection

    # Streams -------------------------------------------------------------------------------------

    async def publish(
        self, topic: str, data: bytes, history: History | None = None, *, once: str = ""
    ) -> Position:
        check_name(topic)
        check_size(data, self.max_data)
        check_once(once)
        self._check_open()
        return await self._publishing.publish(topic, data, history, once)

    async def watch(self, topic: str) -> Position:
        check_name(topic)
        self._check_open()
        return await self._following.watch(topic)

    async def unwatch(self, topic: str) -> None:
        check_name(topic)
        self._check_open()
        self._following.unwatch(topic)

    async def read(self, topic: str, since: Position, limit: int = 100) -> Page | Gap:
        check_name(topic)
        check_limit(limit)
        self._check_open()
        start = min(max(since.offset, -1), 2**62)
        answer = await self._following.line.ask(
            statements.READ, topic, since.epoch, start, min(limit, 10_000)
        )
        value = answer.get_value
        position = Position(text(value(0, 0)), number(value(0, 1)))
        if since.epoch != position.epoch or not 0 <= since.offset <= position.offset:
            return Gap(position)
        publications = _publications(answer, since.offset, limit)
        if not publications and since.offset < position.offset:
            return Gap(position)
        return Page(publications, position)

    async def position(self, topic: str) -> Position:
        check_name(topic)
        self._check_open()
        answer = await self._following.line.ask(statements.READ, topic, "", 0, 1)
        return Position(text(answer.get_value(0, 0)), number(answer.get_value(0, 1)))

    # Presence ------------------------------------------------------------------------------------

    async def enter(self, topic: str, member: str, info: bytes, person: str = "") -> None:
        check_member(topic, member, person)
        check_size(info, self.max_data)
        self._check_open()
        await self._presence.enter(topic, member, info, person)

    async def leave(self, topic: str, member: str) -> None:
        check_member(topic, member)
        self._check_open()
        await self._presence.leave(topic, member)

    async def members(self, topic: str) -> dict[str, bytes]:
        check_name(topic)
        self._check_open()
        return await self._presence.members(topic)

    async def headcount(self, topic: str) -> Headcount:
        check_name(topic)
        self._check_open()
        return await self._presence.headcount(topic)

    # The clock -----------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Keep leases, sweep, trim; a part of it at each turn. Nothing of this is asked again."""
        self._clock = asyncio.get_running_loop().call_later(TICK, self._tick)
        for line in self._lines:
            line.drop_if_silent(SILENCE)
        eyes = self._following.line
        if eyes.link is not None and not eyes.link.pending:
            eyes.tell(statements.WRITTEN, done=self._written, repeat=None)
        hands = self._hands
        if hands.link is None:
            hands.need()
        elif not hands.link.pending:
            hands.tell(statements.SWEEP, self.lease / 2, repeat=None)
            self._tidy(hands)
        self._turns += 1

    def _tidy(self, hands: Line) -> None:
        turns = self._turns
        if turns % BEAT_TURNS == 0:
            self._presence.beat()
        if turns % TRIM_TURNS == 0:
            published = list(self._publishing.published_on())
            if published:
                hands.tell(statements.TRIM, published, repeat=None)
            hands.tell(statements.WALK, repeat=None)
        if turns % TOUCH_TURNS == TOUCH_TURNS - 1 and self._following.topics:
            hands.tell(statements.TOUCH, self._following.topics, repeat=None)

    def _written(self, answer: Answer | None) -> None:
        if answer is not None and not isinstance(answer, Refused):
            self._known = text(answer.get_value(0, 0))


def _publications(answer: PGresult, since: int, limit: int) -> list[Publication]:
    """The events after an offset of what ``read`` answered; what follows a hole is not given."""
    value = answer.get_value
    epoch, first = text(value(0, 0)), number(value(0, 2))
    found: list[Publication] = []
    expected = since + 1
    if expected < first:
        return found
    for row in range(answer.ntuples):
        count = number(value(row, 4))
        offset = number(value(row, 3)) - count + 1
        if count == 0 or offset > expected:
            break
        for data in unpack(value(row, 5) or b"", count)[expected - offset :]:
            if len(found) == limit:
                return found
            found.append(Publication(Position(epoch, expected), data))
            expected += 1
    return found
