"""One HTTP/2 connection: bytes to events, events to strands, one write for each turn of the loop.

What lives here: the streams of a connection, its deadlines, limits on what a peer can make us keep,
and the way out.
What must not: the socket (`socket_end`), one stream and its patience (`http2_strand`), ASGI,
frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from seaway.protocol.events import (
    DataReceived,
    Event,
    RequestEnded,
    RequestReceived,
    StreamEnded,
    StreamReset,
    ViolationReceived,
    WindowOpened,
)
from seaway.protocol.http2 import NO_ERROR, PROTOCOL_ERROR, Http2Connection
from seaway.server.context import NEVER, Context, OpenConnection
from seaway.server.http2_strand import DISCARD_SECONDS, Strand
from seaway.server.http_stream import HttpStream
from seaway.server.replies import Header
from seaway.server.socket_end import SocketEnd
from seaway.server.websocket_stream import WebSocketStream

#: Seconds between the two GOAWAYs of a draining server: a request that was on its way when the
#: first was sent arrives within it, and is served (RFC 9113 section 6.8).
_DRAIN_SILENCE = 1.0
#: Strands are looked at so many times in each ``idle_timeout`` and ``body_timeout``.
_CHECKS = 4


class MultiplexedConnection(SocketEnd):
    """The server's end of one connection that speaks HTTP/2."""

    __slots__ = (
        "_abandoned",
        "_cut",
        "_due",
        "_final",
        "_flushing",
        "_strands",
        "_touched",
        "full",
        "http",
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.http = Http2Connection(context.http2_limits)
        self._strands: dict[int, Strand] = {}
        #: Strands whose client does not keep up.
        self.full: dict[int, Strand] = {}
        #: Streams that are reset once their answer is on its way.
        self._cut: set[int] = set()
        #: Streams that the peer has given up while their application runs.
        self._abandoned = 0
        self._flushing = False
        self._touched = context.now
        #: When the peer's SETTINGS, or the rest of a header block, have to be there.
        self._due = context.now + context.config.header_timeout
        #: When, while draining, streams that are new by then are not served any more.
        self._final = NEVER

    def adopt(self, other: SocketEnd, data: bytes = b"") -> None:
        """Take the place of the protocol that had this socket; ``data`` came already."""
        self.transport = other.transport
        self.client, self.server = other.client, other.server
        self.encrypted, self.secure = other.encrypted, other.secure
        self.extensions = other.extensions
        other.closing = True
        self.context.replaced(other, self)
        self.transport.set_protocol(self)
        self.deadline = self._due
        self.flush_soon()
        if self.context.draining:
            self.drain()
        if data:
            self.data_received(data)

    # From the transport --------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self._handle(self.http.receive(data))
        self._touched = now = self.context.now
        if self.http.greeted and not self.http.head_pending:
            self._due = NEVER
        elif self._due == NEVER:
            # Not moved by further bytes: a head has to be complete in time, not to progress.
            self._due = now + self.context.config.header_timeout
        # Behind the tasks of the requests that have just come: their answers go out together.
        self.flush_soon()
        self.set_deadline()

    def eof_received(self) -> bool:
        # Nothing of HTTP/2 is left of a connection on which nobody can acknowledge.
        return False

    def resume_writing(self) -> None:
        super().resume_writing()
        self.flush_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._lose_all()

    def _lose_all(self) -> None:
        strands = list(self._strands.values())
        self._strands.clear()
        self.full.clear()
        for strand in strands:
            strand.lost()

    # Events --------------------------------------------------------------------------------------

    def _handle(self, events: list[Event]) -> None:
        for event in events:
            _ON_EVENT[type(event)](self, event)

    def _on_request(self, event: RequestReceived) -> None:
        strand = self._strands[event.stream] = Strand(self, event)
        make = WebSocketStream if event.upgrade else HttpStream
        strand.stream = make(strand, event)
        strand.stream.start()

    def _on_data(self, event: DataReceived) -> None:
        strand = self._strands.get(event.stream)
        if strand is not None:
            strand.feed(event.data)

    def _on_ended(self, event: RequestEnded) -> None:
        strand = self._strands.get(event.stream)
        if strand is not None:
            strand.end()

    def _on_stream_ended(self, event: StreamEnded) -> None:
        strand = self._drop(event.stream)
        if strand is not None:
            strand.lost()

    def _on_reset(self, event: StreamReset) -> None:
        strand = self._drop(event.stream)
        if strand is None:
            return
        if strand.stream.busy:
            self._abandoned += 1
            self._regulate()
        strand.lost()

    def _drop(self, stream: int) -> Strand | None:
        self.full.pop(stream, None)
        self._cut.discard(stream)
        return self._strands.pop(stream, None)

    def _on_window(self, _event: WindowOpened) -> None:
        """More can be sent: `data_received` has a flush behind every event."""

    def _on_violation(self, _event: ViolationReceived) -> None:
        self._leave()

    def _leave(self) -> None:
        """HTTP/2 is over; what is left to write is GOAWAY."""
        output = self.http.data_to_send()
        if output and not self.closing:
            self.transport.write(output)
        self._lose_all()
        self.close()

    def forgotten(self) -> None:
        """The application has ended for a stream that the peer had given up."""
        self._abandoned -= 1
        self._regulate()

    def _regulate(self) -> None:
        """A stream that is given up makes room for another at once, but its application runs on:
        beyond so many, nothing more is read (CVE-2023-44487)."""
        if not self.closing:
            self.read(self._abandoned <= self.http.limits.streams)

    # From the strands ----------------------------------------------------------------------------

    def tunnels(self, protocol: asyncio.Protocol) -> None:
        """``protocol`` has a strand of its own: it is swept and drained like a connection."""
        self.context.open.add(cast("OpenConnection", protocol))

    def cut(self, stream: int) -> None:
        """Once the answer is on its way, tell the peer that the rest of its request is not wanted
        (RFC 9113 section 8.1)."""
        self._cut.add(stream)
        self.flush_soon()

    def push(self, parent: int, authority: bytes, path: bytes, headers: list[Header]) -> None:
        """Promise what belongs to a request, and let the application make it."""
        scheme = "https" if self.secure else "http"
        request = self.http.push(parent, scheme, authority, path, headers)
        if request is not None:
            # The promise has to be out before the answer.
            self._flush()
            self._on_request(request)

    def flush_soon(self) -> None:
        """Write what is queued, once, at the end of this turn of the loop."""
        if not self._flushing:
            self._flushing = True
            self.context.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self.closing or not self.writable:
            return
        http = self.http
        output = http.data_to_send()
        if output:
            self.transport.write(output)
        events = http.settle()
        if events:
            self._handle(events)
        if http.closed:
            self._leave()
            return
        if self.full:
            self._release()
        if self._cut:
            self._reset_cut()
        if events and not self._strands:
            self.set_deadline()

    def _release(self) -> None:
        for stream, strand in list(self.full.items()):
            if not self.http.queued(stream):
                del self.full[stream]
                strand.flushed()

    def _reset_cut(self) -> None:
        for stream in list(self._cut):
            # libnghttp2 lets RST_STREAM overtake what waits for a window.
            if not self.http.queued(stream) and self.http.window(stream):
                self._cut.discard(stream)
                self.http.reset(stream, NO_ERROR)
                self.flush_soon()

    # Leaving -------------------------------------------------------------------------------------

    def drain(self) -> None:
        if not self.closing:
            self.http.announce_end()
            self.flush_soon()
            self._final = self.context.now + _DRAIN_SILENCE
            self.set_deadline()

    def expire(self) -> None:
        if self.closing or not self.writable:
            super().expire()
            return
        now = self.context.now
        silence = now - self._touched
        stuck = (
            self.http.unfinished and self.reading and silence >= self.context.config.idle_timeout
        )
        if self._due <= now or stuck:
            self.http.terminate(PROTOCOL_ERROR)
            self._leave()
            return
        if self._final <= now:
            self._final = NEVER
            self.http.end()
        for strand in list(self._strands.values()):
            strand.check(now)
        if not self._strands and silence >= self.context.config.idle_timeout:
            self.http.terminate(NO_ERROR)
            self._leave()
            return
        self.flush_soon()
        self.set_deadline()

    def set_deadline(self) -> None:
        if self.closing or not self.writable:
            return
        if self._strands:
            config = self.context.config
            shortest = min(config.idle_timeout, config.body_timeout)
            wait = min(shortest / _CHECKS, DISCARD_SECONDS)
            usual = self.context.now + wait
        else:
            usual = self._touched + self.context.config.idle_timeout
        self.deadline = min(usual, self._due, self._final)


_ON_EVENT: dict[type[Event], Callable[[MultiplexedConnection, Event], None]] = cast(
    "dict[type[Event], Callable[[MultiplexedConnection, Event], None]]",
    {
        RequestReceived: MultiplexedConnection._on_request,
        DataReceived: MultiplexedConnection._on_data,
        RequestEnded: MultiplexedConnection._on_ended,
        StreamReset: MultiplexedConnection._on_reset,
        StreamEnded: MultiplexedConnection._on_stream_ended,
        WindowOpened: MultiplexedConnection._on_window,
        ViolationReceived: MultiplexedConnection._on_violation,
    },
)
