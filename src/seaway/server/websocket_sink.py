"""One open WebSocket: the transport's end of it, and the sink that fan-out writes to.

What lives here: the asyncio protocol of an upgraded connection: writing (the hot path), reading,
pings, and the closing handshake (RFC 6455 section 7).
What must not: ASGI and the handshake (`websocket_stream`), frames (`seaway.protocol`).

The hot path. Nine tenths of a delivery are the system call, so `write` makes it itself: straight
to the file descriptor, as long as nothing is buffered that has to go first. uvloop's
``transport.write`` would put it off to the end of the loop's turn, with a handle for each
connection. Everything that this connection sends goes through the same method, which keeps order.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from collections.abc import Callable, Iterable
from typing import Any, cast

from seaway.exceptions import CloseCode
from seaway.protocol.events import Close, Event, Message, MessageViolation, Ping, Pong
from seaway.protocol.websocket.connection import WebSocketConnection
from seaway.server.access import log_websocket
from seaway.server.context import Context
from seaway.server.handoff import Framing, Handler
from seaway.server.lane import Lane
from seaway.server.logs import log_event, server_log
from seaway.server.replies import restart_reason

try:
    _uvloop: Any = importlib.import_module("uvloop.loop")
except ImportError:
    _DIRECT: tuple[type, ...] = ()
else:
    #: Transports of which we know that they buffer nothing unless told to write. asyncio's own
    #: write at once by themselves, and TLS has to see every byte.
    _DIRECT = (_uvloop.TCPTransport, _uvloop.UnixTransport)

#: Open; our Close is sent and the peer's awaited; the peer broke the protocol and is not listened
#: to any more; nothing is left but to flush and close the transport.
_OPEN, _CLOSING, _FAILED, _CLOSED = range(4)

_os_write = os.write


class WebSocketSink(asyncio.Protocol):
    """A WebSocket after its handshake: `seaway.server.handoff.Sink` and an asyncio protocol."""

    __slots__ = (
        "_code",
        "_connection",
        "_context",
        "_fd",
        "_log",
        "_misses",
        "_own_code",
        "_reason",
        "_state",
        "_transport",
        "deadline",
        "direct",
        "framing",
        "handler",
        "lane",
        "writable",
    )

    def __init__(
        self,
        context: Context,
        transport: asyncio.Transport,
        connection: WebSocketConnection,
        handler: Handler,
    ) -> None:
        self._context = context
        self._transport = transport
        self._connection = connection
        self.framing: Framing = connection.framing
        self.handler = handler
        self.writable = True
        self.deadline = context.now + context.config.ping_interval
        #: Who is asking, for the access log: (path, client, start), or None when it is off.
        self._log: tuple[str, str, float] | None = None
        self._state = _OPEN
        self._misses = 0
        self._code: int = CloseCode.ABNORMAL
        self._reason = ""
        self._own_code = 0
        self._fd = -1
        self.lane: Lane | None = None
        if isinstance(transport, _DIRECT):
            self._fd = transport.get_extra_info("socket").fileno()
            self.lane = context.lane
        #: The descriptor while the transport's buffer is known to be empty, so that `write` and
        #: `lane` may go past it; else -1.
        self.direct = -1

    # Writing -------------------------------------------------------------------------------------

    def write(self, frame: bytes) -> None:
        """Write bytes that `framing` made; silently nothing once closing has begun."""
        if self.direct < 0:
            self._write_buffered(frame)
            return
        try:
            sent = _os_write(self.direct, frame)
        except BlockingIOError:
            sent = 0
        except OSError:
            # A reset, which the transport has not read yet. `on_close` follows in the next turn.
            self.abort()
            return
        if sent != len(frame):
            self.write_rest(frame[sent:])

    def write_rest(self, rest: bytes) -> None:
        """Write what the kernel did not take of a frame; what follows has to wait for it."""
        self._point(-1)
        self._transport.write(rest)

    def _point(self, descriptor: int) -> None:
        """The one place that changes `direct`: batches of this lane hold copies of it."""
        self.direct = descriptor
        if self.lane is not None:
            self.lane.changes += 1

    def _write_buffered(self, frame: bytes) -> None:
        if self._state != _OPEN:
            return
        transport = self._transport
        if self._fd >= 0 and transport.get_write_buffer_size() == 0:
            self._point(self._fd)
            self.write(frame)
        else:
            transport.write(frame)

    def send(self, data: str | bytes) -> None:
        """Frame and write one message; for the connection's own ASGI application."""
        self.write(self._connection.send(Message(data)))

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        if self._state != _OPEN:
            return
        self.writable = True
        try:
            self.handler.on_writable()
        except Exception as error:  # noqa: BLE001 - it ends this connection only
            self._fail(error)

    # Reading -------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._state >= _FAILED:
            return
        self._misses = -1
        try:
            for event in self._connection.receive(data):
                if type(event) is Message:
                    if self._state == _OPEN:
                        self.handler.on_message(event.data)
                else:
                    _ON_EVENT[type(event)](self, event)
        except Exception as error:  # noqa: BLE001 - it ends this connection only
            self._fail(error)

    def deliver(self, messages: Iterable[str | bytes]) -> None:
        """Give the handler messages that were kept for it."""
        try:
            for data in messages:
                if not self._own_code:
                    self.handler.on_message(data)
        except Exception as error:  # noqa: BLE001 - it ends this connection only
            self._fail(error)

    def _on_ping(self, event: Ping) -> None:
        self.write(self._connection.send(Pong(event.payload)))

    def _on_pong(self, _event: Pong) -> None:
        """Any byte from the peer proves that it lives: `data_received` has noted it."""

    def _on_close(self, event: Close) -> None:
        self._code, self._reason = event.code, event.reason
        if self._state == _OPEN:
            # Section 5.5.1: answered with the code received.
            self.write(self._connection.send(Close(event.code)))
        self._leave(_CLOSED)
        # Section 7.1.1: the server closes TCP first.
        self._transport.close()

    def _on_violation(self, event: MessageViolation) -> None:
        if self._state == _OPEN:
            self._own_code = event.code
            self.write(self._connection.send(Close(event.code, event.reason)))
        self._leave(_FAILED)
        # Half closed, the peer can still read why; a full close with its bytes unread would make
        # the kernel send a reset.
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def pause_reading(self) -> None:
        """Stop reading; what has been read already is still delivered."""
        if self._state == _OPEN:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._state < _CLOSED and not self._transport.is_closing():
            self._transport.resume_reading()

    # Leaving -------------------------------------------------------------------------------------

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake; the handler's ``on_close`` follows. Idempotent."""
        if self._state != _OPEN:
            return
        self.write(self._connection.send(Close(code, reason)))
        self._own_code = code
        self._leave(_CLOSING)
        # The peer's Close may wait behind messages that nobody wants any more.
        self.resume_reading()

    def _leave(self, state: int) -> None:
        self._state = state
        self._point(-1)
        self.writable = False
        self.deadline = self._context.now + self._context.config.close_timeout

    def _fail(self, error: Exception) -> None:
        """The handler's fault: it is logged, and its connection closes with 1011."""
        log_event(server_log, logging.ERROR, "websocket_handler_failed", error)
        self.close(CloseCode.INTERNAL_ERROR)

    def abort(self) -> None:
        self._leave(_CLOSED)
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        context = self._context
        context.left(self)
        self._leave(_CLOSED)
        # The transport's descriptor is about to be closed, and its number used by another.
        self._fd = -1
        if self._log is not None:
            self._log_access(self._log)
        self.report_close()

    def report_close(self) -> None:
        """Tell the handler that the connection is gone."""
        try:
            self.handler.on_close(int(self._code), self._reason)
        except Exception as error:  # noqa: BLE001 - nothing is left to close
            log_event(server_log, logging.ERROR, "websocket_handler_failed", error)

    # From the listener ---------------------------------------------------------------------------

    def expire(self) -> None:
        config = self._context.config
        if self._state != _OPEN:
            self.abort()
        elif self._misses >= config.ping_misses:
            self._reason = "pings unanswered"
            self.close(CloseCode.PING_TIMEOUT, self._reason)
        else:
            if self._misses >= 0:
                self.write(self._connection.send(Ping()))
            # Whoever sent anything since the last deadline needs no ping.
            self._misses += 1
            self.deadline = self._context.now + config.ping_interval

    def drain(self) -> None:
        self.close(CloseCode.SERVICE_RESTART, restart_reason(self._context.config))

    # The access log ------------------------------------------------------------------------------

    def log_at_close(self, path: str, client: str) -> None:
        """Write one access log line when this connection closes."""
        self._log = (path, client, self._context.loop.time())

    def _log_access(self, entry: tuple[str, str, float]) -> None:
        path, client, started = entry
        seconds = self._context.loop.time() - started
        log_websocket(self._context, path, client, int(self._own_code or self._code), seconds)


_ON_EVENT: dict[type[Event], Callable[[WebSocketSink, Any], None]] = cast(
    "dict[type[Event], Callable[[WebSocketSink, Any], None]]",
    {
        Ping: WebSocketSink._on_ping,
        Pong: WebSocketSink._on_pong,
        Close: WebSocketSink._on_close,
        MessageViolation: WebSocketSink._on_violation,
    },
)
