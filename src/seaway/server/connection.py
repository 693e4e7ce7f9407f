"""One HTTP/1.1 connection: bytes to events, events to request streams, in their order.

What lives here: pipelining, deadlines, and what is done about violations and failures.
What must not: the socket (`socket_end`), what is sent (`http1_carrier`), ASGI (`http_stream`,
`websocket_stream`), parsing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from seaway.protocol.events import (
    DataReceived,
    Event,
    RequestEnded,
    RequestReceived,
    StreamReset,
    ViolationReceived,
)
from seaway.protocol.http1 import Http1Connection
from seaway.protocol.http2 import PREFACE, wrong_preface
from seaway.server.carrier import Stream
from seaway.server.context import BODY_STEP, NEVER, Context
from seaway.server.http1_carrier import Http1Carrier
from seaway.server.http2_connection import MultiplexedConnection
from seaway.server.http_stream import HttpStream
from seaway.server.replies import REQUEST_TIMEOUT
from seaway.server.websocket_stream import WebSocketStream

#: Seconds of silence after which a draining server closes a kept-alive connection: a client in
#: the middle of a series of requests sends its next one within it, and is told to go with that.
_DRAIN_SILENCE = 1.0
#: The same when another worker has taken this one's place: nobody waits for this one's end, and a
#: client that is told to go with an answer cannot send a request into a closing connection.
_REPLACED_SILENCE = 5.0


class HttpConnection(Http1Carrier):
    """The server's end of one connection that speaks HTTP/1.1."""

    __slots__ = (
        "_awaited",
        "_body_due",
        "_fresh",
        "_head_seen",
        "_queue",
        "_touched",
        "_violation",
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.http = Http1Connection(context.http_limits)
        self.current = None
        #: Streams behind the current one.
        self._queue: deque[Stream] | None = None
        self._incoming = None
        self._head_seen = False
        #: When so many bytes more of the body that arrives have to be there.
        self._body_due = NEVER
        self._awaited = 0
        #: What has come while it can still be the preface of HTTP/2; None once that is settled.
        self._fresh: bytes | None = b"" if context.config.http2 else None
        self._touched = context.now
        self._violation: ViolationReceived | None = None

    # From the transport --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.encrypted and not self.closing:
            self._fresh = None
            if transport.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
                MultiplexedConnection(self.context).adopt(self)

    def _is_http2(self, data: bytes) -> bool:
        """Whether ``data`` is not for us: the preface of HTTP/2 (RFC 9113 section 3.3), of which
        three bytes are enough to tell, or as yet too little to tell.

        HTTP/2 also answers a wrong preface: words that are no request line of any HTTP/1.
        """
        if self._fresh:
            data = self._fresh + data
        self._fresh = None
        if data[:3] == PREFACE[:3] or wrong_preface(data):
            MultiplexedConnection(self.context).adopt(self, data)
            return True
        if len(data) < 3 and PREFACE.startswith(data):
            self._fresh = data
            return True
        return False

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        if self._fresh is not None:
            early = self._fresh
            if self._is_http2(data):
                return
            data = early + data
        for event in self.http.receive(data):
            _ON_EVENT[type(event)](self, event)
        if self.closing:
            return
        self._touched = self.context.now
        incoming = self._incoming
        if incoming is not None and incoming.ended and incoming is self.current:
            # The common case: one whole request, and now it is the application's turn.
            if self.writable:
                self.deadline = NEVER
        else:
            self.set_deadline()
            self.update_reading()

    def eof_received(self) -> bool:
        if self.closing:
            return False
        for event in self.http.receive_eof():
            _ON_EVENT[type(event)](self, event)
        if self.current is None or self.closing:
            return False
        # A closed browser tab looks like this as well: the application is told that the client
        # has gone, but what it still sends may have a reader. TLS cannot be half closed.
        self.current.disconnect()
        return not self.encrypted

    def connection_lost(self, exc: Exception | None) -> None:
        self._queue = None
        if self.current is not None:
            self.current.lost()
        super().connection_lost(exc)

    # Events --------------------------------------------------------------------------------------

    def _on_request(self, event: RequestReceived) -> None:
        make = WebSocketStream if event.upgrade == "websocket" else HttpStream
        stream: Stream = make(self, event)
        self._incoming = stream
        self._head_seen = False
        if not event.ended:
            self._time_body()
        if self.current is None:
            self.current = stream
            stream.start()
        elif self._queue is None:
            self._queue = deque((stream,))
        else:
            self._queue.append(stream)

    def _time_body(self) -> None:
        self._awaited = BODY_STEP
        self._body_due = self.context.now + self.context.config.body_timeout

    def _on_data(self, event: DataReceived) -> None:
        self._awaited -= len(event.data)
        if self._awaited <= 0:
            self._time_body()
        if self._incoming is not None:
            self._incoming.feed(event.data)

    def _on_ended(self, _event: RequestEnded) -> None:
        if self._incoming is not None:
            self._incoming.end()

    def _on_reset(self, _event: StreamReset) -> None:
        # An application that ends without an answer, now that it cannot have all of the request,
        # is not at fault (RFC 9112 section 8).
        self._violation = ViolationReceived(400, "the connection ended inside a request's body")
        if self._incoming is not None:
            self._incoming.disconnect()

    def _on_violation(self, event: ViolationReceived) -> None:
        self._violation = event
        if self._incoming is not None and not self._incoming.ended:
            self._incoming.disconnect()
        if self.current is None:
            self._answer_violation()

    def _answer_violation(self) -> None:
        """Say what was wrong, if the peer is owed an answer, and close."""
        violation, stream = self._violation, self.http.answering
        if violation is not None and stream:
            self.respond(stream, violation.status, violation.reason)
        self.close()

    # From the streams ----------------------------------------------------------------------------

    def response_ended(self, stream: Stream) -> None:
        """The current response is complete: go on with the next request, or close."""
        if stream is not self.current or self.closing:
            return
        self.current = None
        if not self.http.keep_alive or (self.context.draining and not self._queue):
            self.close(linger=not stream.ended)
        elif self._queue:
            self.current = self._queue.popleft()
            self.current.start()
        elif self._violation is not None:
            self._answer_violation()
            return
        elif self.http.resumable:
            self.data_received(b"")
            return
        self.set_deadline()
        if not self.reading:
            self.update_reading()

    def response_failed(self, stream: Stream, *, started: bool) -> None:
        """The application has ended without a complete response."""
        if stream is not self.current or self.closing:
            return
        if started:
            # Nothing else tells every client that what it has is not whole.
            self.abort()
        elif self._violation is not None:
            self._answer_violation()
        else:
            self.respond(stream.number, 500)
            self.close()

    def took(self, size: int) -> None:
        if not self.reading:
            self.update_reading()

    def update_reading(self) -> None:
        """Read from the peer unless requests or body parts wait for the application."""
        incoming = self._incoming
        waits = bool(self._queue) or (incoming is not None and incoming.full)
        if waits is self.reading:
            self.read(not waits)
            self._time_body()
            self.set_deadline()

    # Leaving -------------------------------------------------------------------------------------

    def drain(self) -> None:
        if self.current is not None or self.closing or self.http.head_pending:
            return
        now, silence = self.context.now, self._drain_silence()
        if now - self._touched > silence and not self.unread:
            self.close(linger=False)
        else:
            self.deadline = min(self.deadline, now + silence)

    def _drain_silence(self) -> float:
        return _DRAIN_SILENCE if self.context.stopping else _REPLACED_SILENCE

    def expire(self) -> None:
        if self.closing or not self.writable:
            super().expire()
        elif self.current is not None:
            incoming = self._incoming
            if incoming is not None and incoming.holds_back:
                self._time_body()
                self.set_deadline()
                return
            self._on_violation(ViolationReceived(408, "the request's body has stalled"))
            self.deadline = NEVER
        elif self.http.head_pending:
            self.transport.write(REQUEST_TIMEOUT)
            self.close()
        elif self.unread:
            # A request has come that this turn of the loop has not read yet.
            self.deadline = self.context.now + _DRAIN_SILENCE
        else:
            self.close(linger=False)

    def set_deadline(self) -> None:
        if self.closing or not self.writable:
            return
        now, config = self.context.now, self.context.config
        if self._incoming is not None and not self._incoming.ended and self.reading:
            self.deadline = self._body_due
        elif self.current is not None:
            # Only the peer is timed: the application may take as long as it likes.
            self.deadline = NEVER
        elif self.http.head_pending:
            # Not moved by further bytes: a head has to be complete in time, not to progress.
            if not self._head_seen:
                self._head_seen = True
                self.deadline = now + config.header_timeout
        else:
            idle = self._drain_silence() if self.context.draining else config.idle_timeout
            self.deadline = now + idle


_ON_EVENT: dict[type[Event], Callable[[HttpConnection, Event], None]] = cast(
    "dict[type[Event], Callable[[HttpConnection, Event], None]]",
    {
        RequestReceived: HttpConnection._on_request,
        DataReceived: HttpConnection._on_data,
        RequestEnded: HttpConnection._on_ended,
        StreamReset: HttpConnection._on_reset,
        ViolationReceived: HttpConnection._on_violation,
    },
)
