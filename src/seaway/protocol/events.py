"""The one vocabulary between protocol and server: what a peer did, and what we answer.

What lives here: the events, and nothing that acts on them. HTTP/1.1 and HTTP/2 speak these same
events, so that one request stream and one WebSocket stream serve both.
What must not: sockets, asyncio, parsing.

Shapes: every ``headers`` is a list of ``(name, value)`` byte pairs in the order of the wire, names
in lower case (RFC 9110 section 5.1). ``stream`` is the HTTP/2 stream id; HTTP/1.1 counts its
requests from 1.
"""

from __future__ import annotations

import msgspec

Headers = list[tuple[bytes, bytes]]


class Event(msgspec.Struct, frozen=True, gc=False):
    """The root of the vocabulary. Frozen structs: a tenth of a frozen dataclass's cost."""


# What the peer did -------------------------------------------------------------------------------


class RequestReceived(Event, frozen=True):
    """The head of a request is complete (RFC 9110 section 6).

    ``upgrade`` is the protocol asked for by ``Upgrade`` (HTTP/1.1) or ``:protocol`` (HTTP/2), in
    lower case, or ``""``. ``target`` is the request target as sent: origin-form but for
    ``OPTIONS *`` and proxies' absolute-form (RFC 9112 section 3.2).
    """

    stream: int
    method: str
    target: bytes
    headers: Headers
    version: str
    upgrade: str = ""
    expects_continue: bool = False
    ended: bool = False


class DataReceived(Event, frozen=True):
    """A part of a request's body, or, after an upgrade, bytes of the new protocol."""

    stream: int
    data: bytes


class RequestEnded(Event, frozen=True):
    """The request's body is complete; ``trailers`` are the fields that followed it, if any.

    HTTP/1.1 drops trailers, as RFC 9110 section 6.5.1 allows.
    """

    stream: int
    trailers: Headers | None = None


class StreamReset(Event, frozen=True):
    """The peer gave this request up (HTTP/2 RST_STREAM; HTTP/1.1: the connection was lost)."""

    stream: int


class WindowOpened(Event, frozen=True):
    """HTTP/2: the peer takes more bytes of this stream's response, or, for stream 0, of any."""

    stream: int


class StreamEnded(Event, frozen=True):
    """HTTP/2: request and response are complete, and the stream is gone (RFC 9113 section 5.1)."""

    stream: int


class ViolationReceived(Event, frozen=True):
    """The peer broke the protocol: answer ``status`` if an answer is still owed, then close.

    Always the last event of a connection.
    """

    status: int
    reason: str


# What we answer ----------------------------------------------------------------------------------


class InterimResponse(Event, frozen=True):
    """A 1xx response (RFC 9110 section 15.2), 101 excepted."""

    stream: int
    status: int
    headers: Headers


class ResponseStarted(Event, frozen=True):
    """The head of the final response. Status 101 hands the connection to the new protocol."""

    stream: int
    status: int
    headers: Headers


class ResponseData(Event, frozen=True):
    """A part of the response's body; ``ended`` says that it is the last."""

    stream: int
    data: bytes
    ended: bool = False


class ResponseTrailers(Event, frozen=True):
    """The fields after the response's body, which they end (RFC 9110 section 6.5)."""

    stream: int
    headers: Headers


# WebSocket, both ways (RFC 6455) -----------------------------------------------------------------


class Message(Event, frozen=True):
    """A whole data message, reassembled and decompressed: text as str, binary as bytes."""

    data: str | bytes


class Ping(Event, frozen=True):
    """A ping; the peer's is answered with a Pong of the same payload (section 5.5.2)."""

    payload: bytes = b""


class Pong(Event, frozen=True):
    """A pong (section 5.5.3)."""

    payload: bytes = b""


class Close(Event, frozen=True):
    """A close frame (section 5.5.1). 1005 stands for a close frame without a code."""

    code: int = 1005
    reason: str = ""


class MessageViolation(Event, frozen=True):
    """The peer broke RFC 6455 or a limit: close with ``code``. Always the last event."""

    code: int
    reason: str
