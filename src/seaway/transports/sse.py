"""Topics over Server-Sent Events: messages down a stream, up by POST.

What lives here: the stream, its tickets and its heartbeat, and the POST for what clients send.
What must not: the wire protocol of the messages (dialects), their framing (`seaway.protocol.sse`).
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from seaway.auth import Visitor
from seaway.connections.connection import Connection
from seaway.dialects.seaway import DIALECT
from seaway.protocol import sse
from seaway.server.handoff import Sink
from seaway.transports.http import (
    Refusal,
    Scope,
    check_method,
    check_origin,
    cross_origin,
    decode_body,
    read_body,
    respond,
)
from seaway.transports.relay import Receive, Send
from seaway.transports.sessions import Session, Sessions, Taken, Upload
from seaway.transports.stream import open_stream
from seaway.transports.ticket import RENEW_SECONDS, Ticket, TicketRefused, check_ticket

#: Bytes of a POST's body: as many as a WebSocket message may have by default, and an envelope.
MAX_BODY = 1024 * 1024 + 4096


class StreamSession(Session):
    """A connection whose messages go down an event stream."""

    __slots__ = ("_renewal",)

    def start(self, sink: Sink) -> None:
        """The stream is open: the ticket first, so that whoever has the welcome can send."""
        self.sink = sink
        self._renew(self.sessions.now())
        self.connection.start(sink)
        self.sessions.add(self)

    def tick(self, now: float) -> None:
        if now >= self._renewal:
            self._renew(now)
        else:
            self.due = now + self.sessions.quiet_seconds
            self.sink.write(self.sink.framing(b""))

    def _renew(self, now: float) -> None:
        self._renewal = now + RENEW_SECONDS
        self.due = now + self.sessions.quiet_seconds
        self.sink.write(self.sink.framing(_TICKET + self.ticket.encode()))


#: Marks a message that is the transport's own; no dialect's message starts with NUL.
_TICKET = b"\0ticket\0"
_CLOSE = b"\0close\0"


def frame(message: bytes) -> bytes:
    """A dialect's message as an event without a name; ours by their marks; nothing as a comment."""
    if not message:
        return sse.COMMENT
    if message[0] == 0:
        name, _, data = message[1:].partition(b"\0")
        return sse.event(data, name=name)
    return sse.frame(message)


def farewell(code: int, reason: str) -> bytes:
    """The last event of a stream."""
    return frame(_CLOSE + msgspec.json.encode({"code": int(code), "reason": reason}))


async def serve_stream(sessions: Sessions, scope: Scope, receive: Receive, send: Send) -> None:
    """``GET sse``: a connection."""
    check_method(scope, "GET")
    check_origin(scope)
    check_open(sessions)
    await sessions.mailbox.open()
    connection = Connection(sessions.registry, Visitor.from_scope(scope), DIALECT)
    session = StreamSession(sessions, connection)
    await open_stream(
        scope, receive, send, session, frame, farewell, session.start, cross_origin(scope)
    )


class _Send(msgspec.Struct, frozen=True):
    ticket: str
    number: Annotated[int, msgspec.Meta(ge=1)]
    messages: list[msgspec.Raw]
    close: bool = False


_send = msgspec.json.Decoder(_Send)


async def serve_send(sessions: Sessions, scope: Scope, receive: Receive, send: Send) -> None:
    """``POST send``: messages of a client whose connection may live in any process."""
    check_method(scope, "POST")
    check_origin(scope)
    body = decode_body(await read_body(receive, MAX_BODY), _send)
    ticket = ticket_of(scope, body.ticket)
    upload = Upload(body.number, [bytes(message) for message in body.messages], body.close)
    answer = await sessions.ask(ticket, upload)
    if answer.taken is Taken.BUSY:
        words = "This connection has too many unanswered requests: send the same again soon."
        raise Refusal(429, "busy", words, headers=[(b"retry-after", b"1")])
    if answer.taken is Taken.GONE:
        raise gone()
    await respond(send, 204, headers=cross_origin(scope))


def ticket_of(scope: Scope, text: str) -> Ticket:
    """The ticket of a POST. Raises `Refusal` (403)."""
    try:
        return check_ticket(text, Visitor.from_scope(scope))
    except TicketRefused as error:
        raise Refusal(403, "ticket_refused", str(error)) from None


def gone() -> Refusal:
    """410: the client connects anew and resumes."""
    return Refusal(410, "gone", "This connection is no more: connect anew and resume.")


def check_open(sessions: Sessions) -> None:
    """Raises `Refusal` (503) while the server goes, or is full: another process may take the
    client."""
    if sessions.draining:
        again = [(b"retry-after", b"1"), (b"connection", b"close")]
        raise Refusal(503, "restarting", "This process is about to end: try again.", headers=again)
    if sessions.full:
        later = [(b"retry-after", b"10")]
        words = "This process has as many connections as it can take: try again later."
        raise Refusal(503, "overloaded", words, headers=later)
