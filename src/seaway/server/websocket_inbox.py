"""What a WebSocket's peer has said while an ASGI application has the connection.

What lives here: the queue between the sink and ASGI's receive, its limit, and the passage to the
handler that takes the connection over.
What must not: ASGI messages (`websocket_stream`), frames.
"""

from __future__ import annotations

from collections import deque

from seaway.server.context import Context
from seaway.server.flow import Gate
from seaway.server.handoff import Handler
from seaway.server.websocket_sink import WebSocketSink

#: What a queued message costs beside its bytes, so that empty ones count as well.
_MESSAGE_OVERHEAD = 64


class Inbox:
    """The handler of a connection that nobody has taken."""

    __slots__ = ("_context", "_full", "_gate", "_messages", "_size", "_taker", "closed", "sink")

    def __init__(self, context: Context) -> None:
        self._context = context
        #: The connection, once it is accepted.
        self.sink: WebSocketSink | None = None
        #: (code, reason) once the connection is gone.
        self.closed: tuple[int, str] | None = None
        self._taker: Handler | None = None
        self._messages: deque[str | bytes] = deque()
        self._size = 0
        self._full = False
        self._gate = Gate()

    # From the sink -------------------------------------------------------------------------------

    def on_message(self, data: str | bytes) -> None:
        self._messages.append(data)
        self._size += len(data) + _MESSAGE_OVERHEAD
        if self.sink is not None:
            self.sink.behind = True
            if self._size > self._context.config.body_buffer:
                self._full = True
                self.sink.pause_reading()
        self._gate.open()

    def on_writable(self) -> None:
        if self._taker is not None:
            self._taker.on_writable()
        self._gate.open()

    def on_close(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = (int(code), reason)
        self._gate.open()

    # For the application -------------------------------------------------------------------------

    @property
    def taken(self) -> bool:
        """Whether a handler has taken the connection."""
        return self._taker is not None

    async def changed(self) -> None:
        """Wait for the next message, for the sink to become writable, or for the close."""
        await self._gate.wait(self._context.loop)

    async def next(self) -> str | bytes | None:
        """The next message; None once there is no more because the connection is gone."""
        while not self._messages:
            if self.closed is not None:
                return None
            if self.sink is not None and self.sink.behind:
                self.sink.caught_up()
            await self._gate.wait(self._context.loop)
        data = self._messages.popleft()
        self._size -= len(data) + _MESSAGE_OVERHEAD
        if self._full and not self._messages and self.sink is not None:
            self._full = False
            self.sink.resume_reading()
        return data

    def pass_to(self, handler: Handler, sink: WebSocketSink) -> None:
        """Everything from now on is ``handler``'s, and first what is in the queue."""
        self._taker = handler
        if self._messages:
            # Until the loop's next turn messages are still queued here, so that order holds.
            self._context.loop.call_soon(self._step_aside, handler, sink)
        else:
            self._connect(handler, sink)
            sink.caught_up()

    def _connect(self, handler: Handler, sink: WebSocketSink) -> None:
        sink.take_over(handler)
        if self._full:
            self._full = False
            sink.resume_reading()

    def _step_aside(self, handler: Handler, sink: WebSocketSink) -> None:
        messages, self._messages = self._messages, deque()
        self._connect(handler, sink)
        sink.deliver(messages)
        sink.caught_up()
        if self.closed is not None:
            sink.report_close()
