"""The connections of this process whose clients send by POST, and how any process reaches them.

What lives here: `Session`, one such connection with the count of what its client has sent;
`Sessions`, the table of them, its one timer, and the questions that other processes ask about them.
What must not: HTTP, and how messages go down (`sse`, `polling`).

A connection lives in the one process where it was opened. A POST may arrive at any other: its
ticket says where to ask, and the mailboxes carry question and answer. Whatever is lost on the way,
the client learns that its connection is gone, opens another and resumes from its own positions.
"""

from __future__ import annotations

import asyncio
import enum
import logging

import msgspec

from seaway.connections.connection import Connection
from seaway.connections.registry import ConnectionRegistry
from seaway.exceptions import CloseCode
from seaway.server.handoff import Sink
from seaway.transports.mailbox import Mailbox, NoAnswer
from seaway.transports.ticket import Ticket, holder_of

logger = logging.getLogger("seaway.transports")

#: Connections of one process that may wait to be polled or read: unlike a socket, one costs a
#: stranger no more than a request.
MOST_SESSIONS = 10_000
#: Seconds between two looks at what is due.
_TICK = 1.0
#: The part of ``PING_SECONDS`` after which a silent server says something: before its client, who
#: would ask after the whole, has a reason to.
_BEFORE_PING = 0.8


class Taken(enum.Enum):
    """What became of the messages of a POST."""

    YES = "taken, now or before"
    BUSY = "not taken: the connection owes too many answers; the same POST may come again"
    GONE = "not taken: no such connection any more, or a POST before this one is missing"


class Upload(msgspec.Struct, frozen=True, array_like=True):
    """The messages of one POST, and its place among the client's POSTs, from 1.

    A POST that is repeated (by a proxy, a browser, a client that got no answer) has the same
    number, so that its messages take effect once. ``close``: the client goes.
    """

    number: int
    messages: list[bytes]
    close: bool = False


class Question(msgspec.Struct, frozen=True, array_like=True):
    """What is asked of the process in which a connection lives: to take messages, to give the batch
    that follows the last one that arrived, or both."""

    connection: str
    upload: Upload | None = None
    ack: int | None = None


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """``batch``, for a poll, is JSON without its last brace; ``number``: how many POSTs of this
    client have been taken."""

    taken: Taken
    number: int = 0
    batch: bytes = b""


class Session:
    """A connection without a way up of its own; the `seaway.server.handoff.Handler` of its sink.

    :ivar taken: how many POSTs of the client have been taken.
    :ivar due: when `tick` wants to be called, by the loop's clock.
    """

    __slots__ = ("connection", "due", "holder", "sessions", "sink", "taken")

    sink: Sink

    def __init__(self, sessions: Sessions, connection: Connection) -> None:
        self.sessions = sessions
        self.connection = connection
        self.holder = holder_of(connection.visitor)
        self.taken = 0
        self.due = 0.0

    @property
    def ticket(self) -> str:
        """A fresh one."""
        return Ticket(self.connection.id, self.sessions.mailbox.address, self.holder).sign()

    def take(self, upload: Upload) -> Taken:
        """Hand the messages of one POST over, once and in order."""
        connection = self.connection
        if connection.closed:
            return Taken.GONE
        if upload.number <= self.taken:
            return Taken.YES
        if upload.number != self.taken + 1:
            return Taken.GONE
        if connection.busy:
            return Taken.BUSY
        self.taken += 1
        try:
            for message in upload.messages:
                connection.on_message(message)
            if upload.close:
                self.sink.close(CloseCode.GOING_AWAY, "the client goes")
        except Exception:
            logger.exception("a message could not be handled")
            self.sink.close(CloseCode.INTERNAL_ERROR)
        return Taken.YES

    async def poll(self, ack: int) -> bytes | None:
        """The batch after ``ack``, as JSON without its last brace, as soon as there is one.

        None: there is no such batch, or this is not a connection that is polled.
        """
        return None

    def tick(self, now: float) -> None:
        """``due`` has come: write what keeps the connection alive, or end it; and set ``due``."""
        raise NotImplementedError

    # Handler -------------------------------------------------------------------------------------

    def on_message(self, data: str | bytes) -> None:
        """A client that sends by POST has no other way."""

    def on_writable(self) -> None:
        self.connection.on_writable()

    def on_close(self, code: int, reason: str) -> None:
        self.sessions.forget(self)
        self.connection.on_close(code, reason)


_encode = msgspec.msgpack.Encoder().encode
_question = msgspec.msgpack.Decoder(Question).decode
_answer = msgspec.msgpack.Decoder(Answer).decode
_GONE = Answer(Taken.GONE)


class Sessions:
    """All of one process, on its layer's event loop."""

    def __init__(self, registry: ConnectionRegistry) -> None:
        self.registry = registry
        self.mailbox = Mailbox(registry.hub, self._answer)
        self.draining = False
        self._loop = asyncio.get_running_loop()
        self._table: dict[str, Session] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def quiet_seconds(self) -> float:
        """How long nothing at all may go down a connection; also how long a poll waits."""
        return self.registry.limits.ping_seconds * _BEFORE_PING

    @property
    def full(self) -> bool:
        """Whether no more can be taken in."""
        return len(self._table) >= MOST_SESSIONS

    def now(self) -> float:
        return self._loop.time()

    def add(self, session: Session) -> None:
        """From now on the session is found, and its `tick` called."""
        self._table[session.connection.id] = session
        if self._timer is None:
            self._timer = self._loop.call_later(_TICK, self._sweep)

    def forget(self, session: Session) -> None:
        self._table.pop(session.connection.id, None)

    async def ask(self, ticket: Ticket, upload: Upload | None, ack: int | None = None) -> Answer:
        """Reach a connection wherever it lives. Raises `LayerError`."""
        question = Question(ticket.connection, upload, ack)
        if ticket.address == self.mailbox.address:
            return await self._do(question)
        try:
            return _answer(await self.mailbox.ask(ticket.address, _encode(question)))
        except NoAnswer:
            return _GONE

    async def _answer(self, question: bytes) -> bytes:
        return _encode(await self._do(_question(question)))

    async def _do(self, question: Question) -> Answer:
        session = self._table.get(question.connection)
        if session is None:
            return _GONE
        taken, batch = Taken.YES, b""
        if question.upload is not None:
            taken = session.take(question.upload)
        if question.ack is not None and taken is not Taken.GONE:
            found = await session.poll(question.ack)
            if found is None:
                return _GONE
            batch = found
        return Answer(taken, session.taken, batch)

    def _sweep(self) -> None:
        """The one timer of all these connections."""
        now = self.now()
        for session in [each for each in self._table.values() if each.due <= now]:
            try:
                session.tick(now)
            except Exception:
                logger.exception("a connection could not be kept alive")
                session.sink.close(CloseCode.INTERNAL_ERROR)
        self._timer = self._loop.call_later(_TICK, self._sweep) if self._table else None

    def drain(self) -> None:
        """The server is going: tell everybody to come back. New ones are refused."""
        self.draining = True
        for session in list(self._table.values()):
            session.sink.close(CloseCode.SERVICE_RESTART, "service restart")

    async def end(self) -> None:
        """The last call."""
        self.drain()
        if self._timer is not None:
            self._timer.cancel()
        await self.mailbox.end()
