"""One streamed HTTP/1.1 response: the sink that fan-out writes event streams to.

What lives here: the asyncio protocol of a connection whose response goes on until it is closed.
What must not: ASGI (`http_stream`), what the stream consists of.

The connection ends with its response: nothing that the client sends behind its request is read.
"""

from __future__ import annotations

import asyncio
import functools
import socket

from seaway.exceptions import CloseCode
from seaway.protocol.http1_response import Coding
from seaway.server.context import NEVER, Context
from seaway.server.handoff import Farewell, Framing, Handler
from seaway.server.replies import restart_reason
from seaway.server.socket_sink import CLOSED, CLOSING, OPEN, SocketSink

#: Milliseconds after which the kernel drops a client that acknowledges nothing (RFC 5482): a stream
#: has no pings, and by itself TCP goes on for a quarter of an hour.
_USER_TIMEOUT = 45_000


class ResponseSink(SocketSink):
    """The body of a response after its head: `seaway.server.handoff.Sink`.

    :param framing: from a message to a part of the body.
    :param coding: how HTTP writes parts of the body.
    """

    __slots__ = ("_code", "_coding", "_farewell", "_reason")

    _failure = "stream_handler_failed"

    def __init__(
        self,
        context: Context,
        transport: asyncio.Transport,
        handler: Handler,
        framing: Framing,
        farewell: Farewell,
        coding: Coding,
    ) -> None:
        super().__init__(context, transport, handler, _composed(framing, coding.frame))
        self._farewell = farewell
        self._coding = coding
        self._code, self._reason = int(CloseCode.ABNORMAL), ""
        self.deadline = NEVER
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != getattr(socket, "AF_UNIX", None):
            _expect_acknowledgements(sock)

    def data_received(self, data: bytes) -> None:
        """The client is to listen."""

    def eof_received(self) -> bool:
        """What a closed browser tab looks like, and nobody ends only the half of this."""
        return False

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._state == OPEN:
            self.deadline = self._context.now + self._context.config.idle_timeout

    def resume_writing(self) -> None:
        if self._state == OPEN:
            self.deadline = NEVER
        super().resume_writing()

    def pause_reading(self) -> None:
        """Nothing is read anyway; without reading, the client's going would not be noticed."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""

    def close(self, code: int, reason: str = "") -> None:
        """Write the farewell and end the body. Idempotent."""
        if self._state != OPEN:
            return
        self._code, self._reason = int(code), reason
        self.write(self._coding.frame(self._farewell(int(code), reason)) + self._coding.end)
        self._leave(CLOSING)
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._context.left(self)
        self._leave(CLOSED)
        # The transport's descriptor is about to be closed, and its number used by another.
        self._fd = -1
        self._report_close(self._code, self._reason)

    # From the listener ---------------------------------------------------------------------------

    def expire(self) -> None:
        """A client that does not read, or not even the end."""
        self.abort()

    def drain(self) -> None:
        self.close(CloseCode.SERVICE_RESTART, restart_reason(self._context.config))


@functools.cache
def _composed(inner: Framing, outer: Framing) -> Framing:
    """One function for each pair, for encodings are shared by it."""
    return lambda message: outer(inner(message))


def _expect_acknowledgements(sock: socket.socket) -> None:
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        sock.setsockopt(socket.IPPROTO_TCP, option, _USER_TIMEOUT)
