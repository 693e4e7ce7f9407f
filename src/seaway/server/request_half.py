"""The request's half of an HTTP stream: what of it has come, and ASGI's receive.

What lives here: the body on its way from the connection to the application, and where the client
stands.
What must not: what is sent (`response_half`), the application's life (`http_stream`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seaway.protocol.events import InterimResponse, RequestReceived
from seaway.server.asgi_types import Message
from seaway.server.flow import Gate

if TYPE_CHECKING:
    from seaway.server.carrier import Carrier

#: Where a response stands: no message yet; its head waits for the first part of its body; the head
#: is sent; all is sent.
#: A body that trailers follow ends before the response does.
WAITING, HELD, STARTED, TRAILING, COMPLETE = range(5)
#: Where the client stands: listening; it sends no more; its connection is gone.
HERE, GONE, LOST = range(3)
#: Bytes of a request body that are read and dropped to keep a connection alive after an answer
#: that did not need them; with more to come, a new connection is cheaper.
_DISCARD_LIMIT = 256 * 1024


class RequestHalf:
    """One request's body. `http_stream.HttpStream` sets all of it: a request costs one call."""

    __slots__ = (
        "_body",
        "_buffered",
        "_connection",
        "_delivered",
        "_discarded",
        "_gate",
        "_peer",
        "_request",
        "_state",
        "ended",
        "full",
        "holds_back",
        "number",
    )

    _connection: Carrier
    _request: RequestReceived
    number: int
    #: Whether the request has arrived whole.
    ended: bool
    #: Whether more of its body waits for the application than ``body_buffer``.
    full: bool
    #: Whether the client waits for our 100 before it sends its body.
    holds_back: bool
    #: Where the client and the response stand.
    _peer: int
    _state: int
    #: Parts that the application has not taken, their size, and whether it has taken the last.
    _body: list[bytes]
    _buffered: int
    _delivered: bool
    #: Bytes that came when nobody wanted them any more.
    _discarded: int
    #: Where `receive` waits; made when it first has to.
    _gate: Gate | None

    # From the connection -------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """A part of the request's body has come."""
        if self._state == COMPLETE:
            self._connection.took(len(data))
            self._discard(len(data))
            return
        self._body.append(data)
        self._buffered += len(data)
        self.full = self._buffered > self._connection.context.config.body_buffer
        self._wake()

    def end(self) -> None:
        """The request's body is complete."""
        self.ended = True
        self._wake()

    def disconnect(self) -> None:
        """The client sends no more."""
        self._peer = max(self._peer, GONE)
        self._wake()

    def lost(self) -> None:
        """The connection is gone: nothing can be sent."""
        self._peer = LOST
        self._wake()

    def _wake(self) -> None:
        if self._gate is not None:
            self._gate.open()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _DISCARD_LIMIT:
            self._connection.close()

    # The application's side ----------------------------------------------------------------------

    async def receive(self) -> Message:
        """ASGI's receive: parts of the body, then ``http.disconnect`` once there is one."""
        connection = self._connection
        if self.holds_back:
            # RFC 9110 section 10.1.1: sent when the body is wanted, not before.
            self.holds_back = False
            if self._state in (WAITING, HELD) and not (self._body or self.ended or self._peer):
                connection.send(InterimResponse(self.number, 100, []))
        while True:
            if self._state == COMPLETE:
                return {"type": "http.disconnect"}
            if self._body or (self.ended and not self._delivered):
                return self._take_body()
            if self._peer:
                return {"type": "http.disconnect"}
            if self._gate is None:
                self._gate = Gate()
            await self._gate.wait(connection.context.loop)

    def _take_body(self) -> Message:
        parts = self._body
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._delivered = self.ended
        if self._buffered:
            self._release()
        return {"type": "http.request", "body": body, "more_body": not self.ended}

    def _release(self) -> None:
        """What was buffered of the body is gone: the client may send more."""
        size, self._buffered, self.full = self._buffered, 0, False
        self._connection.took(size)
