"""What an HTTP/1.1 connection does for the stream whose turn it is (see `carrier.Carrier`).

What lives here: answers to the socket, and the ways in which a connection is left to another
protocol.
What must not: whose turn it is, deadlines (`connection`), the socket itself (`socket_end`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from typing import BinaryIO, cast

from seaway.protocol.events import (
    Headers,
    InterimResponse,
    ResponseData,
    ResponseStarted,
    ResponseTrailers,
)
from seaway.protocol.http1 import Http1Connection
from seaway.server.carrier import Stream
from seaway.server.context import OpenConnection
from seaway.server.file_body import copy_file
from seaway.server.handoff import Farewell, Framing, Handler
from seaway.server.replies import Header, plain_response
from seaway.server.response_sink import ResponseSink
from seaway.server.socket_end import SocketEnd

#: Bytes up to which a copy that joins head and body costs less than a second write.
_JOIN_LIMIT = 64 * 1024


class Http1Carrier(SocketEnd):
    """The sending side of a connection. `connection.HttpConnection` sets all of it."""

    __slots__ = ("_incoming", "current", "http")

    http: Http1Connection
    #: The stream whose response is due.
    current: Stream | None
    #: The stream of the request that arrives, or that has arrived last.
    _incoming: Stream | None

    def answer(self, stream: int, status: int, headers: Headers, data: bytes, ended: bool) -> int:
        head, part = self.http.answer(stream, status, headers, data, ended)
        size = len(part)
        if size > _JOIN_LIMIT:
            self.transport.write(head)
            self.transport.write(part)
        else:
            self.transport.write(head + part)
        return size

    def send(
        self, event: InterimResponse | ResponseStarted | ResponseData | ResponseTrailers
    ) -> int:
        data = self.http.send(event)
        if data:
            self.transport.write(data)
        return len(data)

    def respond(
        self, stream: int, status: int, reason: str = "", headers: Iterable[Header] = ()
    ) -> None:
        """A whole response that no application made; the connection does not outlive it."""
        fields, body = plain_response(self.context.default_headers, status, reason, headers)
        self.answer(stream, status, fields, body, True)

    def copies_files(self, size: int) -> bool:
        return not self.encrypted and hasattr(os, "sendfile") and self.http.body_left >= size

    async def copy_file(self, file: BinaryIO, size: int) -> int:
        before = self.http.body_left
        await copy_file(self, file, size, self.http.skip)
        return before - self.http.body_left

    def push(self, path: bytes, headers: list[Header]) -> None:
        """Nothing: HTTP/1.1 has no promises."""

    def accept(self, event: ResponseStarted) -> asyncio.Transport:
        self.send(event)
        return self.transport

    def hand_over(self, protocol: asyncio.Protocol) -> bytes:
        self._give_way(protocol)
        return self.http.upgrade()

    def stream_body(
        self, event: ResponseStarted, handler: Handler, framing: Framing, farewell: Farewell
    ) -> ResponseSink:
        head, coding = self.http.stream(event)
        self.transport.write(head)
        sink = ResponseSink(self.context, self.transport, handler, framing, farewell, coding)
        self._give_way(sink)
        if self.context.draining:
            self.context.loop.call_soon(sink.drain)
        return sink

    def _give_way(self, protocol: asyncio.Protocol) -> None:
        """Leave the transport to another protocol; nothing of this one stays."""
        self.read(True)
        self.closing = True
        self.current = self._incoming = None
        self.context.replaced(self, cast("OpenConnection", protocol))
        self.transport.set_protocol(protocol)
