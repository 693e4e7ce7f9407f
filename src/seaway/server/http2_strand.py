"""One HTTP/2 stream on the server: what a request stream or a WebSocket has for a connection.

What lives here: `Strand`, the carrier of one request, and how long it waits for its client.
What must not: frames, the socket and what all streams share (`http2_connection`), the bytes of a
WebSocket (`http2_tunnel`), ASGI.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO

from seaway.protocol.events import (
    Headers,
    InterimResponse,
    RequestReceived,
    ResponseData,
    ResponseStarted,
    ResponseTrailers,
)
from seaway.protocol.headers import value_of
from seaway.protocol.http2 import CANCEL, INTERNAL_ERROR
from seaway.server.carrier import Stream
from seaway.server.context import BODY_STEP
from seaway.server.flow import Gate
from seaway.server.http2_tunnel import Tunnel
from seaway.server.replies import Header, plain_response

if TYPE_CHECKING:
    from seaway.server.http2_connection import MultiplexedConnection


#: Seconds for which the rest of a body is dropped that was not needed for the answer; then the
#: stream is reset.
DISCARD_SECONDS = 2.0


class Strand:
    """One stream's way through a connection (see `seaway.server.carrier.Carrier`)."""

    __slots__ = (
        "_request",
        "awaited",
        "client",
        "connection",
        "context",
        "extensions",
        "gate",
        "gone",
        "number",
        "progressed",
        "refusal",
        "secure",
        "server",
        "since",
        "stream",
        "touched",
        "tunnel",
        "waiting",
        "writable",
    )

    stream: Stream
    #: Other streams share the connection.
    stream_body = None

    def __init__(self, connection: MultiplexedConnection, request: RequestReceived) -> None:
        self.connection = connection
        self.context = connection.context
        self.client = connection.client
        self.server = connection.server
        self.secure = connection.secure
        self.number = request.stream
        self.extensions = connection.extensions
        if self.number & 1 and connection.http.may_push:
            self.extensions = {**self.extensions, "http.response.push": {}}
        self._request = request
        self.writable = True
        self.gate = Gate()
        #: Whether the stream is over; calls about it do nothing.
        self.gone = False
        #: When the client last sent a part of the request; by the coarse clock, as all times here.
        self.touched = self.context.now
        #: When enough of the body had come last, and how much more is enough.
        self.progressed = self.context.now
        self.awaited = BODY_STEP
        #: While not writable: unsent bytes when the client was last seen to take some, and when.
        self.waiting = 0
        self.since = 0.0
        #: What to answer in the application's place, or 0.
        self.refusal = 0
        #: Where bytes of another protocol go, if the request asked for one.
        self.tunnel = Tunnel(self) if request.upgrade else None

    # From the stream -----------------------------------------------------------------------------

    def answer(self, stream: int, status: int, headers: Headers, data: bytes, ended: bool) -> int:
        size = self.connection.http.answer(stream, status, headers, data, ended)
        self.flush()
        return size

    def send(
        self, event: InterimResponse | ResponseStarted | ResponseData | ResponseTrailers
    ) -> int:
        size = self.connection.http.send(event)
        self.flush()
        return size

    def flush(self) -> None:
        """See to it that what was queued gets on its way, and that nobody queues too much."""
        connection = self.connection
        connection.flush_soon()
        size = connection.http.queued(self.number)
        if size > self.context.config.write_buffer and self.writable and not self.gone:
            self.waiting, self.since = size, self.context.now
            self.writable = False
            connection.full[self.number] = self
            if self.tunnel is not None and self.tunnel.protocol is not None:
                self.tunnel.protocol.pause_writing()

    def flushed(self) -> None:
        """Nothing is queued any more."""
        self.writable = True
        self.gate.open()
        if self.tunnel is not None and self.tunnel.protocol is not None and not self.gone:
            self.tunnel.protocol.resume_writing()

    def respond(
        self, stream: int, status: int, reason: str = "", headers: Iterable[Header] = ()
    ) -> None:
        fields, body = plain_response(self.context.default_headers, status, reason, headers)
        self.answer(stream, status, fields, body, True)

    def response_ended(self, stream: Stream) -> None:
        # A body that still comes is dropped, for a while: its end may be on the way already.
        self.touched = self.context.now
        if self._request.upgrade:
            self.close()

    def response_failed(self, stream: Stream, *, started: bool) -> None:
        if self.gone:
            self.connection.forgotten()
        elif started:
            self.connection.http.reset(self.number, INTERNAL_ERROR)
            self.connection.flush_soon()
        else:
            self.respond(self.number, self.refusal or 500)
            self.close()

    def took(self, size: int) -> None:
        self.connection.http.acknowledge(self.number, size)
        self.connection.flush_soon()

    def close(self, *, linger: bool = True) -> None:
        if not self.gone:
            self.connection.cut(self.number)

    def copies_files(self, size: int) -> bool:
        return False

    async def copy_file(self, file: BinaryIO, size: int) -> int:
        raise NotImplementedError  # `copies_files` says so: DATA frames are made here

    def push(self, path: bytes, headers: list[Header]) -> None:
        authority = value_of(self._request.headers, b"host") or b""
        self.connection.push(self.number, authority, path, headers)

    def accept(self, event: ResponseStarted) -> asyncio.Transport:
        self.connection.http.send(event)
        self.connection.flush_soon()
        assert self.tunnel is not None  # noqa: S101 - for the type checker: the protocol says so
        return self.tunnel

    def hand_over(self, protocol: asyncio.Protocol) -> bytes:
        assert self.tunnel is not None  # noqa: S101 - for the type checker: see `accept`
        self.tunnel.protocol = protocol
        self.connection.tunnels(protocol)
        if self.gone:
            self.tunnel.lose()
        return self.tunnel.early()

    # From the connection -------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        self.touched = now = self.context.now
        self.awaited -= len(data)
        if self.awaited <= 0:
            self.awaited, self.progressed = BODY_STEP, now
        (self.tunnel or self.stream).feed(data)

    def end(self) -> None:
        (self.tunnel or self.stream).end()

    def lost(self) -> None:
        """The stream is over."""
        self.gone = True
        self.writable = True
        if self.tunnel is not None and self.tunnel.protocol is not None:
            self.tunnel.lose()
        else:
            self.stream.lost()
        self.gate.open()

    def check(self, now: float) -> None:
        """Give the stream up if its client neither sends nor takes anything."""
        if not self.writable:
            size = self.connection.http.queued(self.number)
            if size < self.waiting:
                self.waiting, self.since = size, now
            elif now - self.since >= self.context.config.idle_timeout:
                self.connection.http.reset(self.number, CANCEL)
        elif self.tunnel is not None:
            if self.tunnel.is_closing() and now - self.touched >= DISCARD_SECONDS:
                self.connection.cut(self.number)
        elif not self.stream.ended:
            self._check_body(now)

    def _check_body(self, now: float) -> None:
        if self.stream.answered:
            if now - self.touched >= DISCARD_SECONDS:
                self.connection.cut(self.number)
        elif self.stream.full or self.stream.holds_back:
            self.progressed = now
        elif now - self.progressed >= self.context.config.body_timeout and not self.refusal:
            self.refusal = 408
            self.stream.disconnect()
