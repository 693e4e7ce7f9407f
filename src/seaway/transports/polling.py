"""Topics over long polling: messages wait in numbered batches until the client asks.

What lives here: the sink of a polling connection, its batches, and the POST that asks for them.
What must not: the wire protocol of the messages (dialects); how other processes are reached.

A response may be lost, and nobody tells us: so a batch is kept until a poll acknowledges it, and
given again to a poll that does not.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec

from seaway.auth import Visitor
from seaway.connections.connection import Connection
from seaway.dialects.seaway import DIALECT
from seaway.exceptions import CloseCode
from seaway.server.handoff import Handler
from seaway.transports.backlog import Backlog
from seaway.transports.http import (
    Refusal,
    Scope,
    check_method,
    check_origin,
    cross_origin,
    decode_body,
    read_body,
    respond,
    while_connected,
)
from seaway.transports.relay import Receive, Send, line_frame
from seaway.transports.sessions import Answer, Session, Sessions, Taken, Upload
from seaway.transports.sse import MAX_BODY, check_open, gone, ticket_of

#: Seconds within which a new client polls for the first time: it has no reason to wait.
FIRST_POLL_SECONDS = 10.0


class PollSink(Backlog):
    """What waits for a polling client.

    :param handler: told when the client has caught up, and when the connection has ended.
    :ivar number: of the last batch that was made; 0 before the first.
    :ivar polled: whether a poll is waiting now.
    """

    __slots__ = ("_batch", "_poller", "number")

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler, line_frame)
        self.number = 0
        #: The lines of the batch that no poll has acknowledged.
        self._batch = b""
        self._poller: asyncio.Future[bool] | None = None

    @property
    def polled(self) -> bool:
        return self._poller is not None

    # Sink ----------------------------------------------------------------------------------------

    def _rouse(self) -> None:
        self._wake(first=True)

    def close(self, code: int, reason: str = "") -> None:
        if self.end is None:
            self._finish(code, reason)
            # Not from inside the call: closing may be the answer to a message in hand.
            asyncio.get_running_loop().call_soon(self._handler.on_close, int(code), reason)

    def pause_reading(self) -> None:
        """`Connection.busy` tells; nothing is read here."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""

    # Polls ---------------------------------------------------------------------------------------

    async def poll(self, ack: int, seconds: float) -> bytes | None:
        """The batch after ``ack``: ``{"batch":NUMBER,"messages":[...]`` without the last brace.

        Waits up to ``seconds`` for messages; without any the answer is empty and has the number of
        the batch before. A poll that another one overtakes is answered like that at once. None:
        no batch ``ack`` was ever made, or the one after it is not the last.
        """
        self._wake(first=False)
        if ack == self.number:
            self._acknowledge()
        elif not (self._batch and ack == self.number - 1):
            # An old poll that was repeated on its way: its answer went out long ago.
            return self._answer(b"") if 0 <= ack < self.number else None
        if not (self._batch or self._waiting or self.end) and not await self._messages(seconds):
            return self._answer(b"")
        if not self._batch and self._waiting:
            self._batch = b"".join(self._waiting)
            self._waiting.clear()
            self.number += 1
        return self._answer(self._batch)

    def _acknowledge(self) -> None:
        batch, self._batch = self._batch, b""
        self._taken(len(batch))

    async def _messages(self, seconds: float) -> bool:
        """Whether there are messages within that time, and this is still the poll to give them."""
        loop = asyncio.get_running_loop()
        poller: asyncio.Future[bool] = loop.create_future()
        self._poller = poller
        timer = loop.call_later(seconds, self._wake_one, poller, False)
        try:
            return await poller
        finally:
            timer.cancel()
            if self._poller is poller:
                self._poller = None

    def _wake(self, *, first: bool) -> None:
        if self._poller is not None:
            self._wake_one(self._poller, first)

    def _wake_one(self, poller: asyncio.Future[bool], first: bool) -> None:
        if not poller.done():
            poller.set_result(first)

    def _answer(self, batch: bytes) -> bytes:
        # Framed by a line feed each, the last one too.
        messages = batch[:-1].replace(b"\n", b",")
        return b'{"batch":%d,"messages":[%b]%b' % (self.number, messages, self._last_words())

    def _last_words(self) -> bytes:
        if self.end is None or self._waiting:
            return b""
        code, reason = self.end
        return b',"close":' + msgspec.json.encode({"code": code, "reason": reason})


class PollSession(Session):
    """A connection that is polled. Nobody polling it is how one knows that its client has gone."""

    __slots__ = ()

    sink: PollSink

    def __init__(self, sessions: Sessions, connection: Connection) -> None:
        super().__init__(sessions, connection)
        self.sink = PollSink(self)
        self.due = sessions.now() + FIRST_POLL_SECONDS
        connection.start(self.sink)
        sessions.add(self)

    async def poll(self, ack: int) -> bytes | None:
        try:
            return await self.sink.poll(ack, self.sessions.quiet_seconds)
        finally:
            if ack:
                self._expect()

    def tick(self, now: float) -> None:
        if self.sink.polled:
            self._expect()
        else:
            self.sink.close(CloseCode.ABNORMAL, "not polled any more")
            self.sessions.forget(self)

    def on_close(self, code: int, reason: str) -> None:
        """The session stays in the table until its client has had the time to ask why."""
        self.connection.on_close(code, reason)

    def _expect(self) -> None:
        """The next poll within twice the time that one waits."""
        self.due = self.sessions.now() + 2 * self.sessions.quiet_seconds


class _Poll(msgspec.Struct, frozen=True):
    ticket: str = ""
    ack: Annotated[int, msgspec.Meta(ge=0)] = 0
    number: Annotated[int, msgspec.Meta(ge=1)] | None = None
    messages: list[msgspec.Raw] = []


_poll = msgspec.json.Decoder(_Poll)


async def serve_poll(sessions: Sessions, scope: Scope, receive: Receive, send: Send) -> None:
    """``POST poll``: a new connection without a ticket, else the next batch of one."""
    check_method(scope, "POST")
    check_origin(scope)
    body = decode_body(await read_body(receive, MAX_BODY), _poll)
    if body.ticket:
        meant = ticket_of(scope, body.ticket)
        question = sessions.ask(meant, _upload(body), body.ack)
        answer = await while_connected(receive, question)
        ticket = meant.sign()
    else:
        check_open(sessions)
        await sessions.mailbox.open()
        visitor = Visitor.from_scope(scope)
        session = PollSession(sessions, Connection(sessions.registry, visitor, DIALECT))
        answer = Answer(Taken.YES, 0, await session.poll(0) or b"")
        ticket = session.ticket
    if answer.taken is Taken.GONE:
        raise gone()
    last = b',"taken":%d,"ticket":"%b"}' % (answer.number, ticket.encode())
    await respond(send, 200, answer.batch + last, cross_origin(scope))


def _upload(body: _Poll) -> Upload | None:
    if not body.messages:
        return None
    if body.number is None:
        raise Refusal(400, "invalid_request", "Messages need a number: the place of their POST.")
    return Upload(body.number, [bytes(message) for message in body.messages])
