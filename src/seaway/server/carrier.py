"""What carries one request and its response: the one face of both HTTP versions to the streams.

What lives here: the contract between `http_stream` and `websocket_stream` above, and `connection`
(HTTP/1.1: the connection itself, one request at a time; it sends by `http1_carrier`) and
`http2_strand` (HTTP/2: one stream of a connection) below.
What must not: an implementation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, Protocol

from seaway.protocol.events import (
    Headers,
    InterimResponse,
    ResponseData,
    ResponseStarted,
    ResponseTrailers,
)
from seaway.server.context import Context
from seaway.server.flow import Gate
from seaway.server.handoff import Farewell, Framing, Handler, Sink
from seaway.server.replies import Header
from seaway.server.scope_types import Peer


class Stream(Protocol):
    """What a carrier tells the stream that it carries."""

    number: int
    ended: bool
    full: bool
    #: Whether the client waits for our 100 before it sends its body.
    holds_back: bool

    @property
    def answered(self) -> bool:
        """Whether the response is complete."""

    @property
    def busy(self) -> bool:
        """Whether the application is still to answer."""

    def start(self) -> None:
        """It is this stream's turn."""

    def feed(self, data: bytes) -> None:
        """A part of the request's body has come."""

    def end(self) -> None:
        """The request's body is complete."""

    def disconnect(self) -> None:
        """The client sends no more."""

    def lost(self) -> None:
        """Nothing can be sent any more."""


class Carrier(Protocol):
    """Where a stream's answers go. A call about a client that has gone does nothing."""

    context: Context
    client: Peer
    server: Peer
    secure: bool

    extensions: dict[str, Any]
    """The ASGI extensions that this request has; not to be changed."""

    writable: bool
    """False from when more than ``write_buffer`` bytes wait for the client until none does."""

    gate: Gate
    """Opens when `writable` turns True, and when nothing can be sent any more."""

    def answer(self, stream: int, status: int, headers: Headers, data: bytes, ended: bool) -> int:
        """Send a response's head and the first part of its body; the number of bytes of the latter.

        Raises `ResponseError` for what HTTP cannot carry: the application's fault. Nothing is sent
        then, and another response can take this one's place.
        """

    def send(
        self, event: InterimResponse | ResponseStarted | ResponseData | ResponseTrailers
    ) -> int:
        """Send one part of the response; its size in bytes. Raises `ResponseError`."""

    def respond(
        self, stream: int, status: int, reason: str = "", headers: Iterable[Header] = ()
    ) -> None:
        """A whole response that no application made; `close` follows."""

    def response_ended(self, stream: Stream) -> None:
        """The response is complete."""

    def response_failed(self, stream: Stream, *, started: bool) -> None:
        """The application has ended without a complete response."""

    def took(self, size: int) -> None:
        """The application has taken so many bytes of the body: the client may send more."""

    def close(self, *, linger: bool = True) -> None:
        """Take nothing more of the client; what is sent reaches it."""

    def copies_files(self, size: int) -> bool:
        """Whether `copy_file` can send the next ``size`` bytes of the body: only on a plain socket
        that the response has to itself, and where its length is known."""

    async def copy_file(self, file: BinaryIO, size: int) -> int:
        """Send a part of the body from a file without reading it; its size in bytes.

        Raises `ClientDisconnected`.
        """

    def push(self, path: bytes, headers: list[Header]) -> None:
        """Promise and send what the client has not asked for, if it lets us."""

    def accept(self, event: ResponseStarted) -> asyncio.Transport:
        """Answer with 101; the transport of the protocol that follows."""

    def hand_over(self, protocol: asyncio.Protocol) -> bytes:
        """After `accept`: all that comes is for ``protocol``. Returns what came already."""

    @property
    def stream_body(self) -> Callable[[ResponseStarted, Handler, Framing, Farewell], Sink] | None:
        """Send a head, and leave the body, and the end of the connection with it, to a sink. None
        where a response cannot have the connection to itself.

        Raises `ResponseError` as `answer` does, and for a response whose length is fixed.
        """
