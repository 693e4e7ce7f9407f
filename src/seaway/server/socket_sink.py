"""Writing to a connection that was handed off: straight to the socket.

What lives here: the hot path that all sinks share, and what becomes of their handlers' failures.
What must not: what is written, closing in a protocol's own words.

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
from typing import Any

from seaway.exceptions import CloseCode
from seaway.server.context import Context
from seaway.server.handoff import Framing, Handler
from seaway.server.lane import Lane
from seaway.server.logs import log_event, server_log

try:
    _uvloop: Any = importlib.import_module("uvloop.loop")
except ImportError:
    _DIRECT: tuple[type, ...] = ()
else:
    #: Transports of which we know that they buffer nothing unless told to write. asyncio's own
    #: write at once by themselves, and TLS has to see every byte.
    _DIRECT = (_uvloop.TCPTransport, _uvloop.UnixTransport)

#: Open; our last words are sent and the peer's awaited; the peer broke the protocol and is not
#: listened to any more; nothing is left but to flush and close the transport.
OPEN, CLOSING, FAILED, CLOSED = range(4)

_os_write = os.write


class SocketSink(asyncio.Protocol):
    """The writing half of `seaway.server.handoff.Sink`, and an asyncio protocol."""

    __slots__ = (
        "_context",
        "_fd",
        "_state",
        "_transport",
        "deadline",
        "direct",
        "framing",
        "handler",
        "lane",
        "writable",
    )

    #: What the log calls a handler that failed.
    _failure = "handler_failed"

    def __init__(
        self, context: Context, transport: asyncio.Transport, handler: Handler, framing: Framing
    ) -> None:
        self._context = context
        self._transport = transport
        self.framing = framing
        self.handler = handler
        self.writable = True
        self.deadline: float
        self._state = OPEN
        self._fd = -1
        self.lane: Lane | None = None
        if isinstance(transport, _DIRECT):
            self._fd = transport.get_extra_info("socket").fileno()
            self.lane = context.lane
        #: The descriptor while the transport's buffer is known to be empty, so that `write` and
        #: `lane` may go past it; else -1.
        self.direct = -1

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
        if self._state != OPEN:
            return
        transport = self._transport
        if self._fd >= 0 and transport.get_write_buffer_size() == 0:
            self._point(self._fd)
            self.write(frame)
        else:
            transport.write(frame)

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        if self._state != OPEN:
            return
        self.writable = True
        try:
            self.handler.on_writable()
        except Exception as error:  # noqa: BLE001 - it ends this connection only
            self._fail(error)

    def close(self, code: int, reason: str = "") -> None:
        """Say the last words of the protocol; the handler's ``on_close`` follows. Idempotent."""
        raise NotImplementedError

    def abort(self) -> None:
        """Close at once; unsent bytes are lost."""
        self._leave(CLOSED)
        self._transport.abort()

    def _leave(self, state: int) -> None:
        self._state = state
        self._point(-1)
        self.writable = False
        self.deadline = self._context.now + self._context.config.close_timeout

    def _fail(self, error: Exception) -> None:
        """The handler's fault: it is logged, and its connection closes with 1011."""
        log_event(server_log, logging.ERROR, self._failure, error)
        self.close(CloseCode.INTERNAL_ERROR)

    def _report_close(self, code: int, reason: str) -> None:
        """Tell the handler that the connection is gone."""
        try:
            self.handler.on_close(code, reason)
        except Exception as error:  # noqa: BLE001 - nothing is left to close
            log_event(server_log, logging.ERROR, self._failure, error)
