"""One open WebSocket: the transport's end of it, and the sink that fan-out writes to.

What lives here: the asyncio protocol of an upgraded connection: reading, pings, and the
closing handshake (RFC 6455 section 7).
What must not: ASGI and the handshake (`websocket_stream`), frames (`seaway.protocol`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast

from seaway.exceptions import CloseCode
from seaway.protocol.events import Close, Event, Message, MessageViolation, Ping, Pong
from seaway.protocol.websocket.connection import WebSocketConnection
from seaway.server.access import log_websocket
from seaway.server.context import Context
from seaway.server.handoff import Handler
from seaway.server.replies import restart_reason
from seaway.server.socket_sink import CLOSED, CLOSING, FAILED, OPEN, SocketSink


class WebSocketSink(SocketSink):
    """A WebSocket after its handshake: `seaway.server.handoff.Sink` and an asyncio protocol."""

    __slots__ = (
        "_code",
        "_connection",
        "_log",
        "_misses",
        "_own_code",
        "_reason",
        "_violation",
        "behind",
    )

    _failure = "websocket_handler_failed"

    def __init__(
        self,
        context: Context,
        transport: asyncio.Transport,
        connection: WebSocketConnection,
        handler: Handler,
    ) -> None:
        super().__init__(context, transport, handler, connection.framing)
        self._connection = connection
        self.deadline = context.now + context.config.ping_interval
        #: Who is asking, for the access log: (path, client, start), or None when it is off.
        self._log: tuple[str, str, float] | None = None
        self._misses = 0
        self._code: int = CloseCode.ABNORMAL
        self._reason = ""
        self._own_code = 0
        #: Whether the handler holds messages that its application has not come to yet. It says
        #: `caught_up` once it has.
        self.behind = False
        #: What the peer did wrong, while the application answers what came before.
        self._violation: MessageViolation | None = None

    def take_over(self, handler: Handler) -> None:
        """Talk to ``handler`` from now on, and refuse messages larger than it wants."""
        self.handler = handler
        size: int | None = getattr(handler, "max_message_bytes", None)
        if size is not None:
            self._connection.limit_messages(size)

    # Writing -------------------------------------------------------------------------------------

    def send(self, data: str | bytes) -> None:
        """Frame and write one message; for the connection's own ASGI application."""
        self.write(self._connection.send(Message(data)))

    def binary_frame(self, data: bytes) -> bytes:
        """One binary message framed for `write`."""
        return self._connection.send(Message(data))

    # Reading -------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._state >= FAILED:
            return
        self._misses = -1
        try:
            for event in self._connection.receive(data):
                if type(event) is Message:
                    if self._state == OPEN:
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
        if self._state == OPEN:
            # Section 5.5.1: answered with the code received.
            self.write(self._connection.send(Close(event.code)))
        self._leave(CLOSED)
        # Section 7.1.1: the server closes TCP first.
        self._transport.close()

    def _on_violation(self, event: MessageViolation) -> None:
        """Nothing after a violation is read, but messages that came before it are answered before
        the connection fails, whether or not the peer sent them in the same segment."""
        if self._state == OPEN and self.behind:
            self._violation = event
            self.deadline = self._context.now + self._context.config.close_timeout
        else:
            self._break(event)

    def caught_up(self) -> None:
        """The application has come to all that the handler held for it."""
        self.behind = False
        if self._violation is not None:
            self._break(self._violation)

    def _break(self, event: MessageViolation) -> None:
        """Fail the connection (section 7.1.7)."""
        self._violation = None
        if self._state == OPEN:
            self._own_code = event.code
            self.write(self._connection.send(Close(event.code, event.reason)))
        self._leave(FAILED)
        # Half closed, the peer can still read why; a full close with its bytes unread would make
        # the kernel send a reset.
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def pause_reading(self) -> None:
        """Stop reading; what has been read already is still delivered."""
        if self._state == OPEN:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._state < CLOSED and not self._transport.is_closing():
            self._transport.resume_reading()

    # Leaving -------------------------------------------------------------------------------------

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake; the handler's ``on_close`` follows. Idempotent."""
        if self._state != OPEN:
            return
        if self._violation is not None:
            self._break(self._violation)
            return
        self.write(self._connection.send(Close(code, reason)))
        self._own_code = code
        self._leave(CLOSING)
        # The peer's Close may wait behind messages that nobody wants any more.
        self.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        context = self._context
        context.left(self)
        self._leave(CLOSED)
        # The transport's descriptor is about to be closed, and its number used by another.
        self._fd = -1
        if self._log is not None:
            self._log_access(self._log)
        self.report_close()

    def report_close(self) -> None:
        """Tell the handler that the connection is gone."""
        self._report_close(int(self._code), self._reason)

    # From the listener ---------------------------------------------------------------------------

    def expire(self) -> None:
        config = self._context.config
        if self._state != OPEN:
            self.abort()
        elif self._violation is not None:
            self._break(self._violation)
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
        reason = restart_reason(self._context.config)
        on_drain = getattr(self.handler, "on_drain", None)
        if on_drain is None or not on_drain(reason):
            self.close(CloseCode.SERVICE_RESTART, reason)

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
